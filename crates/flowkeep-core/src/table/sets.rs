//! The table: probing.
//!
//! # Who may do what at the same time
//!
//! Readers take no lock. Every change of a slot's owner goes through its life word by
//! compare-and-swap: claim (from free, expired, closed or unanswered to busy, generation plus
//! one), write, publish. What a reader compares was therefore written by one owner if the life
//! word is live and of the same generation before and after the comparison (a sequence lock:
//! acquire load, relaxed loads, acquire fence, relaxed load, against compare-and-swap, release
//! fence, relaxed stores, release store).
//!
//! Insertion of a tuple takes the lock of its first set, in a bounded number of tries, so that
//! two processors can't store the same tuple twice. Slots themselves need no lock: an inserter
//! that comes from another first set loses or wins the claim. Removal takes no lock at all: it
//! claims the slot, from just the life word that it judged. A connection that was refreshed since
//! has another one, and stays.
//!
//! What packets change is in single words. Lifetime, marks and generation are one word, so a late
//! touch never reaches the slot's next owner. What is left is harmless:
//! - what is added or noted after that word was judged, a packet's share of the counters, the
//!   time of the last one, TCP flags seen and report stamps, may reach the next owner if an
//!   expired, closed or unanswered connection is replaced in between. A caller's change of NAT or
//!   backend may too, in the instant between its look at the generation and its store;
//! - two processors that see a TCP flag of one direction for the first time in the same moment
//!   may keep one of them: the other is reported when it comes again;
//! - a generation has 16 bits: a packet that is between finding and touching while its slot
//!   changes owner 65,536 times takes the last of them for its own;
//! - a look-up that runs while its tuple is being inserted may miss it. The insertion that then
//!   follows finds it under the lock, and renews it.

use super::hash::Place;
use super::insert::{Evict, Watch};
use super::layout::{Head, LANES};
use super::memory::Memory;
use super::record::{Handle, Life};
use super::word::Word;
use crate::entry::Entry;
use crate::error::Refusal;
use crate::table::{Found, Table};
use crate::tracker::Instant;
use crate::tuple::Tuple;

/// A set-associative table over memory that somebody else owns. See the module's documentation
/// for what happens when many use it at once.
#[derive(Clone, Copy, Debug)]
pub struct SetTable<M, O = ()> {
    pub(super) memory: M,
    pub(super) watch: O,
    pub(super) evict: Evict,
}

impl<M: Memory> SetTable<M> {
    /// A table that makes room by evicting up to unanswered connections.
    #[must_use]
    pub const fn new(memory: M) -> Self {
        Self {
            memory,
            watch: (),
            evict: Evict::Unanswered,
        }
    }
}

impl<M: Memory, O: Watch> SetTable<M, O> {
    /// A table that tells `watch` what it replaces, and evicts nothing beyond `evict`.
    #[must_use]
    pub const fn with(memory: M, watch: O, evict: Evict) -> Self {
        Self {
            memory,
            watch,
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
    pub const fn watch(&self) -> &O {
        &self.watch
    }

    /// How many entries there is room for.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        u64::from(self.memory.sets()) * LANES as u64
    }

    /// A hint that `place` will be probed soon: first step of a batch.
    #[inline]
    pub fn prefetch(&self, place: Place) {
        self.memory.prefetch_head(place.first);
    }

    /// A hint that `place` will be probed soon, once its head is there: second step of a batch.
    #[inline]
    pub fn prefetch_entry(&self, place: Place) {
        if let Some(head) = self.memory.head(place.first) {
            let matching = head.matching(place.tag);
            if matching != 0 {
                let lane = matching.trailing_zeros();
                self.memory
                    .prefetch_record(place.first * LANES as u32 + lane);
            } else {
                // A new connection, most likely: it will take the first free slot.
                let free = head.matching(0);
                let lane = free.trailing_zeros() % LANES as u32;
                self.memory
                    .prefetch_record(place.first * LANES as u32 + lane);
                if head.displaced.load() != 0 {
                    self.memory.prefetch_head(place.second);
                }
            }
        }
    }

    /// Looks for a tuple's key in one set, and for a second one beside it. The first takes
    /// precedence.
    #[inline(always)]
    fn scan<'t>(
        &'t self,
        set: u32,
        head: &Head<M::Word>,
        tag: u8,
        first: &Tuple,
        second: &Tuple,
        fallback: &mut Option<Handle<'t, M::Word>>,
    ) -> Option<Handle<'t, M::Word>> {
        let mut matching = head.matching(tag);
        // A constant bound, which the kernel's verifier has to see.
        for _ in 0..LANES {
            if matching == 0 {
                break;
            }
            let index = set * LANES as u32 + matching.trailing_zeros();
            matching &= matching - 1;
            let Some(record) = self.memory.record(index) else {
                break;
            };
            let life = Life(record.life.load_acquire());
            let rest = record.tuple[4].load();
            let key = if rest == first.words()[4] && same_addresses(record, first) {
                first
            } else if rest == second.words()[4] && same_addresses(record, second) {
                second
            } else {
                continue;
            };
            if !life.live() {
                continue;
            }
            if M::SHARED {
                M::Word::fence_acquire();
                let again = Life(record.life.load());
                if !again.live() || again.generation() != life.generation() {
                    continue;
                }
            }
            let handle = Handle::new(record, index, life.generation(), M::SHARED);
            if core::ptr::eq(key, first) {
                return Some(handle);
            }
            *fallback = Some(handle);
        }
        None
    }

    /// Looks for two keys in both sets of a place.
    #[inline(always)]
    pub(super) fn search(
        &self,
        place: Place,
        first: &Tuple,
        second: &Tuple,
    ) -> Option<Found<Handle<'_, M::Word>>> {
        let mut fallback = None;
        let head = self.memory.head(place.first)?;
        if let Some(found) = self.scan(place.first, head, place.tag, first, second, &mut fallback) {
            return Some(Found::First(found));
        }
        if head.displaced.load() != 0 && place.second != place.first {
            let head = self.memory.head(place.second)?;
            if let Some(found) =
                self.scan(place.second, head, place.tag, first, second, &mut fallback)
            {
                return Some(Found::First(found));
            }
        }
        fallback.map(Found::Second)
    }
}

#[inline(always)]
fn same_addresses<W: Word>(record: &super::Record<W>, key: &Tuple) -> bool {
    let [d0, d1, s0, s1, _] = &record.tuple;
    let [kd0, kd1, ks0, ks1, _] = key.words();
    // One branch: the four words are on the line that the first of them brought.
    (d0.load() ^ kd0) | (d1.load() ^ kd1) | (s0.load() ^ ks0) | (s1.load() ^ ks1) == 0
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = LOW_BITS << 7;

impl<W: Word> Head<W> {
    /// The slots whose tag is `tag`: bit `n` for slot `n`. Tag 0 is that of free slots.
    #[inline(always)]
    pub(super) fn matching(&self, tag: u8) -> u64 {
        let wanted = u64::from(tag) * LOW_BITS;
        let mut mask = 0;
        for (index, word) in self.tags.iter().enumerate() {
            // A byte of `differing` is 0 where the tag matches. Adding 0x7f to its low seven bits
            // carries into the high bit unless they are 0: exact, without borrows between bytes.
            let differing = word.load() ^ wanted;
            let carried = (differing & !HIGH_BITS) + !HIGH_BITS;
            let zeros = !(carried | differing | !HIGH_BITS);
            // Gathers the high bits of the eight bytes into one.
            let gathered = (zeros >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
            mask |= gathered << (index * 8);
        }
        mask
    }

    /// The tag of a slot.
    #[inline]
    pub(super) fn tag(&self, lane: u32) -> u8 {
        self.tags
            .get(lane as usize / 8)
            .map_or(0, |word| (word.load() >> (lane % 8 * 8)) as u8)
    }

    /// Changes a slot's tag. Only the slot's owner does, so flipping the bits that differ is
    /// exact, whatever others do to the tags beside it.
    #[inline]
    pub(super) fn set_tag(&self, lane: u32, tag: u8) {
        let difference = u64::from(self.tag(lane) ^ tag) << (lane % 8 * 8);
        if let Some(word) = self.tags.get(lane as usize / 8)
            && difference != 0
        {
            word.flip(difference);
        }
    }
}

impl<M: Memory, O: Watch> Table for SetTable<M, O> {
    type Slot<'t>
        = Handle<'t, M::Word>
    where
        Self: 't;
    type Place = Place;

    #[inline]
    fn place(&self, tuple: &Tuple) -> Place {
        Place::new(self.memory.seed().hash(tuple), self.memory.sets())
    }

    #[inline]
    fn find(&self, place: Place, tuple: &Tuple) -> Option<Handle<'_, M::Word>> {
        match self.search(place, tuple, tuple)? {
            Found::First(handle) | Found::Second(handle) => Some(handle),
        }
    }

    #[inline]
    fn probe(
        &self,
        place: Place,
        first: &Tuple,
        second: &Tuple,
    ) -> Option<Found<Handle<'_, M::Word>>> {
        self.search(place, first, second)
    }

    #[inline]
    fn insert(
        &self,
        place: Place,
        tuple: &Tuple,
        entry: &Entry,
        now: Instant,
    ) -> Result<Handle<'_, M::Word>, Refusal> {
        self.store(place, tuple, entry, now.seconds)
    }
}
