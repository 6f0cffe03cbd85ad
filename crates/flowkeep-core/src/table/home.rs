//! A look at the one slot where an entry most likely is, and what keeps it from being wrong.

use super::buckets::{BucketTable, Keys};
use super::hash::BucketPair;
use super::insert::EvictionObserver;
use super::layout::{Record, SLOTS};
use super::memory::Memory;
use super::record::{Handle, StateWord};
use super::word::Word;
use crate::entry::EntryFlags;
use crate::table::Found;
use crate::tuple::Tuple;

/// Where [`EntryFlags`] are in a record's state word.
const MARKS: u32 = 16;

impl<M: Memory, O: EvictionObserver> BucketTable<M, O> {
    /// Looks for two keys in one slot of their first set: the one that their entry takes if it can,
    /// or else the first that has their tag. The first key takes precedence; what is found under the
    /// second says that nothing is under the first.
    #[inline(always)]
    pub(super) fn probe_home(
        &self,
        pair: BucketPair,
        keys: &Keys,
    ) -> Option<Found<Handle<'_, M::Word>>> {
        // Fetched while the tags are, which tell whether it is the one. Measured in the kernel, in a
        // table two thirds full of 524,288 connections, a third of which are elsewhere: 261 ns a
        // packet; 337 where the record is looked at without the tags, 312 with the tags alone.
        let _ = self.memory.record(pair.home())?.state.load();
        let bucket_header = self.memory.bucket_header(pair.first)?;
        let slot = if bucket_header.tag(pair.slot.into()) == pair.tag {
            u32::from(pair.slot)
        } else {
            let matching = M::matching(bucket_header, pair.tag);
            if matching == 0 {
                return None;
            }
            matching.trailing_zeros()
        };
        let index = pair.first * SLOTS as u32 + slot;
        let record = self.memory.record(index)?;
        let state = StateWord(record.state.load_acquire());
        let is_first = keys.differ_first(record) == 0;
        let is_second = keys.differ_second(record) == 0;
        if !((is_first | is_second & !state.has_reverse()) & state.live()) {
            return None;
        }
        if M::SHARED {
            M::Word::fence_acquire();
            let again = StateWord(record.state.load());
            if !again.live() || again.generation() != state.generation() {
                return None;
            }
        }
        Some(Found {
            handle: Handle::new(record, index, state.generation(), M::SHARED),
            is_first,
        })
    }
}

/// EntryFlags as twins the entries that have the ends of `tuple` in the other direction. The caller holds
/// the lock of its first set, which is theirs too.
#[inline(always)]
pub(super) fn flag_reverse<M: Memory>(memory: &M, pair: BucketPair, tuple: &Tuple) {
    let keys = Keys::with_reverse(*tuple);
    for bucket in pair.buckets() {
        let Some(bucket_header) = memory.bucket_header(bucket) else {
            break;
        };
        let mut matching = M::matching(bucket_header, pair.tag);
        for _ in 0..M::CANDIDATES {
            if matching == 0 {
                break;
            }
            let index = bucket * SLOTS as u32 + matching.trailing_zeros();
            matching &= matching - 1;
            let Some(record) = memory.record(index) else {
                break;
            };
            if keys.differ_second(record) == 0 {
                mark(record);
            }
        }
    }
}

/// Whoever the record is of by now: a mark too many is harmless.
#[inline(always)]
fn mark<W: Word>(record: &Record<W>) {
    record
        .state
        .set(u64::from(EntryFlags::HAS_REVERSE.0) << MARKS);
}
