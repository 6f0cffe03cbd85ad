//! Iteration, counting and the expiry sweep.

use super::buckets::BucketTable;
use super::insert::EvictionObserver;
use super::layout::SLOTS;
use super::memory::Memory;
use super::record::{Handle, StateWord};
use super::word::Word;
use crate::entry::{Entry, EntryFlags};
use crate::tuple::Tuple;

/// How many entries are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Slots that hold an entry, expired or not.
    pub entries: u64,
    /// Past their lifetime, and not collected yet.
    pub expired: u64,
    /// Closing in both directions.
    pub closed: u64,
    /// Closing in one direction.
    pub closing: u64,
    /// Answered, and not closing.
    pub answered: u64,
    /// Not answered, and not closing.
    pub unanswered: u64,
}

/// What a stretch of an expiry sweep did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Where the next stretch begins; 0 after the last one.
    pub next: u32,
    /// Entries removed.
    pub removed: u64,
}

impl<M: Memory, O: EvictionObserver> BucketTable<M, O> {
    fn records(&self) -> u32 {
        self.memory.buckets().saturating_mul(SLOTS as u32)
    }

    /// Every entry, with its tuple and a handle. An entry that is replaced while it is read is
    /// left out; one that comes or goes meanwhile may be there or not.
    pub fn iter(&self) -> impl Iterator<Item = (Handle<'_, M::Word>, Tuple, Entry)> {
        (0..self.records()).filter_map(|index| self.at(index))
    }

    /// The entry in a slot, by the number that [`Handle::index`] gives.
    #[must_use]
    pub fn at(&self, index: u32) -> Option<(Handle<'_, M::Word>, Tuple, Entry)> {
        let record = self.memory.record(index)?;
        let (state, tuple, entry) = record.snapshot()?;
        let handle = Handle::new(record, index, state.generation(), M::SHARED);
        Some((handle, tuple, entry))
    }

    /// Counts the entries by state. Reads one word of each record.
    pub fn census(&self, now: u32) -> Census {
        let mut census = Census::default();
        for index in 0..self.records() {
            let Some(record) = self.memory.record(index) else {
                break;
            };
            let state = StateWord(record.state.load());
            if !state.live() {
                continue;
            }
            census.entries += 1;
            let entry_flags = state.entry_flags();
            let kind = if state.lifetime() < now {
                &mut census.expired
            } else if entry_flags.contains(EntryFlags::CLOSED) {
                &mut census.closed
            } else if entry_flags.intersects(EntryFlags::CLOSED) {
                &mut census.closing
            } else if entry_flags.answered() {
                &mut census.answered
            } else {
                &mut census.unanswered
            };
            *kind += 1;
        }
        census
    }

    /// Removes the expired entries of the `budget` records from `from` on, and tells `expired` of
    /// each. A connection that is refreshed meanwhile stays.
    ///
    /// Nothing depends on it: expired entries are not found, and their slots are used again.
    pub fn sweep(
        &self,
        from: u32,
        budget: u32,
        now: u32,
        mut expired: impl FnMut(&Tuple, &Entry),
    ) -> Sweep {
        let end = from.saturating_add(budget).min(self.records());
        let mut removed = 0;
        for index in from..end {
            let Some(record) = self.memory.record(index) else {
                break;
            };
            let state = StateWord(record.state.load());
            if !state.live() || state.lifetime() >= now {
                continue;
            }
            let Some((state, tuple, entry)) = record.snapshot() else {
                continue;
            };
            let handle = Handle::new(record, index, state.generation(), M::SHARED);
            if self.remove_if(&handle, |state| state.lifetime() < now) {
                expired(&tuple, &entry);
                removed += 1;
            }
        }
        Sweep {
            next: if end == self.records() { 0 } else { end },
            removed,
        }
    }
}
