//! Insertion, removal, and who makes room.

use super::buckets::{BucketTable, free_slot};
use super::hash::BucketPair;
use super::layout::{BucketHeader, Record, SLOTS, Statistic};
use super::memory::Memory;
use super::record::{Handle, StateWord, visible};
use super::word::Word;
use crate::entry::{Entry, EntryFlags, Progress};
use crate::error::Refusal;
use crate::tuple::Tuple;

/// What a table may evict to make room, each including what stands before it. An answered
/// connection is never evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EvictLimit {
    /// Entries past their lifetime.
    Expired = 0,
    /// Connections closing in both directions.
    Closed = 1,
    /// Connections that have not been answered; the one that expires first.
    Unanswered = 2,
}

/// Why an entry went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EvictReason {
    /// Its tuple was stored again.
    Overwritten,
    /// It had expired.
    Expired,
    /// It was closed, and its room was needed.
    Closed,
    /// It was unanswered, and its room was needed.
    Unanswered,
}

/// Is told of entries that make room for others.
pub trait EvictionObserver {
    /// Whether anybody listens: if not, entries are not read before they go.
    const OBSERVES: bool = true;

    /// An entry is about to be overwritten.
    fn on_evict<W: Word>(&self, why: EvictReason, gone: &Evicted<'_, W>);
}

/// Nobody listens.
impl EvictionObserver for () {
    const OBSERVES: bool = false;

    fn on_evict<W: Word>(&self, _: EvictReason, _: &Evicted<'_, W>) {}
}

/// An entry that leaves its slot, which is claimed already.
#[derive(Debug)]
pub struct Evicted<'t, W> {
    record: &'t Record<W>,
    /// What the slot was before it was claimed.
    state: StateWord,
}

impl<'t, W: Word> Evicted<'t, W> {
    /// The tuple that it was stored under.
    #[must_use]
    #[inline]
    pub fn tuple(&self) -> Tuple {
        self.record.read_tuple()
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

/// A set takes entries of its own without a look at their other set while it is filled up to
/// here. Beyond, the emptier of the two is chosen. Fewer would put more entries into their second
/// set, where they cost another line; more would leave less room at the end (with 40 the worst of
/// 100 tables of a million slots was filled to 93.1 % at the first refusal).
const COMFORTABLE: u32 = 40;

/// A slot that was claimed for a new entry.
struct Claimed {
    bucket: u32,
    slot: u32,
    /// What it was before.
    before: StateWord,
}

impl<M: Memory, O: EvictionObserver> BucketTable<M, O> {
    /// Stores an entry: in place of the one under the same tuple, else in a free slot, else in
    /// place of one that may go.
    // BPF functions take five arguments and share 512 bytes of stack: inlined, most of the entry
    // is constant and takes none.
    #[cfg_attr(target_arch = "bpf", inline(always))]
    #[cfg_attr(not(target_arch = "bpf"), inline(never))]
    pub(super) fn store(
        &self,
        pair: BucketPair,
        tuple: &Tuple,
        entry: &Entry,
        now: u32,
    ) -> Result<Handle<'_, M::Word>, Refusal> {
        let bucket_header = self.memory.bucket_header(pair.first).ok_or(Refusal::Full)?;
        let unlocked = if M::SHARED {
            lock::<M>(bucket_header)
        } else {
            Some(bucket_header.lock.load())
        };
        let Some(unlocked) = unlocked else {
            self.memory.count(Statistic::Contended);
            return Err(Refusal::Contended);
        };
        let mut collected = (unlocked >> 1) as u32;
        let stored = self.store_locked(bucket_header, pair, tuple, entry, now, &mut collected);
        bucket_header.lock.store_release(u64::from(collected) << 1);
        match stored {
            Err(Refusal::Contended) => self.memory.count(Statistic::Contended),
            Err(_) => self.memory.count(Statistic::Refused),
            Ok(_) => {}
        }
        stored
    }

    #[inline(always)]
    fn store_locked(
        &self,
        home: &BucketHeader<M::Word>,
        pair: BucketPair,
        tuple: &Tuple,
        entry: &Entry,
        now: u32,
        collected: &mut u32,
    ) -> Result<Handle<'_, M::Word>, Refusal> {
        let (found, own) = self.search_and_flag_reverse(pair, tuple);
        if let Some(handle) = found
            && let Some(renewed) = self.renew(&handle, tuple, entry)
        {
            return renewed;
        }
        for _ in 0..M::CLAIM_TRIES {
            let Some(claimed) = self.claim(home, pair, now, collected) else {
                return Err(Refusal::Full);
            };
            let bucket = self
                .memory
                .bucket_header(claimed.bucket)
                .ok_or(Refusal::Full)?;
            let index = claimed.bucket * SLOTS as u32 + claimed.slot;
            let record = self.memory.record(index).ok_or(Refusal::Full)?;
            let busy = claimed.before.claimed();
            if !self.exchange(&record.state, claimed.before, busy) {
                continue;
            }
            self.make_room(&claimed, record, now);
            if claimed.bucket != pair.first {
                // Before the entry can be found: a reader that sees no displaced ones stops at
                // the first set.
                home.displaced.add(1);
            }
            M::Word::fence_release();
            record.write(tuple, entry);
            bucket.set_tag(claimed.slot, pair.tag);
            return Ok(self.publish(record, index, busy, entry, own));
        }
        Err(Refusal::Contended)
    }

    /// Overwrites the entry under the same tuple. `None` if it went meanwhile. If it is still
    /// there, and only refreshed faster than it can be claimed, storing the tuple elsewhere would
    /// store it twice.
    fn renew<'t>(
        &'t self,
        handle: &Handle<'t, M::Word>,
        tuple: &Tuple,
        entry: &Entry,
    ) -> Option<Result<Handle<'t, M::Word>, Refusal>> {
        for _ in 0..M::CLAIM_TRIES {
            let state = handle.state()?;
            let busy = state.claimed();
            if !self.exchange(&handle.record().state, state, busy) {
                continue;
            }
            if O::OBSERVES {
                let record = handle.record();
                self.observer
                    .on_evict(EvictReason::Overwritten, &Evicted { record, state });
            }
            self.memory.count(Statistic::Overwritten);
            M::Word::fence_release();
            handle.record().write(tuple, entry);
            let reverse = EntryFlags(state.entry_flags().0 & EntryFlags::HAS_REVERSE.0);
            return Some(Ok(self.publish(
                handle.record(),
                handle.index(),
                busy,
                entry,
                reverse,
            )));
        }
        Some(Err(Refusal::Contended))
    }

    #[inline]
    fn publish<'t>(
        &'t self,
        record: &'t Record<M::Word>,
        index: u32,
        busy: StateWord,
        entry: &Entry,
        own: EntryFlags,
    ) -> Handle<'t, M::Word> {
        let entry_flags =
            EntryFlags(visible(entry.progress.entry_flags).0 | own.0 | EntryFlags::LIVE.0);
        let state = StateWord::new(entry.progress.lifetime, entry_flags, busy.generation());
        record.state.store_release(state.0);
        Handle::new(record, index, state.generation(), M::SHARED)
    }

    /// Chooses a slot: a free one, else the one that is the least loss.
    #[inline]
    fn claim(
        &self,
        home: &BucketHeader<M::Word>,
        pair: BucketPair,
        now: u32,
        collected: &mut u32,
    ) -> Option<Claimed> {
        let mut free = M::matching(home, 0);
        let comfortable = |free: u64| SLOTS as u32 - free.count_ones() < COMFORTABLE;
        if M::COLLECTS && !comfortable(free) && *collected != now {
            // Expired entries stay until their room is needed. Then all of them go at once, so
            // that the next insertions find it: nothing expires twice in a second.
            *collected = now;
            self.collect(pair.first, home, now);
            free = M::matching(home, 0);
        }
        let (room, comfortable) = (free.count_ones(), comfortable(free));
        if comfortable || pair.first == pair.second {
            if let Some(claimed) = self.first_free(pair.first, free, pair.slot) {
                return Some(claimed);
            }
        } else {
            let other = M::matching(self.memory.bucket_header(pair.second)?, 0);
            let (own, other) = ((pair.first, free), (pair.second, other));
            let by_room = if room >= other.1.count_ones() {
                [own, other]
            } else {
                [other, own]
            };
            for (bucket, free) in by_room {
                if let Some(claimed) = self.first_free(bucket, free, pair.slot) {
                    return Some(claimed);
                }
            }
        }
        // Also where the slots that seem free are being taken by others just now.
        self.least_loss(pair, now)
    }

    /// The slot of a set that is tried before all others, or else the first that is free.
    #[inline]
    fn first_free(&self, bucket: u32, mut free: u64, own: u8) -> Option<Claimed> {
        for _ in 0..M::CANDIDATES {
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
            if before.free() {
                return Some(Claimed {
                    bucket,
                    slot,
                    before,
                });
            }
        }
        None
    }

    /// The slot of the two sets whose entry is the least loss, if any may go at all.
    #[cfg(not(target_arch = "bpf"))]
    #[inline(never)]
    fn least_loss(&self, pair: BucketPair, now: u32) -> Option<Claimed> {
        let (loss, index, before) = least_loss(&self.memory, pair, now);
        let (bucket, slot) = (index / SLOTS as u32, index % SLOTS as u32);
        (loss >> 32 <= self.evict as u64).then_some(Claimed {
            bucket,
            slot,
            before,
        })
    }

    /// As on the host, but that the entry is judged again after it was chosen: functions of BPF
    /// return a single number. One that was answered in between stays.
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    fn least_loss(&self, pair: BucketPair, now: u32) -> Option<Claimed> {
        let index = self.memory.least_loss(pair, now)?;
        let before = StateWord(self.memory.record(index)?.state.load());
        let (bucket, slot) = (index / SLOTS as u32, index % SLOTS as u32);
        let kind = loss::<M::Word>(before, now) >> 32;
        (kind <= self.evict as u64).then_some(Claimed {
            bucket,
            slot,
            before,
        })
    }

    /// The slot is ours: says goodbye to the entry that was in it.
    #[inline]
    fn make_room(&self, claimed: &Claimed, record: &Record<M::Word>, now: u32) {
        let before = claimed.before;
        let Some(kind) = before.live().then(|| expendable(before, now)).flatten() else {
            self.memory.count(Statistic::Inserted);
            return;
        };
        let (statistic, why) = match kind {
            EvictLimit::Expired => (Statistic::ReplacedExpired, EvictReason::Expired),
            EvictLimit::Closed => (Statistic::ReplacedClosed, EvictReason::Closed),
            EvictLimit::Unanswered => (Statistic::ReplacedUnanswered, EvictReason::Unanswered),
        };
        let tuple = record.read_tuple();
        if O::OBSERVES {
            let state = before;
            self.observer.on_evict(why, &Evicted { record, state });
        }
        self.memory.count(statistic);
        self.no_longer_displaced(&tuple, claimed.bucket);
    }

    /// An entry has left a set: its first set's count of displaced ones is told.
    #[inline]
    fn no_longer_displaced(&self, tuple: &Tuple, bucket: u32) {
        let first = BucketPair::new(self.memory.seed().hash(tuple), self.memory.buckets()).first;
        if first != bucket
            && let Some(bucket_header) = self.memory.bucket_header(first)
        {
            bucket_header.displaced.add(u64::MAX);
        }
    }

    /// Frees the slots of a set whose entries have expired.
    #[inline(never)]
    fn collect(&self, bucket: u32, bucket_header: &BucketHeader<M::Word>, now: u32) {
        let mut used = bucket_header.used::<M>();
        for _ in 0..SLOTS {
            if used == 0 {
                break;
            }
            let slot = used.trailing_zeros();
            used &= used - 1;
            let Some(record) = self.memory.record(bucket * SLOTS as u32 + slot) else {
                break;
            };
            let state = StateWord(record.state.load());
            if state.live()
                && state.lifetime() < now
                && self.exchange(&record.state, state, state.claimed())
            {
                if O::OBSERVES {
                    self.observer
                        .on_evict(EvictReason::Expired, &Evicted { record, state });
                }
                self.vacate(bucket, slot, record, state);
            }
        }
    }

    /// Removes an entry if it is still just as it was judged: `judged` is asked with its state as
    /// it is now, and nothing can come between the answer and the removal.
    pub(super) fn remove_if(
        &self,
        handle: &Handle<'_, M::Word>,
        judged: impl Fn(StateWord) -> bool,
    ) -> bool {
        let Some(state) = handle.state() else {
            return false;
        };
        let record = handle.record();
        if !judged(state) || !self.exchange(&record.state, state, state.claimed()) {
            return false;
        }
        let (bucket, slot) = (handle.index() / SLOTS as u32, handle.index() % SLOTS as u32);
        self.vacate(bucket, slot, record, state);
        true
    }

    /// Frees a slot whose entry, with this state, was claimed.
    fn vacate(&self, bucket: u32, slot: u32, record: &Record<M::Word>, state: StateWord) {
        self.no_longer_displaced(&record.read_tuple(), bucket);
        if let Some(bucket_header) = self.memory.bucket_header(bucket) {
            bucket_header.set_tag(slot, 0);
        }
        self.memory.count(Statistic::Removed);
        let free = StateWord::new(0, EntryFlags::NONE, state.claimed().generation());
        record.state.store_release(free.0);
    }

    /// Removes an entry if it is still the one that was found.
    pub fn remove(&self, handle: &Handle<'_, M::Word>) -> bool {
        self.remove_if(handle, |_| true)
    }

    /// Removes an entry if it is still the one that was found, and no packet has changed its
    /// lifetime or its marks since it was judged.
    pub fn remove_unchanged(&self, handle: &Handle<'_, M::Word>, judged: &Progress) -> bool {
        self.remove_if(handle, |state| {
            state.lifetime() == judged.lifetime
                && visible(state.entry_flags()) == visible(judged.entry_flags)
        })
    }

    #[inline]
    fn exchange(&self, word: &M::Word, before: StateWord, after: StateWord) -> bool {
        if M::SHARED {
            word.exchange(before.0, after.0)
        } else {
            word.store(after.0);
            true
        }
    }
}

/// Takes a set's lock. Returns the lock word as it is to be when it is given back.
#[inline]
fn lock<M: Memory>(bucket_header: &BucketHeader<M::Word>) -> Option<u64> {
    for _ in 0..M::LOCK_TRIES {
        let before = bucket_header.lock.load();
        if before & 1 == 0 && bucket_header.lock.exchange(before, before | 1) {
            return Some(before);
        }
        M::Word::relax();
    }
    None
}

/// The entry of a place's two sets that is the least [`loss`]: how much it is missed, its
/// record and its state.
#[inline(always)]
fn least_loss<M: Memory>(memory: &M, pair: BucketPair, now: u32) -> (u64, u32, StateWord) {
    // In whole words: of a variable of 32 bits the verifier forgets the value where it has to be
    // put on the stack.
    let (mut best, mut before, mut least) = (0, 0, u64::MAX >> 1);
    for bucket in [pair.first, pair.second] {
        let first = u64::from(bucket) * SLOTS as u64;
        for slot in 0..SLOTS as u64 {
            let index = first + slot;
            let Some(record) = memory.record(index as u32) else {
                if cfg!(target_arch = "bpf") {
                    // A map has all records. The verifier, which does not know it, need not walk
                    // through what would follow.
                    return (u64::MAX, 0, StateWord(0));
                }
                break;
            };
            let state = record.state.load();
            let loss = loss::<M::Word>(StateWord(state), now);
            let less = all_if_less::<M::Word>(loss, least);
            least = chosen(less, loss, least);
            best = chosen(less, index, best);
            before = chosen(less, state, before);
        }
    }
    (least, best as u32, StateWord(before))
}

/// The record of a place's two sets whose entry is the least loss: for a function of BPF.
#[cfg(target_arch = "bpf")]
#[inline(always)]
pub fn expendable_record<M: Memory>(memory: &M, pair: BucketPair, now: u32) -> u32 {
    least_loss(memory, pair, now).1
}

/// How much an entry is missed: what [`expendable`] says of it above bit 32, 3 for not at all, and
/// its lifetime below.
///
/// Without branches: nobody can foresee them, and the kernel's verifier would walk every way
/// through them in each of all the slots.
#[inline]
fn loss<W: Word>(state: StateWord, now: u32) -> u64 {
    let (entry_flags, lifetime) = (state.entry_flags(), u64::from(state.lifetime()));
    let bit = |of: EntryFlags| W::opaque(u64::from(entry_flags.0 >> of.0.trailing_zeros()) & 1);
    let expired = all_if_less::<W>(lifetime, u64::from(now));
    let closed = 0_u64.wrapping_sub(bit(EntryFlags::RX_CLOSING) & bit(EntryFlags::TX_CLOSING));
    let answered =
        bit(EntryFlags::REPLIED) & (bit(EntryFlags::TCP) ^ 1 | bit(EntryFlags::SEEN_NON_SYN));
    let absent = 0_u64.wrapping_sub(bit(EntryFlags::LIVE) ^ 1);
    let kind = !expired & chosen(closed, 1, 2 + answered) | absent & 3;
    kind << 32 | lifetime
}

/// All ones if `a` is less than `b`, else 0; for numbers below 2^63.
#[inline]
fn all_if_less<W: Word>(a: u64, b: u64) -> u64 {
    let difference = W::opaque(a.wrapping_sub(b));
    W::opaque((difference.cast_signed() >> 63).cast_unsigned())
}

/// `a` if `mask` is all ones, `b` if it is 0.
#[inline]
const fn chosen(mask: u64, a: u64, b: u64) -> u64 {
    b ^ ((a ^ b) & mask)
}

/// Whether an entry may make room for another, and how little it is missed.
#[inline]
fn expendable(state: StateWord, now: u32) -> Option<EvictLimit> {
    let entry_flags = state.entry_flags();
    if state.lifetime() < now {
        Some(EvictLimit::Expired)
    } else if entry_flags.contains(EntryFlags::CLOSED) {
        Some(EvictLimit::Closed)
    } else if !entry_flags.answered() {
        Some(EvictLimit::Unanswered)
    } else {
        None
    }
}
