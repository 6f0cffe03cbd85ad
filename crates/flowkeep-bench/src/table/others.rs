//! Hash maps of others that connections can be kept in, under two look-ups or one.

use dashmap::DashMap;
use flowkeep_core::entry::{Entry, EntryFlags};
use flowkeep_core::packet::tcp;
use flowkeep_core::settings::Settings;
use flowkeep_core::tracker::Status;
use flowkeep_core::tuple::{Flags, Tuple};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::contender::{Contender, Tally};
use super::input::{Connections, Sent, answered, at};
use super::touch::{SharedEntry, Touch};

/// Under which key the entry of a connection is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// As Cilium does: the entry is under the tuple of its direction. A packet looks for its
    /// reverse, then for itself.
    Two,
    /// Both directions have one key, whose destination is the lower end; the entry notes which
    /// one was meant.
    Sorted,
}

/// A bit that [`EntryFlags`] has free: the ends were exchanged to sort them.
const EXCHANGED: EntryFlags = EntryFlags(1 << 11);

/// The key that both directions share, and whether the ends had to be exchanged.
#[inline(always)]
fn sorted(tuple: Tuple) -> (Tuple, bool) {
    let end = |tuple: &Tuple| (tuple.destination(), tuple.destination_port());
    let swapped = tuple.swapped();
    let exchanged = end(&tuple) > end(&swapped);
    let lower_first = if exchanged { swapped } else { tuple };
    (lower_first.with_flags(Flags::OUT), exchanged)
}

impl Keys {
    /// Every connection's key and entry.
    pub(super) fn entries(
        self,
        connections: &Connections,
        settings: &Settings,
    ) -> impl Iterator<Item = (Tuple, Entry)> {
        let entry = answered(settings);
        connections.keys().map(move |key| match self {
            Self::Two => (key, entry),
            Self::Sorted => {
                let (key, exchanged) = sorted(key);
                let mut entry = entry;
                entry.progress.entry_flags.set(EXCHANGED, exchanged);
                (key, entry)
            }
        })
    }
}

/// A map whose entries are touched where they are.
pub(super) trait Map {
    /// Touches the entry under a key, if there is one, in the way that its marks ask for. True if
    /// it was of use, with whether the packet was a reply.
    fn touch<'s>(
        &mut self,
        key: &Tuple,
        how: impl FnOnce(EntryFlags) -> Touch<'s>,
    ) -> Option<(bool, bool)>;
}

impl Map for HashMap<Tuple, Entry> {
    #[inline(always)]
    fn touch<'s>(
        &mut self,
        key: &Tuple,
        how: impl FnOnce(EntryFlags) -> Touch<'s>,
    ) -> Option<(bool, bool)> {
        let entry = self.get_mut(key)?;
        let touch = how(entry.progress.entry_flags);
        Some((touch.entry(entry), touch.reply))
    }
}

impl Map for DashMap<Tuple, Entry, RandomState> {
    #[inline(always)]
    fn touch<'s>(
        &mut self,
        key: &Tuple,
        how: impl FnOnce(EntryFlags) -> Touch<'s>,
    ) -> Option<(bool, bool)> {
        let mut entry = self.get_mut(key)?;
        let touch = how(entry.progress.entry_flags);
        Some((touch.entry(&mut entry), touch.reply))
    }
}

/// Pinned once for all look-ups, which is the least that it asks for.
pub(super) type Papaya<'m> =
    papaya::HashMapRef<'m, Tuple, SharedEntry, RandomState, papaya::LocalGuard<'m>>;

impl Map for Papaya<'_> {
    #[inline(always)]
    fn touch<'s>(
        &mut self,
        key: &Tuple,
        how: impl FnOnce(EntryFlags) -> Touch<'s>,
    ) -> Option<(bool, bool)> {
        let entry = self.get(key)?;
        let touch = how(entry.entry_flags());
        Some((touch.shared(entry), touch.reply))
    }
}

/// A map of others, and the way it is used.
pub(super) struct Other<'s, M> {
    map: M,
    keys: Keys,
    settings: &'s Settings,
}

impl<'s, M: Map> Other<'s, M> {
    pub(super) const fn new(map: M, keys: Keys, settings: &'s Settings) -> Self {
        Self {
            map,
            keys,
            settings,
        }
    }

    #[inline(always)]
    fn status(&mut self, sent: &Sent, number: u64) -> Status {
        let touch = |reply| Touch {
            settings: self.settings,
            tcp_flags: tcp::ACK,
            ingress: sent.reply,
            reply,
            now: at(number),
        };
        let found = match self.keys {
            Keys::Two => {
                let reverse_flags = if sent.reply { Flags::OUT } else { Flags::IN };
                let reverse = sent.tuple.with_flags(reverse_flags);
                match self.map.touch(&reverse, |_| touch(true)) {
                    Some((true, reply)) => Some((true, reply)),
                    _ => self.map.touch(&reverse.reversed(), |_| touch(false)),
                }
            }
            Keys::Sorted => {
                let (key, exchanged) = sorted(sent.tuple);
                // A reply's tuple, as it stands, is the key that the entry was meant to have.
                let reply = |entry_flags: EntryFlags| entry_flags.contains(EXCHANGED) == exchanged;
                self.map
                    .touch(&key, |entry_flags| touch(reply(entry_flags)))
            }
        };
        match found {
            Some((true, true)) => Status::Reply,
            Some((true, false)) => Status::Established,
            _ => Status::New,
        }
    }
}

impl<M: Map> Contender for Other<'_, M> {
    fn look_up(&mut self, packets: &[Sent], number: u64) -> Tally {
        let mut tally = Tally::default();
        for (sent, number) in packets.iter().zip(number..) {
            tally.count(self.status(sent, number));
        }
        tally
    }
}
