//! Removal, the expiry sweep, and slots whose last user died.
//!
//! Removal takes no lock: it claims the slot, from just the state word that it judged. A
//! connection that was updated since has another one, and stays.

use super::buckets::BucketTable;
use super::evict::EvictionObserver;
use super::hash::BucketPair;
use super::layout::{Record, SLOTS, Statistic};
use super::memory::Memory;
use super::record::Handle;
use super::state_word::StateWord;
use super::word::Word;
use crate::entry::{Entry, Progress};
use crate::tracker::ROUNDS;
use crate::tuple::Tuple;

/// What a stretch of an expiry sweep did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Where the next stretch begins; 0 after the last one.
    pub next: u32,
    /// Entries removed.
    pub removed: u64,
}

impl<M: Memory, O: EvictionObserver> BucketTable<M, O> {
    /// Removes an entry if it is still the one that was found. `now` is the second, by the clock of
    /// the table's lifetimes.
    pub fn remove(&self, handle: &Handle<'_, M::Word>, now: u32) -> bool {
        self.remove_if(handle, now, |_| true)
    }

    /// Removes an entry if it is still the one that was found, and no packet has changed its
    /// lifetime or its flags since it was judged.
    pub fn remove_unchanged(
        &self,
        handle: &Handle<'_, M::Word>,
        judged: &Progress,
        now: u32,
    ) -> bool {
        self.remove_if(handle, now, |state| {
            state.lifetime() == judged.lifetime && state.entry_flags() == judged.entry_flags
        })
    }

    /// Removes the expired entries of the `budget` records from `from` on, and calls `expired` with
    /// each. A connection that is updated meanwhile stays. Slots that somebody who died has left
    /// half written or half emptied are free again.
    ///
    /// Nothing depends on it: expired entries are not found, and insertions use the slots of both
    /// again.
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
            if state.abandoned(now) {
                self.reclaim(index, record, state, now);
            }
            if !state.live() || state.lifetime() >= now {
                continue;
            }
            let Some((state, tuple, entry)) = record.snapshot() else {
                continue;
            };
            let handle = Handle::new(record, index, state.generation(), M::SHARED);
            if self.remove_if(&handle, now, |state| state.lifetime() < now) {
                expired(&tuple, &entry);
                removed += 1;
            }
        }
        Sweep {
            next: if end == self.records() { 0 } else { end },
            removed,
        }
    }

    /// Removes an entry if it is still just as it was judged: `judged` is asked with its state as
    /// it is now, and nothing can come between the answer and the removal.
    fn remove_if(
        &self,
        handle: &Handle<'_, M::Word>,
        now: u32,
        judged: impl Fn(StateWord) -> bool,
    ) -> bool {
        let record = handle.record();
        // An entry that packets update meanwhile is judged again.
        for _ in 0..ROUNDS {
            let Some(state) = handle.state() else {
                return false;
            };
            // Before the claim, which tells that it was this entry's.
            let tuple = record.tuple();
            let busy = state.claimed(now);
            if !judged(state) {
                return false;
            }
            if self.exchange(&record.state, state, busy) {
                self.vacate(handle.index(), record, busy, &tuple);
                return true;
            }
        }
        false
    }

    /// Empties a slot whose entry, of this tuple, was claimed.
    ///
    /// Whoever dies in here leaves a busy slot, which [`Self::reclaim`] frees. Whoever is stopped
    /// for so long that the slot is another's by then leaves its tag and its state alone.
    pub(super) fn vacate(
        &self,
        index: u32,
        record: &Record<M::Word>,
        busy: StateWord,
        tuple: &Tuple,
    ) {
        let (bucket, slot) = (index / SLOTS as u32, index % SLOTS as u32);
        let is_ours = || StateWord(record.state.load()).flagged() == busy.flagged();
        if let Some(header) = self.memory.bucket_header(bucket) {
            if M::SHARED {
                header.clear_tag(slot, is_ours);
            } else {
                header.set_tag(slot, 0);
            }
        }
        self.no_longer_displaced(tuple, bucket);
        self.memory.count(Statistic::Removed);
        M::Word::fence_release();
        self.settle(&record.state, busy, busy.vacated());
    }

    /// Frees a slot that was abandoned.
    ///
    /// Whether the count of displaced entries was corrected before is not known. It is left alone:
    /// where it is too high, a look-up looks at a bucket in vain.
    #[inline(never)]
    fn reclaim(&self, index: u32, record: &Record<M::Word>, abandoned: StateWord, now: u32) {
        let busy = abandoned.claimed(now);
        if !self.exchange(&record.state, abandoned, busy) {
            return;
        }
        if let Some(header) = self.memory.bucket_header(index / SLOTS as u32) {
            header.set_tag(index % SLOTS as u32, 0);
        }
        self.settle(&record.state, busy, busy.vacated());
    }

    /// Corrects the count of displaced entries of a tuple's first bucket, after its entry has left
    /// this one.
    #[inline]
    pub(super) fn no_longer_displaced(&self, tuple: &Tuple, bucket: u32) {
        let first = BucketPair::new(self.memory.seed().hash(tuple), self.memory.buckets()).first;
        if first != bucket
            && let Some(header) = self.memory.bucket_header(first)
        {
            header.displaced.add(u64::MAX);
        }
    }

    /// Ends what a claim began. False if somebody has taken the slot for abandoned since.
    #[inline(always)]
    pub(super) fn settle(&self, word: &M::Word, busy: StateWord, after: StateWord) -> bool {
        // Whoever stores the reverse entry may have flagged the slot's last owner a moment late.
        self.exchange(word, busy, after) || self.exchange(word, busy.flagged(), after)
    }

    #[inline(always)]
    pub(super) fn exchange(&self, word: &M::Word, before: StateWord, after: StateWord) -> bool {
        if M::SHARED {
            word.exchange(before.0, after.0)
        } else {
            word.store(after.0);
            true
        }
    }
}
