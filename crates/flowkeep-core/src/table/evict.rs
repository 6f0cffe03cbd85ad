//! Who makes room.

use super::hash::BucketPair;
use super::layout::{Record, SLOTS};
use super::memory::{Bounds, Memory};
use super::state_word::{ABANDONED, StateWord};
use super::word::Word;
use crate::entry::{Entry, EntryFlags};
use crate::tuple::Tuple;

/// What a table may evict to make room, each including what stands before it. An assured
/// connection is never evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EvictLimit {
    /// Entries past their lifetime.
    Expired = 0,
    /// Connections closing in both directions.
    Closed = 1,
    /// Connections that are not assured; the one that expires first.
    Unassured = 2,
}

/// Why an entry left its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EvictReason {
    /// Its tuple was stored again.
    Overwritten,
    /// It had expired.
    Expired,
    /// It was closed, and its room was needed.
    Closed,
    /// It was not assured, and its room was needed.
    Unassured,
}

/// Observes entries that make room for others.
pub trait EvictionObserver {
    /// Whether anybody observes: if not, entries are not read before they go.
    const OBSERVES: bool = true;

    /// An entry is about to be overwritten.
    fn on_evict<W: Word>(&self, reason: EvictReason, evicted: &Evicted<'_, W>);
}

/// Nobody observes.
impl EvictionObserver for () {
    const OBSERVES: bool = false;

    fn on_evict<W: Word>(&self, _: EvictReason, _: &Evicted<'_, W>) {}
}

/// An entry that leaves its slot, which is claimed already.
#[derive(Debug)]
pub struct Evicted<'t, W> {
    pub(super) record: &'t Record<W>,
    /// What the slot was before it was claimed.
    pub(super) state: StateWord,
}

impl<'t, W: Word> Evicted<'t, W> {
    /// The tuple that it was stored under.
    #[must_use]
    #[inline]
    pub fn tuple(&self) -> Tuple {
        self.record.tuple()
    }

    /// The entry.
    #[must_use]
    #[inline]
    pub fn entry(&self) -> Entry {
        self.record.read(self.state)
    }

    /// The record, whose first word is no longer the entry's.
    #[must_use]
    #[inline]
    pub const fn record(&self) -> &'t Record<W> {
        self.record
    }

    /// The record's first word as it was.
    #[must_use]
    #[inline]
    pub const fn state(&self) -> u64 {
        self.state.0
    }
}

/// What is left alone: see [`loss`].
const KEPT: u64 = 3;

/// The record of a pair's two buckets whose entry is the least loss, and above bit 32 from which
/// [`EvictLimit`] on it may go, or `KEPT`: in one number, as functions of BPF return things.
#[inline(always)]
pub fn least_loss<M: Memory>(memory: &M, pair: BucketPair, now: u32) -> u64 {
    // In whole words: of a variable of 32 bits the verifier forgets the value where it has to be
    // put on the stack.
    let (mut best, mut least) = (0, u64::MAX >> 1);
    for bucket in [pair.first, pair.second] {
        let first = u64::from(bucket) * SLOTS as u64;
        for slot in 0..SLOTS as u64 {
            let index = first + slot;
            let Some(record) = memory.record(index as u32) else {
                if M::Bounds::BOUNDED_PROBE {
                    // A table has all records of its buckets. The verifier, which does not know
                    // it, need not walk through what would follow.
                    return least >> 32 << 32 | best;
                }
                break;
            };
            let loss = loss::<M::Word>(StateWord(record.state.load()), now);
            let less = all_if_less::<M::Word>(loss, least);
            least = chosen(less, loss, least);
            best = chosen(less, index, best);
        }
    }
    least >> 32 << 32 | best
}

/// How much an entry is missed: the [`EvictLimit`] from which on it may go above bit 32, or
/// [`KEPT`], and its lifetime below. A slot that was abandoned while it was written or emptied
/// counts as expired.
///
/// Without branches: nobody can foresee them, and the kernel's verifier would walk every way
/// through them in each of all the slots.
#[inline(always)]
fn loss<W: Word>(state: StateWord, now: u32) -> u64 {
    let (flags, lifetime) = (state.flags(), u64::from(state.lifetime()));
    let bit = |of: EntryFlags| W::opaque(u64::from(flags.0 >> of.0.trailing_zeros()) & 1);
    let expired = all_if_less::<W>(lifetime, u64::from(now));
    let closed = all_if(bit(EntryFlags::RX_CLOSING) & bit(EntryFlags::TX_CLOSING));
    let assured =
        bit(EntryFlags::REPLIED) & (bit(EntryFlags::TCP) ^ 1 | bit(EntryFlags::SEEN_NON_SYN));
    let worth = !expired & chosen(closed, 1, 2 + assured);
    let abandoned = all_if(bit(EntryFlags::BUSY))
        & all_if_less::<W>(lifetime + u64::from(ABANDONED), u64::from(now));
    let absent = all_if(bit(EntryFlags::LIVE) ^ 1) & !abandoned;
    (worth & all_if(bit(EntryFlags::LIVE)) | absent & KEPT) << 32 | lifetime
}

/// All ones if `bit` is 1, 0 if it is 0.
#[inline(always)]
const fn all_if(bit: u64) -> u64 {
    0_u64.wrapping_sub(bit)
}

/// All ones if `a` is less than `b`, else 0; for numbers below 2^63.
#[inline(always)]
fn all_if_less<W: Word>(a: u64, b: u64) -> u64 {
    let difference = W::opaque(a.wrapping_sub(b));
    W::opaque((difference.cast_signed() >> 63).cast_unsigned())
}

/// `a` if `mask` is all ones, `b` if it is 0.
#[inline(always)]
const fn chosen(mask: u64, a: u64, b: u64) -> u64 {
    b ^ ((a ^ b) & mask)
}

/// Whether a slot in this state may be taken by a table that evicts up to `limit`.
#[inline(always)]
pub(super) fn may_go<W: Word>(state: StateWord, limit: EvictLimit, now: u32) -> bool {
    loss::<W>(state, now) >> 32 <= limit as u64
}

/// Why an entry makes room for another, if it is one that may.
#[inline(always)]
pub(super) fn reason(state: StateWord, now: u32) -> Option<EvictReason> {
    let flags = state.flags();
    if !state.live() {
        None
    } else if state.lifetime() < now {
        Some(EvictReason::Expired)
    } else if flags.contains(EntryFlags::CLOSED) {
        Some(EvictReason::Closed)
    } else if !flags.assured() {
        Some(EvictReason::Unassured)
    } else {
        None
    }
}
