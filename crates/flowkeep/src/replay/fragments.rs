//! Fragments in any order.

use std::collections::HashMap;

use flowkeep_core::Error;
use flowkeep_core::packet::{
    Fragment, FragmentKey, FragmentPorts, Fragments, Network, later_fragment,
};
use flowkeep_core::rules::Rules;
use flowkeep_core::tuple::Tuple;

use super::engine::Seen;

/// Nanoseconds after which the fragments of a packet no longer belong together (RFC 8200, 4.5).
const LIFETIME: u64 = 60_000_000_000;

/// So many packets in fragments are remembered before old ones are looked for and forgotten.
const TIDY: usize = 16_384;

/// A fragment whose first one has not come yet.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// As far as its own headers tell it.
    tuple: Tuple,
    fragment: Fragment,
    seen: Seen,
}

/// The fragments of a packet that came before its first one.
#[derive(Debug)]
pub(super) struct Earlier {
    ports: FragmentPorts,
    waiting: Vec<Waiting>,
}

impl Earlier {
    /// What each is to its connection and when it was seen, or why it is not tracked.
    ///
    /// The first fragment, whose header says what all of them are, has to be tracked before them.
    /// So that its connection begins when its first packet was seen, the fragments take each
    /// other's times, in their order.
    pub(super) fn after<R: Rules>(self, first: &mut Seen) -> Vec<Result<(Tuple, Seen), Error>> {
        let mut judged: Vec<_> = (self.waiting.iter())
            .map(|waiting| {
                let tuple = later_fragment::<R>(waiting.tuple, &waiting.fragment, self.ports)?;
                Ok((tuple, waiting.seen))
            })
            .collect();
        let mut seen: Vec<_> = [first]
            .into_iter()
            .chain(judged.iter_mut().flatten().map(|(_, seen)| seen))
            .collect();
        let mut times: Vec<_> = seen.iter().map(|seen| seen.time).collect();
        times.sort_unstable();
        for (seen, time) in seen.iter_mut().zip(times) {
            seen.time = time;
        }
        judged
    }
}

#[derive(Debug)]
enum Known {
    /// The first fragment has come.
    First(FragmentPorts),
    /// Later ones have.
    Later(Vec<Waiting>),
}

/// What is known of packets in fragments.
#[derive(Debug, Default)]
pub(super) struct FragmentTracker {
    known: HashMap<FragmentKey, (u64, Known)>,
    /// Packet time, in nanoseconds.
    now: u64,
    /// Fragments whose first one has just come.
    earlier: Option<Earlier>,
    /// Fragments whose first one never came.
    lost: u64,
}

impl FragmentTracker {
    /// Tells the time of the packets that follow.
    pub(super) fn set_time(&mut self, now: u64) {
        self.now = now;
    }

    /// Keeps a fragment until its first one comes.
    pub(super) fn wait<R: Rules>(&mut self, network: &Network, fragment: Fragment, seen: Seen) {
        let now = self.now;
        let waiting = Waiting {
            tuple: network.tuple(),
            fragment,
            seen,
        };
        let known = self
            .known
            .entry(FragmentKey::new::<R>(network, &fragment))
            .or_insert_with(|| (now, Known::Later(Vec::new())));
        if let Known::Later(list) = &mut known.1 {
            list.push(waiting);
        }
        self.tidy();
    }

    /// The fragments that came before their first one, if that has just come.
    #[inline]
    pub(super) fn take_earlier(&mut self) -> Option<Earlier> {
        self.earlier.take()
    }

    /// How many fragments' first ones never came.
    pub(super) fn lost(&self) -> u64 {
        let waiting = self.known.values().map(|(_, known)| match known {
            Known::First(_) => 0,
            Known::Later(list) => list.len() as u64,
        });
        self.lost + waiting.sum::<u64>()
    }

    /// Forgets what is too old to matter.
    fn tidy(&mut self) {
        if self.known.len() < TIDY || !self.known.len().is_power_of_two() {
            return;
        }
        let (now, mut lost) = (self.now, 0);
        self.known.retain(|_, (time, known)| {
            let keep = now.saturating_sub(*time) <= LIFETIME;
            if !keep && let Known::Later(list) = known {
                lost += list.len() as u64;
            }
            keep
        });
        self.lost += lost;
    }

    fn is_old(&self, time: u64) -> bool {
        self.now.saturating_sub(time) > LIFETIME
    }
}

impl Fragments for FragmentTracker {
    fn record(&mut self, key: &FragmentKey, ports: FragmentPorts) {
        let before = self.known.insert(*key, (self.now, Known::First(ports)));
        if let Some((time, Known::Later(list))) = before {
            if self.is_old(time) {
                self.lost += list.len() as u64;
            } else {
                self.earlier = Some(Earlier {
                    ports,
                    waiting: list,
                });
            }
        }
        self.tidy();
    }

    fn ports(&mut self, key: &FragmentKey) -> Option<FragmentPorts> {
        match self.known.get(key)? {
            (time, Known::First(ports)) if !self.is_old(*time) => Some(*ports),
            (time, _) if self.is_old(*time) => {
                if let Some((_, Known::Later(list))) = self.known.remove(key) {
                    self.lost += list.len() as u64;
                }
                None
            }
            _ => None,
        }
    }
}
