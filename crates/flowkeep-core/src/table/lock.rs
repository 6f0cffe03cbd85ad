//! The lock of a bucket, which insertions take for the time of one insertion; and waiting.
//!
//! It is in one word with what else an insertion leaves there. Whoever holds it may be a process
//! that is killed; so the word says since when it is held, and the next insertion takes a lock
//! over whose holder must be dead.

use super::layout::BucketHeader;
use super::memory::{Bounds, Memory};
use super::state_word::{ABANDONED, StateWord};
use super::word::Word;

const LOCKED: u64 = 1;
/// Bits 1 to 31: the second in which the bucket was last searched for expired entries.
const COLLECTED: u64 = 0xffff_fffe;
/// Where the second is in which the lock was taken.
const SINCE: u32 = 32;

/// The lock word of whoever holds the lock. 0 if it could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock(u64);

impl Lock {
    /// Nobody's.
    pub const NONE: Self = Self(0);

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

    /// Whether it could be had.
    #[must_use]
    #[inline(always)]
    pub const fn is_held(self) -> bool {
        self.0 != 0
    }

    /// Whether the bucket was searched for expired entries in this second.
    #[inline]
    pub(super) const fn has_collected(self, now: u32) -> bool {
        self.0 & COLLECTED == (now as u64) << 1 & COLLECTED
    }
}

/// Takes the lock of a bucket, in a bounded number of tries.
#[inline(always)]
pub fn lock<M: Memory>(memory: &M, bucket: u32, now: u32) -> Lock {
    let Some(header) = memory.bucket_header(bucket) else {
        return Lock(0);
    };
    for _ in 0..<M::Bounds as Bounds>::LOCK_TRIES {
        let before = header.lock.load();
        if before & LOCKED == 0 || is_abandoned(before, now) {
            let held = u64::from(now) << SINCE | before & COLLECTED | LOCKED;
            if header.lock.exchange(before, held) {
                return Lock(held);
            }
        }
        M::Word::relax();
    }
    Lock(0)
}

/// Waits until a slot is no longer busy, for as many turns as for a lock.
#[inline(always)]
pub fn wait_while_busy<M: Memory>(memory: &M, index: u32) -> bool {
    let Some(record) = memory.record(index) else {
        return true;
    };
    for _ in 0..<M::Bounds as Bounds>::LOCK_TRIES {
        if !StateWord(record.state.load()).busy() {
            return true;
        }
        M::Word::relax();
    }
    false
}

const fn is_abandoned(word: u64, now: u32) -> bool {
    let since = (word >> SINCE) as u32;
    now.wrapping_sub(since).cast_signed() > ABANDONED.cast_signed()
}

impl Lock {
    /// Gives the lock back. If it was taken over meanwhile, it stays the other's.
    #[inline(always)]
    pub(super) fn release<M: Memory>(self, header: &BucketHeader<M::Word>, collected: Option<u32>) {
        let before = self.0 & COLLECTED;
        let collected = collected.map_or(before, |now| u64::from(now) << 1 & COLLECTED);
        if M::SHARED {
            header.lock.exchange(self.0, collected);
        } else {
            header.lock.store(collected);
        }
    }

    /// The lock of a table that nobody else uses.
    #[inline(always)]
    pub(super) fn alone<W: Word>(header: &BucketHeader<W>) -> Self {
        Self(header.lock.load() | LOCKED)
    }
}
