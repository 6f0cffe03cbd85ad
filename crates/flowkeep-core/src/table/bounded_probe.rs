//! Probing, for the kernel's verifier.
//!
//! The verifier walks every way through a loop and from it on, unless two of them meet with the
//! same knowledge of every variable. Here all ways lead to one place behind the loop, where what
//! was found is just a number; and every variable has a value from the start, for the verifier
//! refuses to see unset ones copied, as those of a `None` are.

use super::buckets::{BucketTable, Keys};
use super::hash::BucketPair;
use super::home::flag_reverse;
use super::insert::EvictionObserver;
use super::layout::{BucketHeader, SLOTS};
use super::memory::Memory;
use super::record::{Handle, StateWord};
use super::word::Word;
use crate::entry::EntryFlags;
use crate::table::Found;
use crate::tuple::Tuple;

/// Where an entry is that a search has found: in one register, as functions of BPF return things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting(u64);

/// In generations' place: nothing was found.
const NOTHING: u64 = 1 << 63;
const GENERATION: u32 = 32;
/// The entry's key is the second of the two.
const IS_SECOND: u64 = 1 << 48;
/// Nothing was found but twins.
const HAS_HAS_REVERSE: u64 = 1 << 49;

impl Sighting {
    /// Nothing was found.
    pub const NONE: Self = Self(NOTHING);

    #[inline(always)]
    const fn new(index: u32, generation: u16, is_first: bool) -> Self {
        let second = if is_first { 0 } else { IS_SECOND };
        Self(index as u64 | (generation as u64) << GENERATION | second)
    }

    /// The place of what was found.
    #[must_use]
    #[inline(always)]
    pub fn of<W: Word>(found: &Found<Handle<'_, W>>) -> Self {
        Self::new(
            found.handle.index(),
            found.handle.generation(),
            found.is_first,
        )
    }

    /// As a number.
    #[must_use]
    #[inline(always)]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The inverse of [`Self::bits`].
    #[must_use]
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The same entry, as if it had been searched for under the second key alone.
    #[must_use]
    #[inline(always)]
    pub const fn of_second(self) -> Self {
        Self(self.0 | IS_SECOND)
    }

    #[inline(always)]
    const fn is_none(self) -> bool {
        self.0 & NOTHING != 0
    }

    #[inline(always)]
    const fn is_first(self) -> bool {
        self.0 & IS_SECOND == 0
    }
}

/// Looks for two keys in one set. The first takes precedence. An entry that goes meanwhile may
/// hide another one under the second key, as if the look-up had been a moment before.
#[inline(always)]
fn scan<M: Memory>(
    memory: &M,
    bucket: u32,
    bucket_header: &BucketHeader<M::Word>,
    tag: u8,
    keys: &Keys,
) -> Sighting {
    const NONE: u32 = u32::MAX;
    let (mut index, mut before, mut differing) = (NONE, StateWord(0), 0);
    let mut matching = M::matching(bucket_header, tag);
    for _ in 0..M::CANDIDATES {
        if matching == 0 {
            break;
        }
        let candidate = bucket * SLOTS as u32 + matching.trailing_zeros();
        matching &= matching - 1;
        let Some(record) = memory.record(candidate) else {
            break;
        };
        let state = StateWord(record.state.load_acquire());
        let of_first = keys.differ_first(record);
        if of_first != 0 && keys.differ_second(record) != 0 {
            continue;
        }
        (index, before, differing) = (candidate, state, of_first);
        if of_first == 0 {
            break;
        }
    }
    if index == NONE {
        return Sighting::NONE;
    }
    let Some(record) = memory.record(index) else {
        return Sighting::NONE;
    };
    M::Word::fence_acquire();
    let after = StateWord(record.state.load());
    if !before.live() || !after.live() || before.generation() != after.generation() {
        return Sighting::NONE;
    }
    Sighting::new(index, before.generation(), differing == 0)
}

/// Looks for a key that is to be stored, and if it is not there marks the twins that it is to have.
#[inline(always)]
pub fn search_and_flag_reverse<M: Memory>(memory: &M, pair: BucketPair, tuple: &Tuple) -> Sighting {
    let found = search(memory, pair, &Keys::with_reverse(*tuple));
    if found.is_none() || found.is_first() {
        return found;
    }
    flag_reverse(memory, pair, tuple);
    Sighting(NOTHING | HAS_HAS_REVERSE)
}

/// Looks for two keys in both sets of a place. The first takes precedence.
#[inline(always)]
pub fn search<M: Memory>(memory: &M, pair: BucketPair, keys: &Keys) -> Sighting {
    let Some(home) = memory.bucket_header(pair.first) else {
        return Sighting::NONE;
    };
    let found = scan(memory, pair.first, home, pair.tag, keys);
    let enough = !found.is_none() && found.is_first();
    if enough || pair.second == pair.first || home.displaced.load() == 0 {
        return found;
    }
    let Some(bucket_header) = memory.bucket_header(pair.second) else {
        return found;
    };
    let other = scan(memory, pair.second, bucket_header, pair.tag, keys);
    if other.is_none() { found } else { other }
}

impl<M: Memory, O: EvictionObserver> BucketTable<M, O> {
    /// Looks for two keys in both sets of a place.
    #[inline(always)]
    pub(super) fn search(
        &self,
        pair: BucketPair,
        keys: &Keys,
    ) -> Option<Found<Handle<'_, M::Word>>> {
        self.found(self.memory.search(pair, keys))
    }

    /// Looks for a key that is to be stored, and if it is not there marks the twins that it is to
    /// have. Also returns the mark that its own entry is to have: what is found may go, and may have
    /// had a twin.
    #[inline(always)]
    pub(super) fn search_and_flag_reverse(
        &self,
        pair: BucketPair,
        tuple: &Tuple,
    ) -> (Option<Handle<'_, M::Word>>, EntryFlags) {
        let sighting = self.memory.search_and_flag_reverse(pair, tuple);
        // Without a branch, so that it is no known number: on Linux 6.1 the ways to an insertion
        // would never meet.
        let bits = M::Word::opaque(sighting.bits());
        let reverse = (bits & NOTHING ^ NOTHING) >> 63
            | (bits & HAS_HAS_REVERSE) >> HAS_HAS_REVERSE.trailing_zeros();
        let mark = EntryFlags(reverse as u16 * EntryFlags::HAS_REVERSE.0);
        (self.found(sighting).map(|found| found.handle), mark)
    }

    /// What was found, if anything: it may have gone since.
    #[must_use]
    #[inline(always)]
    pub fn found(&self, found: Sighting) -> Option<Found<Handle<'_, M::Word>>> {
        if found.is_none() {
            return None;
        }
        let (index, generation) = (found.0 as u32, (found.0 >> GENERATION) as u16);
        let record = self.memory.record(index)?;
        Some(Found {
            handle: Handle::new(record, index, generation, M::SHARED),
            // As 0 or 1: by an unknown number, Linux 6.1 can't tell the second touch from the
            // first, and sees a loop without an end.
            is_first: M::Word::opaque(found.0 & IS_SECOND) == 0,
        })
    }
}
