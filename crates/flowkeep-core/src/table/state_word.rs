//! The word that tells what a slot is: free, being written, or an entry in some state.

use crate::entry::EntryFlags;

/// See [`Record::state`](super::Record). The flags of [`EntryFlags`] that are the table's own are
/// among its bits, and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StateWord(pub(super) u64);

/// Where the flags are.
pub(super) const ENTRY_FLAGS: u32 = 16;
/// Where the lifetime is.
pub(super) const LIFETIME: u32 = 32;

/// Flags that are the table's own.
const OWN: u16 = EntryFlags::LIVE.0 | EntryFlags::BUSY.0 | EntryFlags::HAS_REVERSE.0;

/// Seconds after which whoever writes or removes an entry, or holds a bucket's lock, is taken for
/// dead. In the kernel it takes about a microsecond; a process may be stopped in between.
pub(super) const ABANDONED: u32 = 5;

impl StateWord {
    #[inline(always)]
    pub(super) const fn new(lifetime: u32, flags: EntryFlags, generation: u16) -> Self {
        Self((lifetime as u64) << LIFETIME | (flags.0 as u64) << ENTRY_FLAGS | generation as u64)
    }

    /// The same entry's, with another lifetime and other flags, but for those of the table.
    #[inline(always)]
    pub(super) const fn with(self, lifetime: u32, flags: EntryFlags, generation: u16) -> Self {
        let own = self.flags().0 & EntryFlags::HAS_REVERSE.0 | EntryFlags::LIVE.0;
        Self::new(lifetime, EntryFlags(flags.0 | own), generation)
    }

    #[inline(always)]
    pub(super) const fn generation(self) -> u16 {
        self.0 as u16
    }

    /// All of its flags.
    #[inline(always)]
    pub(super) const fn flags(self) -> EntryFlags {
        EntryFlags((self.0 >> ENTRY_FLAGS) as u16)
    }

    /// The flags of the entry, without those that are the table's own.
    #[inline(always)]
    pub(super) const fn entry_flags(self) -> EntryFlags {
        EntryFlags(self.flags().0 & !OWN)
    }

    #[inline(always)]
    pub(super) const fn lifetime(self) -> u32 {
        (self.0 >> LIFETIME) as u32
    }

    /// See [`EntryFlags::HAS_REVERSE`].
    #[inline(always)]
    pub(super) const fn has_reverse(self) -> bool {
        self.flags().contains(EntryFlags::HAS_REVERSE)
    }

    #[inline(always)]
    pub(super) const fn live(self) -> bool {
        self.flags().contains(EntryFlags::LIVE)
    }

    #[inline(always)]
    pub(super) const fn busy(self) -> bool {
        self.flags().contains(EntryFlags::BUSY)
    }

    #[inline(always)]
    pub(super) const fn free(self) -> bool {
        !self
            .flags()
            .intersects(EntryFlags(EntryFlags::LIVE.0 | EntryFlags::BUSY.0))
    }

    /// What a slot is while its next owner writes it, or while it is emptied: busy since `now`.
    #[inline(always)]
    pub(super) const fn claimed(self, now: u32) -> Self {
        Self::new(now, EntryFlags::BUSY, self.generation().wrapping_add(1))
    }

    /// The same, flagged as having a reverse entry.
    #[inline(always)]
    pub(super) const fn flagged(self) -> Self {
        Self(self.0 | (EntryFlags::HAS_REVERSE.0 as u64) << ENTRY_FLAGS)
    }

    /// What a slot is once it has been emptied.
    #[inline(always)]
    pub(super) const fn vacated(self) -> Self {
        Self::new(0, EntryFlags::NONE, self.generation())
    }

    /// Claimed, by somebody who must have died meanwhile.
    #[inline(always)]
    pub(super) const fn abandoned(self, now: u32) -> bool {
        self.busy() && now.wrapping_sub(self.lifetime()).cast_signed() > ABANDONED.cast_signed()
    }
}
