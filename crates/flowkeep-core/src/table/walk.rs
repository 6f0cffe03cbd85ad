//! Iteration and counting.

use super::buckets::BucketTable;
use super::evict::EvictionObserver;
use super::layout::SLOTS;
use super::memory::Memory;
use super::record::Handle;
use super::state_word::StateWord;
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

impl<M: Memory, O: EvictionObserver> BucketTable<M, O> {
    pub(super) fn records(&self) -> u32 {
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
            } else if entry_flags.assured() {
                &mut census.answered
            } else {
                &mut census.unanswered
            };
            *kind += 1;
        }
        census
    }
}
