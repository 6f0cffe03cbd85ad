//! Probing, for processors that work ahead.

use super::Record;
use super::buckets::{BucketTable, Keys};
use super::evict::EvictionObserver;
use super::hash::BucketPair;
use super::layout::SLOTS;
use super::memory::{Bounds, Memory};
use super::record::Handle;
use super::state_word::StateWord;
use super::word::Word;
use crate::table::Found;

/// An entry under one of two keys. In two registers, `None` included: what is returned through
/// memory from the rare ways would cost the usual one as much.
struct Seen<'t, W> {
    record: &'t Record<W>,
    index: u32,
    generation: u16,
    is_first: bool,
}

// What is apart from the usual way takes its keys by value, for the same reason: a reference to
// them would keep them in memory on every way.
impl<M: Memory, O: EvictionObserver> BucketTable<M, O> {
    /// Whether a record is that of one of two keys.
    ///
    /// Which of the two it is stays data, not a branch: see [`Found`].
    #[inline(always)]
    fn compare(&self, index: u32, keys: &Keys) -> Option<Seen<'_, M::Word>> {
        let record = self.memory.record(index)?;
        let state = StateWord(record.state.load_acquire());
        let [is_first, is_second] = keys.differences(record).map(|bits| bits == 0);
        if !((is_first | is_second) & state.live()) {
            return None;
        }
        if M::SHARED {
            M::Word::fence_acquire();
            let again = StateWord(record.state.load());
            if !again.live() || again.generation() != state.generation() {
                return None;
            }
        }
        Some(Seen {
            record,
            index,
            generation: state.generation(),
            is_first,
        })
    }

    /// Looks for two keys among the slots of a set whose tag is theirs. The first takes precedence.
    #[inline(never)]
    fn scan(&self, bucket: u32, mut matching: u64, keys: Keys) -> Option<Seen<'_, M::Word>> {
        let mut found = None;
        for _ in 0..M::Bounds::CANDIDATES {
            if matching == 0 {
                break;
            }
            let index = bucket * SLOTS as u32 + matching.trailing_zeros();
            matching &= matching - 1;
            if let Some(candidate) = self.compare(index, &keys) {
                let decided = candidate.is_first;
                found = Some(candidate);
                if decided {
                    break;
                }
            }
        }
        found
    }

    /// Looks for two keys in the second set of a place.
    #[inline(never)]
    fn search_second(&self, bucket: u32, tag: u8, keys: Keys) -> Option<Seen<'_, M::Word>> {
        let matching = M::matching(self.memory.bucket_header(bucket)?, tag);
        self.scan(bucket, matching, keys)
    }

    /// Looks for two keys in both sets of a place.
    #[inline(always)]
    pub(super) fn search_ahead(
        &self,
        pair: BucketPair,
        keys: &Keys,
    ) -> Option<Found<Handle<'_, M::Word>>> {
        let header = self.memory.bucket_header(pair.first)?;
        let matching = M::matching(header, pair.tag);
        // Most often one slot has the tag, and it is the one.
        let alone = matching & matching.wrapping_sub(1) == 0;
        let mut found = if !alone {
            self.scan(pair.first, matching, *keys)
        } else if matching != 0 {
            let index = pair.first * SLOTS as u32 + matching.trailing_zeros();
            self.compare(index, keys)
        } else {
            None
        };
        if header.displaced.load() != 0
            && pair.second != pair.first
            && !found.as_ref().is_some_and(|found| found.is_first)
        {
            let elsewhere = self.search_second(pair.second, pair.tag, *keys);
            found = elsewhere.or(found);
        }
        let Seen {
            record,
            index,
            generation,
            is_first,
        } = found?;
        Some(Found {
            handle: Handle::new(record, index, generation, M::SHARED),
            is_first,
        })
    }
}
