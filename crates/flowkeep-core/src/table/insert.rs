//! Insertion.
//!
//! Of two packets that come first at the same moment, in one direction or in opposite ones, the
//! second waits for the lock of their bucket and then finds the entry of the first.

use super::buckets::{BucketTable, differences, free_slot};
use super::evict::{EvictReason, Evicted, EvictionObserver, may_go, reason};
use super::hash::BucketPair;
use super::layout::{BucketHeader, Record, SLOTS, Statistic};
use super::lock::Lock;
use super::memory::{Bounds, Memory};
use super::record::Handle;
use super::sighting::Sighting;
use super::state_word::{ENTRY_FLAGS, StateWord};
use super::word::Word;
use crate::attributes::apart_on_host;
use crate::entry::{Entry, EntryFlags};
use crate::error::Refusal;
use crate::table::{Existing, Found, Stored};
use crate::tuple::Tuple;

/// A bucket takes entries of its own without a look at their other bucket while it is filled up to
/// here. Beyond, the emptier of the two is chosen. Fewer would put more entries into their second
/// bucket, where they cost another line; more would leave less room at the end (with 40 the worst
/// of 100 tables of a million slots was filled to 93.1 % at the first refusal).
const COMFORTABLE: u32 = 40;

/// A slot that was chosen for a new entry.
struct Chosen {
    bucket: u32,
    slot: u32,
    /// What it is now.
    before: StateWord,
}

/// What an insertion stores.
#[derive(Clone, Copy)]
pub(super) struct Insertion<'e> {
    pub(super) tuple: &'e Tuple,
    /// The tuple of the other direction under which the connection may be there already.
    pub(super) other: &'e Tuple,
    pub(super) entry: &'e Entry,
    pub(super) existing: Existing,
    pub(super) now: u32,
}

impl<M: Memory, O: EvictionObserver> BucketTable<M, O> {
    apart_on_host! {
    /// Stores an entry: in place of the one under the same tuple, else in a free slot, else in
    /// place of one that may go. Or finds that the connection is there.
    pub(super) fn store_in(
        &self,
        pair: BucketPair,
        insertion: &Insertion<'_>,
    ) -> Result<Stored<Handle<'_, M::Word>>, Refusal> {
        let header = self.memory.bucket_header(pair.first).ok_or(Refusal::Full)?;
        let lock = if M::SHARED {
            self.memory.lock(pair.first, insertion.now)
        } else {
            Lock::alone(header)
        };
        if !lock.is_held() {
            return Err(Refusal::Contended);
        }
        let mut collected = None;
        let stored = self.store_locked(header, pair, insertion, lock, &mut collected);
        lock.release::<M>(header, collected);
        if let Err(Refusal::Full) = stored {
            self.memory.count(Statistic::Refused);
        }
        stored
    }
    }

    #[inline(always)]
    fn store_locked(
        &self,
        home: &BucketHeader<M::Word>,
        pair: BucketPair,
        insertion: &Insertion<'_>,
        lock: Lock,
        collected: &mut Option<u32>,
    ) -> Result<Stored<Handle<'_, M::Word>>, Refusal> {
        let sighting = self
            .memory
            .search_locked(pair, insertion.tuple, insertion.other);
        if let Some(found) = self.found(sighting)
            && let Some(state) = found.handle.state()
        {
            if insertion.existing.keeps(state.lifetime(), insertion.now) {
                return Ok(Stored::Found(found));
            }
            if found.is_first {
                return self.overwrite(&found.handle, insertion);
            }
        }
        // Without a branch, so that it is no known number: on Linux 6.1 the ways to an insertion
        // would never meet.
        let has_reverse = M::Word::opaque(sighting.has_reverse()) as u16;
        let own = EntryFlags(has_reverse * EntryFlags::HAS_REVERSE.0);
        for _ in 0..M::Bounds::CLAIM_TRIES {
            let chosen = self.choose(home, pair, insertion.now, lock, collected)?;
            let header = self
                .memory
                .bucket_header(chosen.bucket)
                .ok_or(Refusal::Full)?;
            let index = chosen.bucket * SLOTS as u32 + chosen.slot;
            let record = self.memory.record(index).ok_or(Refusal::Full)?;
            let busy = chosen.before.claimed(insertion.now);
            if !self.exchange(&record.state, chosen.before, busy) {
                continue;
            }
            self.make_room(&chosen, record, insertion.now);
            if chosen.bucket != pair.first {
                // Before the entry can be found: a reader that sees no displaced ones stops at
                // the first bucket.
                home.displaced.add(1);
            }
            M::Word::fence_release();
            record.write(insertion.tuple, insertion.entry, busy.generation());
            header.set_tag(chosen.slot, pair.tag);
            return self.publish(record, index, busy, insertion.entry, own);
        }
        Err(Refusal::Contended)
    }

    /// Overwrites the entry under the same tuple.
    #[inline(always)]
    fn overwrite<'t>(
        &'t self,
        handle: &Handle<'t, M::Word>,
        insertion: &Insertion<'_>,
    ) -> Result<Stored<Handle<'t, M::Word>>, Refusal> {
        let record = handle.record();
        for _ in 0..M::Bounds::CLAIM_TRIES {
            let Some(state) = handle.state() else {
                break;
            };
            let busy = state.claimed(insertion.now);
            if !self.exchange(&record.state, state, busy) {
                continue;
            }
            if O::OBSERVES {
                let evicted = Evicted { record, state };
                self.observer.on_evict(EvictReason::Overwritten, &evicted);
            }
            self.memory.count(Statistic::Overwritten);
            M::Word::fence_release();
            record.write(insertion.tuple, insertion.entry, busy.generation());
            let own = EntryFlags(state.flags().0 & EntryFlags::HAS_REVERSE.0);
            return self.publish(record, handle.index(), busy, insertion.entry, own);
        }
        // It went, or was updated faster than it could be claimed: whoever comes again finds it.
        Err(Refusal::Contended)
    }

    /// Makes an entry that was written visible.
    #[inline(always)]
    fn publish<'t>(
        &'t self,
        record: &'t Record<M::Word>,
        index: u32,
        busy: StateWord,
        entry: &Entry,
        own: EntryFlags,
    ) -> Result<Stored<Handle<'t, M::Word>>, Refusal> {
        let progress = &entry.progress;
        let flags = EntryFlags(progress.entry_flags.0 | own.0 | EntryFlags::LIVE.0);
        let state = StateWord::new(progress.lifetime, flags, busy.generation());
        // Whoever was stopped for so long that the slot was taken for abandoned has lost it.
        if !self.settle(&record.state, busy, state) {
            return Err(Refusal::Contended);
        }
        let generation = busy.generation();
        Ok(Stored::Inserted(Handle::new(
            record,
            index,
            generation,
            M::SHARED,
        )))
    }

    /// Chooses a slot: a free one, else the one that is the least loss.
    #[inline]
    fn choose(
        &self,
        home: &BucketHeader<M::Word>,
        pair: BucketPair,
        now: u32,
        lock: Lock,
        collected: &mut Option<u32>,
    ) -> Result<Chosen, Refusal> {
        let mut free = M::matching(home, 0);
        let comfortable = |free: u64| SLOTS as u32 - free.count_ones() < COMFORTABLE;
        if M::Bounds::COLLECTS
            && !comfortable(free)
            && !lock.has_collected(now)
            && collected.is_none()
        {
            // Expired entries stay until their room is needed. Then all of them go at once, so
            // that the next insertions find it: nothing expires twice in a second.
            *collected = Some(now);
            self.collect(pair.first, home, now);
            free = M::matching(home, 0);
        }
        let (room, comfortable) = (free.count_ones(), comfortable(free));
        if comfortable || pair.first == pair.second {
            if let Some(chosen) = self.first_free(pair.first, free, pair.slot, now) {
                return Ok(chosen);
            }
        } else {
            let other = self
                .memory
                .bucket_header(pair.second)
                .ok_or(Refusal::Full)?;
            let other = M::matching(other, 0);
            let (own, other) = ((pair.first, free), (pair.second, other));
            let by_room = if room >= other.1.count_ones() {
                [own, other]
            } else {
                [other, own]
            };
            for (bucket, free) in by_room {
                if let Some(chosen) = self.first_free(bucket, free, pair.slot, now) {
                    return Ok(chosen);
                }
            }
        }
        // Also where the slots that seem free are being taken by others just now.
        self.least_loss(pair, now)
    }

    /// The slot of a bucket that is tried before all others, or else the first that is free.
    #[inline]
    fn first_free(&self, bucket: u32, mut free: u64, own: u8, now: u32) -> Option<Chosen> {
        for _ in 0..M::Bounds::CANDIDATES {
            if free == 0 {
                break;
            }
            let slot = free_slot::<M::Word>(free, own);
            free &= !(1 << slot);
            let Some(record) = self.memory.record(bucket * SLOTS as u32 + slot) else {
                break;
            };
            let before = StateWord(record.state.load());
            // A slot without a tag may be another's already, which has yet to set it.
            if before.free() || before.abandoned(now) {
                return Some(Chosen {
                    bucket,
                    slot,
                    before,
                });
            }
        }
        None
    }

    apart_on_host! {
    /// The slot of the two buckets whose entry is the least loss, if any may go at all. It is
    /// judged again after it was chosen, from the state that it is then claimed from: one that was
    /// assured in between stays.
    fn least_loss(&self, pair: BucketPair, now: u32) -> Result<Chosen, Refusal> {
        let least = self.memory.least_loss(pair, now);
        let index = least as u32;
        let record = self.memory.record(index).ok_or(Refusal::Full)?;
        let before = StateWord(record.state.load());
        // It may also have become free since.
        if before.free() || may_go::<M::Word>(before, self.evict, now) {
            return Ok(Chosen {
                bucket: index / SLOTS as u32,
                slot: index % SLOTS as u32,
                before,
            });
        }
        if before.busy() {
            // It is being written or emptied, and may go when that is done.
            self.memory.wait_while_busy(index);
            return Err(Refusal::Contended);
        }
        // If it could have gone a moment ago, another may go now.
        Err(if least >> 32 <= self.evict as u64 {
            Refusal::Contended
        } else {
            Refusal::Full
        })
    }
    }

    /// The slot is ours: reports the entry that was in it.
    #[inline]
    fn make_room(&self, chosen: &Chosen, record: &Record<M::Word>, now: u32) {
        let state = chosen.before;
        let Some(reason) = reason(state, now) else {
            self.memory.count(Statistic::Inserted);
            return;
        };
        let statistic = match reason {
            EvictReason::Expired | EvictReason::Overwritten => Statistic::EvictedExpired,
            EvictReason::Closed => Statistic::EvictedClosed,
            EvictReason::Unassured => Statistic::EvictedUnassured,
        };
        let tuple = record.tuple();
        if O::OBSERVES {
            self.observer.on_evict(reason, &Evicted { record, state });
        }
        self.memory.count(statistic);
        self.no_longer_displaced(&tuple, chosen.bucket);
    }

    /// Frees the slots of a bucket whose entries have expired.
    #[inline(never)]
    fn collect(&self, bucket: u32, header: &BucketHeader<M::Word>, now: u32) {
        let mut used = header.used::<M>();
        for _ in 0..SLOTS {
            if used == 0 {
                break;
            }
            let index = bucket * SLOTS as u32 + used.trailing_zeros();
            used &= used - 1;
            let Some(record) = self.memory.record(index) else {
                break;
            };
            let state = StateWord(record.state.load());
            let (busy, tuple) = (state.claimed(now), record.tuple());
            if state.live() && state.lifetime() < now && self.exchange(&record.state, state, busy) {
                if O::OBSERVES {
                    let evicted = Evicted { record, state };
                    self.observer.on_evict(EvictReason::Expired, &evicted);
                }
                self.vacate(index, record, busy, &tuple);
            }
        }
    }

    /// What was found, if anything: it may have gone since.
    #[must_use]
    #[inline(always)]
    pub fn found(&self, sighting: Sighting) -> Option<Found<Handle<'_, M::Word>>> {
        if sighting.is_none() {
            return None;
        }
        let record = self.memory.record(sighting.index())?;
        let (index, generation) = (sighting.index(), sighting.generation());
        Some(Found {
            handle: Handle::new(record, index, generation, M::SHARED),
            // As 0 or 1: by an unknown number, Linux 6.1 can't tell the second update from the
            // first, and sees a loop without an end.
            is_first: M::Word::opaque(u64::from(!sighting.is_first())) == 0,
        })
    }
}

/// Looks for the entry under `tuple`, or else that under `other`, which has the same ends in the
/// other direction; and flags every entry of those ends in the other direction as having a reverse
/// one, for [`BucketTable`]'s look at one slot. The caller holds the lock of their first bucket.
#[inline(always)]
pub fn search_locked<M: Memory>(
    memory: &M,
    pair: BucketPair,
    tuple: &Tuple,
    other: &Tuple,
) -> Sighting {
    let (mut own, mut reverse, mut has_reverse) = (Sighting::NONE, Sighting::NONE, false);
    for bucket in pair.buckets() {
        let Some(header) = memory.bucket_header(bucket) else {
            break;
        };
        let mut matching = M::matching(header, pair.tag);
        for _ in 0..M::Bounds::CANDIDATES {
            if matching == 0 {
                break;
            }
            let index = bucket * SLOTS as u32 + matching.trailing_zeros();
            matching &= matching - 1;
            let Some(record) = memory.record(index) else {
                break;
            };
            let state = StateWord(record.state.load_acquire());
            if !state.live() {
                continue;
            }
            let words = record.tuple_words();
            if differences::<M::Word>(words, tuple, u64::MAX) == 0 {
                own = Sighting::new(index, state.generation(), true);
                break;
            }
            if differences::<M::Word>(words, other, !Tuple::DIRECTION_AND_KIND) == 0 {
                has_reverse = true;
                // Whoever the record is of by now: a flag too many is harmless.
                record
                    .state
                    .fetch_or(u64::from(EntryFlags::HAS_REVERSE.0) << ENTRY_FLAGS);
                if words[4] == other.words()[4] {
                    reverse = Sighting::new(index, state.generation(), false);
                }
            }
        }
        if !own.is_none() {
            break;
        }
    }
    let found = if own.is_none() { reverse } else { own };
    found.noting(has_reverse)
}
