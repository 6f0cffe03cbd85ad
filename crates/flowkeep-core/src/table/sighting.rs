//! Where a search has found an entry, in one register.

use super::record::Handle;
use super::word::Word;
use crate::table::Found;

/// Where an entry is that a search has found: a number, as functions of BPF return things and as
/// the kernel's programs keep it from one step to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting(u64);

/// Nothing was found.
const NOTHING: u64 = 1 << 63;
/// Where the generation is, above the record's number.
const GENERATION: u32 = 32;
/// The entry's key is the second of the two.
const IS_SECOND: u64 = 1 << 48;
/// There is an entry of the same ends in the other direction.
const HAS_REVERSE: u64 = 1 << 49;

impl Sighting {
    /// Nothing was found.
    pub const NONE: Self = Self(NOTHING);

    #[inline(always)]
    pub(super) const fn new(index: u32, generation: u16, is_first: bool) -> Self {
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

    /// The same, with the note that there is an entry of the same ends in the other direction.
    #[inline(always)]
    pub(super) const fn noting(self, has_reverse: bool) -> Self {
        Self(self.0 | if has_reverse { HAS_REVERSE } else { 0 })
    }

    /// 1 if there is an entry of the same ends in the other direction, else 0. Without a branch.
    #[inline(always)]
    pub(super) const fn has_reverse(self) -> u64 {
        self.0 >> HAS_REVERSE.trailing_zeros() & 1
    }

    /// Whether nothing was found.
    #[must_use]
    #[inline(always)]
    pub const fn is_none(self) -> bool {
        self.0 & NOTHING != 0
    }

    #[inline(always)]
    pub(super) const fn is_first(self) -> bool {
        self.0 & IS_SECOND == 0
    }

    #[inline(always)]
    pub(super) const fn index(self) -> u32 {
        self.0 as u32
    }

    #[inline(always)]
    pub(super) const fn generation(self) -> u16 {
        (self.0 >> GENERATION) as u16
    }
}
