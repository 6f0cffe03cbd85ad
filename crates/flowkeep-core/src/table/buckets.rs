//! The table.
//!
//! # Who may do what at the same time
//!
//! Readers take no lock. Every change of a slot's owner goes through its state word by
//! compare-and-swap: claim (from free, expired, closed or not assured to busy, generation plus
//! one), write, publish. What a reader compares was therefore written by one owner if the state
//! word is live and of the same generation before and after the comparison (a sequence lock:
//! acquire load, relaxed loads, acquire fence, relaxed load, against compare-and-swap, release
//! fence, relaxed stores, compare-and-swap with release ordering).
//!
//! Insertion of a tuple takes the lock of its first bucket, which is also that of its reverse, in
//! a bounded number of tries. Under the lock it looks for both, so that of two first packets at
//! the same moment the second finds what the first has stored. Slots themselves need no lock: an
//! inserter that comes from another first bucket loses or wins the claim. Removal takes no lock
//! at all: it claims the slot, from just the state word that it judged. A connection that was
//! updated since has another one, and stays.
//!
//! A busy slot and a held lock say since which second they are. A process that is killed in
//! between leaves them behind; after some seconds the next insertion, or the sweep, takes them
//! over. If it was not killed but stopped, its last compare-and-swap fails.
//!
//! # Updates
//!
//! No update is lost. Lifetime, flags and generation are one word, changed by compare-and-swap;
//! TCP flags are added by OR, packets and bytes by addition, in words that carry the low bits of
//! the owner's generation: whoever finds another owner there takes back what was added, and its
//! packet is looked up anew. A compare-and-swap fails only if the word has changed. Under the
//! default rules flags are only ever set and the lifetime changes with the second, so that within
//! a second one owner's word changes a dozen times at most, however many packets come: an update
//! that is tried more often than that gets through.
//!
//! What is left is harmless:
//! - the time of the last packet and the stamps of reports may reach the slot's next owner if an
//!   entry is replaced between the update of its state and theirs: a time of the same instant;
//! - a caller's change of NAT or backend may too, in the instant between its look at the
//!   generation and its store;
//! - a generation has 16 bits: a packet that is between search and update while its slot changes
//!   owner 65,536 times takes the last of them for its own; 256 times between the update of the
//!   state and that of a counter;
//! - a look-up that runs while its tuple is being inserted may miss it. The insertion that then
//!   follows finds it under the lock;
//! - the last packets of an entry that is being evicted may be missing from what the observer is
//!   told of it.
//!
//! # The home slot
//!
//! An entry takes the slot of its first bucket that its hash names, if that is free. A tuple and
//! its reverse have the same one, so a look at it alone finds most connections. What it finds
//! under the second key is the answer only if there is nothing under the first one, elsewhere.
//! That is told by a flag: whenever both are there, each is flagged as having a reverse entry. An
//! insertion, which holds the lock that the insertion of either takes, flags the entry that it
//! finds before it publishes its own with the flag. A flag may outlive its reason, or meet the
//! next owner of a slot that changes hands at that moment: then a look-up takes the long way, no
//! more.

use super::evict::{EvictLimit, EvictionObserver};
use super::hash::BucketPair;
use super::insert::Insertion;
use super::layout::{BucketHeader, Record, SLOTS, Statistic};
use super::memory::{Bounds, Memory};
use super::record::Handle;
use super::word::Word;
use crate::attributes::inline_in_kernel;
use crate::entry::Entry;
use crate::error::Refusal;
use crate::table::{Existing, Found, Stored, Table};
use crate::tracker::Instant;
use crate::tuple::Tuple;

/// A set-associative table over memory that somebody else owns. See the module's documentation
/// for what happens when many use it at once.
#[derive(Clone, Copy, Debug)]
pub struct BucketTable<M, O = ()> {
    pub(super) memory: M,
    pub(super) observer: O,
    pub(super) evict: EvictLimit,
}

impl<M: Memory> BucketTable<M> {
    /// A table that makes room by evicting up to connections that are not assured.
    #[must_use]
    pub const fn new(memory: M) -> Self {
        Self {
            memory,
            observer: (),
            evict: EvictLimit::Unassured,
        }
    }
}

impl<M: Memory, O: EvictionObserver> BucketTable<M, O> {
    /// A table that tells `watch` what it replaces, and evicts nothing beyond `evict`.
    #[must_use]
    pub const fn with(memory: M, observer: O, evict: EvictLimit) -> Self {
        Self {
            memory,
            observer,
            evict,
        }
    }

    /// The memory.
    #[must_use]
    pub const fn memory(&self) -> &M {
        &self.memory
    }

    /// Whoever is told what is replaced.
    #[must_use]
    pub const fn observer(&self) -> &O {
        &self.observer
    }

    /// The place that a hash names. Computed where it is needed: a register holds the hash, and a
    /// place would be written to memory and read again in other pieces, which stalls the processor
    /// until all before it is done (measured: 290 instead of 170 ns a look-up).
    #[inline(always)]
    fn pair(&self, hash: u64) -> BucketPair {
        BucketPair::new(hash, self.memory.buckets())
    }

    /// Looks for two keys in both buckets of a pair.
    #[inline(always)]
    fn search(&self, pair: BucketPair, keys: &Keys) -> Option<Found<Handle<'_, M::Word>>> {
        if M::Bounds::BOUNDED_PROBE {
            self.found(self.memory.search(pair, keys))
        } else {
            self.search_ahead(pair, keys)
        }
    }

    /// How many entries there is room for.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        u64::from(self.memory.buckets()) * SLOTS as u64
    }

    /// A hint that `place` will be probed soon: first step of a batch.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.memory.prefetch_bucket(self.pair(hash).first);
    }

    /// A hint that `place` will be probed soon, once its head is there: second step of a batch.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        let hash = self.pair(hash);
        if let Some(bucket_header) = self.memory.bucket_header(hash.first) {
            let matching = M::matching(bucket_header, hash.tag);
            if matching != 0 {
                let slot = matching.trailing_zeros();
                self.memory
                    .prefetch_record(hash.first * SLOTS as u32 + slot);
            } else {
                // A new connection, most likely: it will take this slot.
                let slot =
                    free_slot::<M::Word>(M::matching(bucket_header, 0), hash.slot) % SLOTS as u32;
                self.memory
                    .prefetch_record(hash.first * SLOTS as u32 + slot);
                if bucket_header.displaced.load() != 0 {
                    self.memory.prefetch_bucket(hash.second);
                }
            }
        }
    }
}

/// Which of these free slots a new entry takes: its own, or else the first.
#[inline(always)]
pub(super) fn free_slot<W: Word>(free: u64, own: u8) -> u32 {
    // Without a branch: it is drawn where every insertion comes by.
    let is_free = W::opaque(free >> own & 1).wrapping_neg() as u32;
    let first = free.trailing_zeros();
    first ^ (first ^ u32::from(own)) & is_free
}

/// What is searched for in one pass: two keys, the first of which takes precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The one that takes precedence.
    pub first: Tuple,
    /// The other one.
    pub second: Tuple,
}

impl Keys {
    /// These two.
    #[must_use]
    #[inline(always)]
    pub const fn pair(first: Tuple, second: Tuple) -> Self {
        Self { first, second }
    }

    /// The bits in which a record's tuple is not the first key, and not the second. Its words are
    /// read once for both.
    #[inline(always)]
    pub(super) fn differences<W: Word>(&self, record: &Record<W>) -> [u64; 2] {
        let words = record.tuple_words();
        [&self.first, &self.second].map(|key| differences::<W>(words, key, u64::MAX))
    }
}

/// The bits in which the words of a record's tuple are not this key's, of whose last word these bits
/// count.
#[inline(always)]
pub(super) fn differences<W: Word>(words: [u64; 5], key: &Tuple, counts: u64) -> u64 {
    let [d0, d1, s0, s1, rest] = words;
    let [kd0, kd1, ks0, ks1, krest] = key.words();
    // No branches: the words are on the line that the first of them brought.
    W::difference(d0, kd0)
        | W::difference(d1, kd1)
        | W::difference(s0, ks0)
        | W::difference(s1, ks1)
        | W::difference(rest, krest) & counts
}

/// Which of the eight tags of a word are `tag`: bit `n` for the n-th, the lowest byte first.
#[inline(always)]
const fn slots_with(tags: u64, tag: u8) -> u64 {
    const LOW_BITS: u64 = 0x0101_0101_0101_0101;
    const HIGH_BITS: u64 = LOW_BITS << 7;
    // A byte of `differing` is 0 where the tag matches. Adding 0x7f to its low seven bits carries
    // into the high bit unless they are 0: exact, without borrows between bytes.
    let differing = tags ^ (tag as u64 * LOW_BITS);
    let carried = (differing & !HIGH_BITS) + !HIGH_BITS;
    let zeros = !(carried | differing | !HIGH_BITS);
    // Gathers the high bits of the eight bytes into one.
    (zeros >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

impl<W: Word> BucketHeader<W> {
    /// The slots whose tag is `tag`: bit `n` for slot `n`. Tag 0 is that of free slots.
    #[inline(always)]
    pub fn matching(&self, tag: u8) -> u64 {
        let mut slots = 0;
        for (word, at) in self.tags.iter().zip((0..).step_by(8)) {
            slots |= slots_with(word.load(), tag) << at;
        }
        slots
    }

    /// The slots that have a tag: bit `n` for slot `n`.
    #[inline]
    pub(super) fn used<M: Memory<Word = W>>(&self) -> u64 {
        !M::matching(self, 0) & ((1 << SLOTS) - 1)
    }

    /// The tag of a slot.
    #[inline]
    pub(super) fn tag(&self, slot: u32) -> u8 {
        self.tags
            .get(slot as usize / 8)
            .map_or(0, |word| (word.load() >> (slot % 8 * 8)) as u8)
    }

    /// Clears the tag of a slot while it `is_ours`. By compare-and-swap: if whoever clears it is
    /// stopped between the look and the change, the tag may be another owner's by then.
    #[inline]
    pub(super) fn clear_tag(&self, slot: u32, is_ours: impl Fn() -> bool) {
        let Some(word) = self.tags.get(slot as usize / 8) else {
            return;
        };
        loop {
            let tags = word.load();
            let cleared = tags & !(0xff << (slot % 8 * 8));
            // It fails only if another slot's tag, or this one's, has changed.
            if !is_ours() || word.exchange(tags, cleared) {
                return;
            }
        }
    }

    /// Changes a slot's tag. Only the slot's owner does, so flipping the bits that differ is
    /// exact, whatever others do to the tags beside it.
    #[inline]
    pub(super) fn set_tag(&self, slot: u32, tag: u8) {
        let difference = u64::from(self.tag(slot) ^ tag) << (slot % 8 * 8);
        if let Some(word) = self.tags.get(slot as usize / 8)
            && difference != 0
        {
            word.flip(difference);
        }
    }
}

impl<M: Memory, O: EvictionObserver> Table for BucketTable<M, O> {
    type Handle<'t>
        = Handle<'t, M::Word>
    where
        Self: 't;
    /// The hash of the tuple.
    type Hash = u64;

    #[inline]
    fn hash(&self, tuple: &Tuple) -> u64 {
        self.memory.seed().hash(tuple)
    }

    inline_in_kernel! {
    fn find(&self, hash: u64, tuple: &Tuple) -> Option<Handle<'_, M::Word>> {
        self.search(self.pair(hash), &Keys::pair(*tuple, *tuple))
            .map(|found| found.handle)
    }
    }

    #[inline(always)]
    fn probe(
        &self,
        hash: u64,
        first: &Tuple,
        second: &Tuple,
    ) -> Option<Found<Handle<'_, M::Word>>> {
        self.search(self.pair(hash), &Keys::pair(*first, *second))
    }

    #[inline(always)]
    fn probe_home(
        &self,
        hash: u64,
        first: &Tuple,
        second: &Tuple,
    ) -> Option<Found<Handle<'_, M::Word>>> {
        self.look_home(self.pair(hash), &Keys::pair(*first, *second))
    }

    #[inline(always)]
    fn store(
        &self,
        hash: u64,
        tuple: &Tuple,
        other: &Tuple,
        entry: &Entry,
        existing: Existing,
        now: Instant,
    ) -> Result<Stored<Handle<'_, M::Word>>, Refusal> {
        let insertion = Insertion {
            tuple,
            other,
            entry,
            existing,
            now: now.seconds,
        };
        self.store_in(self.pair(hash), &insertion)
    }

    #[inline]
    fn give_up(&self) -> Refusal {
        self.memory.count(Statistic::Contended);
        Refusal::Contended
    }
}
