//! Insertion, removal, and who makes room.

use super::hash::Place;
use super::layout::{Head, LANES, Record, Statistic};
use super::memory::Memory;
use super::record::{Handle, Life, visible};
use super::sets::{SetTable, free_lane};
use super::word::Word;
use crate::entry::{Entry, Marks, Progress};
use crate::error::Refusal;
use crate::tuple::Tuple;

/// What a table may evict to make room, each including what stands before it. An answered
/// connection is never evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evict {
    /// Entries past their lifetime.
    Expired = 0,
    /// Connections closing in both directions.
    Closed = 1,
    /// Connections that have not been answered; the one that expires first.
    Unanswered = 2,
}

/// Why an entry went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Replaced {
    /// Its tuple was stored again.
    Renewed,
    /// It had expired.
    Expired,
    /// It was closed, and its room was needed.
    Closed,
    /// It was unanswered, and its room was needed.
    Unanswered,
}

/// Is told of entries that make room for others.
pub trait Watch {
    /// Whether anybody listens: if not, entries are not read before they go.
    const LISTENS: bool = true;

    /// An entry is about to be overwritten.
    fn replaced<W: Word>(&self, why: Replaced, gone: &Gone<'_, W>);
}

/// Nobody listens.
impl Watch for () {
    const LISTENS: bool = false;

    fn replaced<W: Word>(&self, _: Replaced, _: &Gone<'_, W>) {}
}

/// An entry that leaves its slot, which is claimed already.
#[derive(Debug)]
pub struct Gone<'t, W> {
    record: &'t Record<W>,
    /// What the slot was before it was claimed.
    life: Life,
}

impl<'t, W: Word> Gone<'t, W> {
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
        self.record.read(self.life)
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
    pub const fn life(&self) -> u64 {
        self.life.0
    }
}

/// A set takes entries of its own without a look at their other set while it is filled up to
/// here. Beyond, the emptier of the two is chosen. Fewer would put more entries into their second
/// set, where they cost another line; more would leave less room at the end (with 40 the worst of
/// 100 tables of a million slots was filled to 93.1 % at the first refusal).
const COMFORTABLE: u32 = 40;

/// A slot that was claimed for a new entry.
struct Claimed {
    set: u32,
    lane: u32,
    /// What it was before.
    before: Life,
}

impl<M: Memory, O: Watch> SetTable<M, O> {
    /// Stores an entry: in place of the one under the same tuple, else in a free slot, else in
    /// place of one that may go.
    // BPF functions take five arguments and share 512 bytes of stack: inlined, most of the entry
    // is constant and takes none.
    #[cfg_attr(target_arch = "bpf", inline(always))]
    #[cfg_attr(not(target_arch = "bpf"), inline(never))]
    pub(super) fn store(
        &self,
        place: Place,
        tuple: &Tuple,
        entry: &Entry,
        now: u32,
    ) -> Result<Handle<'_, M::Word>, Refusal> {
        let head = self.memory.head(place.first).ok_or(Refusal::Full)?;
        let unlocked = if M::SHARED {
            lock::<M>(head)
        } else {
            Some(head.lock.load())
        };
        let Some(unlocked) = unlocked else {
            self.memory.count(Statistic::Contended);
            return Err(Refusal::Contended);
        };
        let mut collected = (unlocked >> 1) as u32;
        let stored = self.store_locked(head, place, tuple, entry, now, &mut collected);
        head.lock.store_release(u64::from(collected) << 1);
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
        home: &Head<M::Word>,
        place: Place,
        tuple: &Tuple,
        entry: &Entry,
        now: u32,
        collected: &mut u32,
    ) -> Result<Handle<'_, M::Word>, Refusal> {
        let (found, own) = self.search_and_mark_twins(place, tuple);
        if let Some(slot) = found
            && let Some(renewed) = self.renew(&slot, tuple, entry)
        {
            return renewed;
        }
        for _ in 0..M::CLAIM_TRIES {
            let Some(claimed) = self.claim(home, place, now, collected) else {
                return Err(Refusal::Full);
            };
            let set = self.memory.head(claimed.set).ok_or(Refusal::Full)?;
            let index = claimed.set * LANES as u32 + claimed.lane;
            let record = self.memory.record(index).ok_or(Refusal::Full)?;
            let busy = claimed.before.claimed();
            if !self.exchange(&record.life, claimed.before, busy) {
                continue;
            }
            self.make_room(&claimed, record, now);
            if claimed.set != place.first {
                // Before the entry can be found: a reader that sees no displaced ones stops at
                // the first set.
                home.displaced.add(1);
            }
            M::Word::fence_release();
            record.write(tuple, entry);
            set.set_tag(claimed.lane, place.tag);
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
            let life = handle.life()?;
            let busy = life.claimed();
            if !self.exchange(&handle.record().life, life, busy) {
                continue;
            }
            if O::LISTENS {
                let record = handle.record();
                self.watch
                    .replaced(Replaced::Renewed, &Gone { record, life });
            }
            self.memory.count(Statistic::Renewed);
            M::Word::fence_release();
            handle.record().write(tuple, entry);
            let twin = Marks(life.marks().0 & Marks::TWIN.0);
            return Some(Ok(self.publish(
                handle.record(),
                handle.index(),
                busy,
                entry,
                twin,
            )));
        }
        Some(Err(Refusal::Contended))
    }

    #[inline]
    fn publish<'t>(
        &'t self,
        record: &'t Record<M::Word>,
        index: u32,
        busy: Life,
        entry: &Entry,
        own: Marks,
    ) -> Handle<'t, M::Word> {
        let marks = Marks(visible(entry.progress.marks).0 | own.0 | Marks::LIVE.0);
        let life = Life::new(entry.progress.lifetime, marks, busy.generation());
        record.life.store_release(life.0);
        Handle::new(record, index, life.generation(), M::SHARED)
    }

    /// Chooses a slot: a free one, else the one that is the least loss.
    #[inline]
    fn claim(
        &self,
        home: &Head<M::Word>,
        place: Place,
        now: u32,
        collected: &mut u32,
    ) -> Option<Claimed> {
        let mut free = M::matching(home, 0);
        let comfortable = |free: u64| LANES as u32 - free.count_ones() < COMFORTABLE;
        if M::COLLECTS && !comfortable(free) && *collected != now {
            // Expired entries stay until their room is needed. Then all of them go at once, so
            // that the next insertions find it: nothing expires twice in a second.
            *collected = now;
            self.collect(place.first, home, now);
            free = M::matching(home, 0);
        }
        let (room, comfortable) = (free.count_ones(), comfortable(free));
        if comfortable || place.first == place.second {
            if let Some(claimed) = self.first_free(place.first, free, place.lane) {
                return Some(claimed);
            }
        } else {
            let other = M::matching(self.memory.head(place.second)?, 0);
            let (own, other) = ((place.first, free), (place.second, other));
            let by_room = if room >= other.1.count_ones() {
                [own, other]
            } else {
                [other, own]
            };
            for (set, free) in by_room {
                if let Some(claimed) = self.first_free(set, free, place.lane) {
                    return Some(claimed);
                }
            }
        }
        // Also where the slots that seem free are being taken by others just now.
        self.least_loss(place, now)
    }

    /// The slot of a set that is tried before all others, or else the first that is free.
    #[inline]
    fn first_free(&self, set: u32, mut free: u64, own: u8) -> Option<Claimed> {
        for _ in 0..M::CANDIDATES {
            if free == 0 {
                break;
            }
            let lane = free_lane::<M::Word>(free, own);
            free &= !(1 << lane);
            let Some(record) = self.memory.record(set * LANES as u32 + lane) else {
                break;
            };
            let before = Life(record.life.load());
            // A slot without a tag may be another's already, which has yet to set it.
            if before.free() {
                return Some(Claimed { set, lane, before });
            }
        }
        None
    }

    /// The slot of the two sets whose entry is the least loss, if any may go at all.
    #[cfg(not(target_arch = "bpf"))]
    #[inline(never)]
    fn least_loss(&self, place: Place, now: u32) -> Option<Claimed> {
        let (loss, index, before) = least_loss(&self.memory, place, now);
        let (set, lane) = (index / LANES as u32, index % LANES as u32);
        (loss >> 32 <= self.evict as u64).then_some(Claimed { set, lane, before })
    }

    /// As on the host, but that the entry is judged again after it was chosen: functions of BPF
    /// return a single number. One that was answered in between stays.
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    fn least_loss(&self, place: Place, now: u32) -> Option<Claimed> {
        let index = self.memory.least_loss(place, now)?;
        let before = Life(self.memory.record(index)?.life.load());
        let (set, lane) = (index / LANES as u32, index % LANES as u32);
        let kind = loss::<M::Word>(before, now) >> 32;
        (kind <= self.evict as u64).then_some(Claimed { set, lane, before })
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
            Evict::Expired => (Statistic::ReplacedExpired, Replaced::Expired),
            Evict::Closed => (Statistic::ReplacedClosed, Replaced::Closed),
            Evict::Unanswered => (Statistic::ReplacedUnanswered, Replaced::Unanswered),
        };
        let tuple = record.read_tuple();
        if O::LISTENS {
            let life = before;
            self.watch.replaced(why, &Gone { record, life });
        }
        self.memory.count(statistic);
        self.no_longer_displaced(&tuple, claimed.set);
    }

    /// An entry has left a set: its first set's count of displaced ones is told.
    #[inline]
    fn no_longer_displaced(&self, tuple: &Tuple, set: u32) {
        let first = Place::new(self.memory.seed().hash(tuple), self.memory.sets()).first;
        if first != set
            && let Some(head) = self.memory.head(first)
        {
            head.displaced.add(u64::MAX);
        }
    }

    /// Frees the slots of a set whose entries have expired.
    #[inline(never)]
    fn collect(&self, set: u32, head: &Head<M::Word>, now: u32) {
        let mut used = head.used::<M>();
        for _ in 0..LANES {
            if used == 0 {
                break;
            }
            let lane = used.trailing_zeros();
            used &= used - 1;
            let Some(record) = self.memory.record(set * LANES as u32 + lane) else {
                break;
            };
            let life = Life(record.life.load());
            if life.live()
                && life.lifetime() < now
                && self.exchange(&record.life, life, life.claimed())
            {
                if O::LISTENS {
                    self.watch
                        .replaced(Replaced::Expired, &Gone { record, life });
                }
                self.vacate(set, lane, record, life);
            }
        }
    }

    /// Removes an entry if it is still just as it was judged: `judged` is asked with its life as
    /// it is now, and nothing can come between the answer and the removal.
    pub(super) fn remove_if(
        &self,
        handle: &Handle<'_, M::Word>,
        judged: impl Fn(Life) -> bool,
    ) -> bool {
        let Some(life) = handle.life() else {
            return false;
        };
        let record = handle.record();
        if !judged(life) || !self.exchange(&record.life, life, life.claimed()) {
            return false;
        }
        let (set, lane) = (handle.index() / LANES as u32, handle.index() % LANES as u32);
        self.vacate(set, lane, record, life);
        true
    }

    /// Frees a slot whose entry, with this life, was claimed.
    fn vacate(&self, set: u32, lane: u32, record: &Record<M::Word>, life: Life) {
        self.no_longer_displaced(&record.read_tuple(), set);
        if let Some(head) = self.memory.head(set) {
            head.set_tag(lane, 0);
        }
        self.memory.count(Statistic::Removed);
        let free = Life::new(0, Marks::NONE, life.claimed().generation());
        record.life.store_release(free.0);
    }

    /// Removes an entry if it is still the one that was found.
    pub fn remove(&self, handle: &Handle<'_, M::Word>) -> bool {
        self.remove_if(handle, |_| true)
    }

    /// Removes an entry if it is still the one that was found, and no packet has changed its
    /// lifetime or its marks since it was judged.
    pub fn remove_unchanged(&self, handle: &Handle<'_, M::Word>, judged: &Progress) -> bool {
        self.remove_if(handle, |life| {
            life.lifetime() == judged.lifetime && visible(life.marks()) == visible(judged.marks)
        })
    }

    #[inline]
    fn exchange(&self, word: &M::Word, before: Life, after: Life) -> bool {
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
fn lock<M: Memory>(head: &Head<M::Word>) -> Option<u64> {
    for _ in 0..M::LOCK_TRIES {
        let before = head.lock.load();
        if before & 1 == 0 && head.lock.exchange(before, before | 1) {
            return Some(before);
        }
        M::Word::relax();
    }
    None
}

/// The entry of a place's two sets that is the least [`loss`]: how much it is missed, its
/// record and its life.
#[inline(always)]
fn least_loss<M: Memory>(memory: &M, place: Place, now: u32) -> (u64, u32, Life) {
    // In whole words: of a variable of 32 bits the verifier forgets the value where it has to be
    // put on the stack.
    let (mut best, mut before, mut least) = (0, 0, u64::MAX >> 1);
    for set in [place.first, place.second] {
        let first = u64::from(set) * LANES as u64;
        for lane in 0..LANES as u64 {
            let index = first + lane;
            let Some(record) = memory.record(index as u32) else {
                if cfg!(target_arch = "bpf") {
                    // A map has all records. The verifier, which does not know it, need not walk
                    // through what would follow.
                    return (u64::MAX, 0, Life(0));
                }
                break;
            };
            let life = record.life.load();
            let loss = loss::<M::Word>(Life(life), now);
            let less = all_if_less::<M::Word>(loss, least);
            least = chosen(less, loss, least);
            best = chosen(less, index, best);
            before = chosen(less, life, before);
        }
    }
    (least, best as u32, Life(before))
}

/// The record of a place's two sets whose entry is the least loss: for a function of BPF.
#[cfg(target_arch = "bpf")]
#[inline(always)]
pub fn expendable_record<M: Memory>(memory: &M, place: Place, now: u32) -> u32 {
    least_loss(memory, place, now).1
}

/// How much an entry is missed: what [`expendable`] says of it above bit 32, 3 for not at all, and
/// its lifetime below.
///
/// Without branches: nobody can foresee them, and the kernel's verifier would walk every way
/// through them in each of all the slots.
#[inline]
fn loss<W: Word>(life: Life, now: u32) -> u64 {
    let (marks, lifetime) = (life.marks(), u64::from(life.lifetime()));
    let bit = |of: Marks| W::opaque(u64::from(marks.0 >> of.0.trailing_zeros()) & 1);
    let expired = all_if_less::<W>(lifetime, u64::from(now));
    let closed = 0_u64.wrapping_sub(bit(Marks::RX_CLOSING) & bit(Marks::TX_CLOSING));
    let answered = bit(Marks::REPLIED) & (bit(Marks::TCP) ^ 1 | bit(Marks::SEEN_NON_SYN));
    let absent = 0_u64.wrapping_sub(bit(Marks::LIVE) ^ 1);
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
fn expendable(life: Life, now: u32) -> Option<Evict> {
    let marks = life.marks();
    if life.lifetime() < now {
        Some(Evict::Expired)
    } else if marks.contains(Marks::CLOSED) {
        Some(Evict::Closed)
    } else if !marks.answered() {
        Some(Evict::Unanswered)
    } else {
        None
    }
}
