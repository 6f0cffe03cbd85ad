//! Fragments, in whatever order they come.

use std::collections::HashMap;

use flowkeep_core::packet::{FragmentKey, FragmentPorts, Fragments};

use super::engine::Seen;

/// Nanoseconds after which the fragments of a packet no longer belong together (RFC 8200, 4.5).
const LIFETIME: u64 = 60_000_000_000;

/// So many packets in fragments are remembered before old ones are looked for and forgotten.
const TIDY: usize = 16_384;

/// A fragment whose first one has not come yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) key: FragmentKey,
    pub(super) seen: Seen,
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
    ready: Vec<(FragmentPorts, Waiting)>,
    /// Fragments whose first one never came.
    lost: u64,
}

impl FragmentTracker {
    /// Tells the time of the packets that follow.
    pub(super) fn set_time(&mut self, now: u64) {
        self.now = now;
    }

    /// Keeps a fragment until its first one comes.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        let now = self.now;
        let known = self
            .known
            .entry(waiting.key)
            .or_insert_with(|| (now, Known::Later(Vec::new())));
        if let Known::Later(list) = &mut known.1 {
            list.push(waiting);
        }
        self.tidy();
    }

    /// Whether there are fragments whose first one has just come.
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The fragments whose first one has come, with its ports.
    pub(super) fn take_ready(&mut self) -> Option<(FragmentPorts, Waiting)> {
        self.ready.pop()
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
                self.ready
                    .extend(list.into_iter().rev().map(|waiting| (ports, waiting)));
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
