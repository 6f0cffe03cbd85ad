//! One entry in its slot: reading it whole, touching it, writing it.

use super::layout::Record;
use super::word::Word;
use crate::entry::{Counters, Entry, Marks, Progress};
use crate::table::{Renewal, Slot};
use crate::tracker::{Direction, Instant};
use crate::tuple::{Address, Tuple};

/// Bits of [`Record::tx_packets`] that count: enough for 300 days of ten million packets a second.
const PACKETS_BITS: u32 = 48;
const PACKETS_MASK: u64 = (1 << PACKETS_BITS) - 1;

/// The word that tells what a slot is: see [`Record::life`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life(pub(super) u64);

impl Life {
    #[inline]
    pub(super) const fn new(lifetime: u32, marks: Marks, generation: u16) -> Self {
        Self((lifetime as u64) << 32 | (marks.0 as u64) << 16 | generation as u64)
    }

    #[inline]
    pub(super) const fn generation(self) -> u16 {
        self.0 as u16
    }

    #[inline]
    pub(super) const fn marks(self) -> Marks {
        Marks((self.0 >> 16) as u16)
    }

    #[inline]
    pub(super) const fn lifetime(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// See [`Marks::TWIN`].
    #[inline]
    pub(super) const fn twin(self) -> bool {
        self.marks().contains(Marks::TWIN)
    }

    #[inline]
    pub(super) const fn live(self) -> bool {
        self.marks().contains(Marks::LIVE)
    }

    #[inline]
    pub(super) const fn free(self) -> bool {
        !self
            .marks()
            .intersects(Marks(Marks::LIVE.0 | Marks::BUSY.0))
    }

    /// What a slot is while its next owner writes it.
    #[inline]
    pub(super) const fn claimed(self) -> Self {
        Self::new(0, Marks::BUSY, self.generation().wrapping_add(1))
    }
}

/// A handle to an entry: the record, and the generation that it was found in.
#[derive(Debug)]
pub struct Handle<'t, W> {
    record: &'t Record<W>,
    index: u32,
    generation: u16,
    /// Whether others may change the record at the same time.
    shared: bool,
}

impl<W> Clone for Handle<'_, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for Handle<'_, W> {}

impl<'t, W: Word> Handle<'t, W> {
    #[inline]
    pub(super) const fn new(
        record: &'t Record<W>,
        index: u32,
        generation: u16,
        shared: bool,
    ) -> Self {
        Self {
            record,
            index,
            generation,
            shared,
        }
    }

    /// The record's number in the table.
    #[must_use]
    #[inline]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// How often the record has had another owner, as far as 16 bits tell.
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    pub(super) const fn generation(&self) -> u16 {
        self.generation
    }

    /// The record. Whatever is read of it may be of another entry by then.
    #[must_use]
    #[inline]
    pub const fn record(&self) -> &'t Record<W> {
        self.record
    }

    /// The life word, if the entry is still the one that was found.
    #[inline]
    pub(super) fn life(&self) -> Option<Life> {
        let life = Life(self.record.life.load_acquire());
        (life.live() && life.generation() == self.generation).then_some(life)
    }

    /// The tuple that the entry is stored under, if it is still there.
    #[must_use]
    pub fn tuple(&self) -> Option<Tuple> {
        let tuple = self.record.read_tuple();
        W::fence_acquire();
        self.life().map(|_| tuple)
    }

    #[inline]
    fn add(&self, word: &W, value: u64) {
        if self.shared {
            word.add(value);
        } else {
            word.store(word.load().wrapping_add(value));
        }
    }

    /// Changes some bits of a word that others may change too.
    fn replace_bits(&self, word: &W, mask: u64, bits: u64) {
        for _ in 0..crate::tracker::TRIES {
            let before = word.load();
            if word.exchange(before, before & !mask | bits) {
                return;
            }
        }
    }
}

impl<W: Word> Record<W> {
    /// The tuple that is stored here, whether or not the slot holds an entry.
    #[must_use]
    pub fn tuple(&self) -> Tuple {
        self.read_tuple()
    }

    /// Packets counted as ingress, or else as egress and service.
    #[must_use]
    #[inline]
    pub fn packets(&self, ingress: bool) -> u64 {
        if ingress {
            self.rx_packets.load()
        } else {
            self.tx_packets.load() & PACKETS_MASK
        }
    }

    /// The entry's marks, whether or not the slot holds an entry.
    #[must_use]
    #[inline]
    pub fn marks(&self) -> Marks {
        visible(Life(self.life.load()).marks())
    }

    #[inline]
    pub(super) fn read_tuple(&self) -> Tuple {
        let [a, b, c, d, e] = &self.tuple;
        Tuple::from_words([a.load(), b.load(), c.load(), d.load(), e.load()])
    }

    /// Writes everything but the life word. The caller has claimed the slot.
    #[inline]
    pub(super) fn write(&self, tuple: &Tuple, entry: &Entry) {
        for (word, value) in self.tuple.iter().zip(tuple.words()) {
            word.store(value);
        }
        self.reports.store(reports(&entry.progress));
        self.seen.store(
            flags(&entry.progress)
                | u64::from(entry.rev_nat_index) << 16
                | u64::from(entry.source_identity) << 32,
        );
        self.tx_packets
            .store(entry.tx.packets & PACKETS_MASK | u64::from(entry.nat_port) << PACKETS_BITS);
        self.tx_bytes.store(entry.tx.bytes);
        self.rx_packets.store(entry.rx.packets);
        self.rx_bytes.store(entry.rx.bytes);
        let [n0, n1] = entry.nat_address.words();
        self.nat[0].store(n0);
        self.nat[1].store(n1);
        self.created.store(entry.created);
        self.last_seen.store(entry.last_seen);
    }

    /// The entry, whose life word was `life`. Only what one owner wrote belongs together: the
    /// caller has claimed the slot, or checks the life word afterwards.
    pub(super) fn read(&self, life: Life) -> Entry {
        let (reports, seen) = (self.reports.load(), self.seen.load());
        let (tx_packets, created) = (self.tx_packets.load(), self.created.load());
        Entry {
            progress: Progress {
                lifetime: life.lifetime(),
                marks: visible(life.marks()),
                tx_flags: seen as u8,
                rx_flags: (seen >> 8) as u8,
                last_tx_report: reports as u32,
                last_rx_report: (reports >> 32) as u32,
            },
            rev_nat_index: (seen >> 16) as u16,
            nat_port: (tx_packets >> PACKETS_BITS) as u16,
            source_identity: (seen >> 32) as u32,
            rx: Counters {
                packets: self.rx_packets.load(),
                bytes: self.rx_bytes.load(),
            },
            tx: Counters {
                packets: tx_packets & PACKETS_MASK,
                bytes: self.tx_bytes.load(),
            },
            nat_address: Address::from_words([self.nat[0].load(), self.nat[1].load()]),
            created,
            // A packet that was late may have left a time before the entry's own.
            last_seen: self.last_seen.load().max(created),
        }
    }

    /// Tuple and entry, if the slot holds one and it is not replaced while it is read.
    #[must_use]
    pub fn contents(&self) -> Option<(Tuple, Entry)> {
        self.snapshot().map(|(_, tuple, entry)| (tuple, entry))
    }

    /// As [`Self::contents`], with the life word.
    pub(super) fn snapshot(&self) -> Option<(Life, Tuple, Entry)> {
        let before = Life(self.life.load_acquire());
        if !before.live() {
            return None;
        }
        let tuple = self.read_tuple();
        let entry = self.read(before);
        W::fence_acquire();
        let after = Life(self.life.load());
        (after.live() && after.generation() == before.generation())
            .then_some((before, tuple, entry))
    }
}

/// Without the marks that are the table's own.
#[inline]
pub(super) const fn visible(marks: Marks) -> Marks {
    Marks(marks.0 & !(Marks::LIVE.0 | Marks::BUSY.0 | Marks::TWIN.0))
}

#[inline]
const fn reports(progress: &Progress) -> u64 {
    progress.last_tx_report as u64 | (progress.last_rx_report as u64) << 32
}

#[inline]
const fn flags(progress: &Progress) -> u64 {
    progress.tx_flags as u64 | (progress.rx_flags as u64) << 8
}

impl<W: Word> Slot for Handle<'_, W> {
    #[inline]
    fn progress(&self) -> Option<Progress> {
        let life = self.life()?;
        let (reports, seen) = (self.record.reports.load(), self.record.seen.load());
        Some(Progress {
            lifetime: life.lifetime(),
            marks: visible(life.marks()),
            tx_flags: seen as u8,
            rx_flags: (seen >> 8) as u8,
            last_tx_report: reports as u32,
            last_rx_report: (reports >> 32) as u32,
        })
    }

    #[inline]
    fn advance(&self, before: &Progress, after: &Progress) -> bool {
        let life = |progress: &Progress, own: Marks| {
            let marks = Marks(progress.marks.0 | Marks::LIVE.0 | own.0);
            Life::new(progress.lifetime, marks, self.generation)
        };
        let current = Life(self.record.life.load());
        let own = Marks(current.marks().0 & Marks::TWIN.0);
        if current != life(before, own) {
            return false;
        }
        let new = life(after, own);
        if !self.shared {
            // Whether an entry changes is hard to predict: a branch on it costs more than a store
            // of what is there already.
            self.record.life.store(new.0);
        } else if current != new && !self.record.life.exchange(current.0, new.0) {
            return false;
        }
        // Flags and stamps decide only what is reported. Where two processors add a flag at the
        // same moment one of them may be forgotten, and is reported again when it comes again.
        if flags(before) != flags(after) {
            self.replace_bits(&self.record.seen, 0xffff, flags(after));
        }
        if !self.shared || reports(before) != reports(after) {
            self.record.reports.store(reports(after));
        }
        true
    }

    // Another way is another way for the kernel's verifier to walk.
    const RENEWS: bool = cfg!(not(target_arch = "bpf"));

    #[inline(always)]
    fn renew(&self, renewal: &Renewal) -> Option<bool> {
        let record = self.record;
        let words = [&record.life, &record.seen, &record.reports].map(W::load);
        let [life, seen, reports] = words;
        let renewed = renewal.of(self.generation, words)?;
        if !self.shared {
            // Whether an entry changes is hard to predict: a branch on it costs more than a store
            // of what is there already.
            record.life.store(renewed.life);
            record.seen.store(renewed.seen);
            record.reports.store(renewed.reports);
        } else {
            if renewed.life != life && !record.life.exchange(life, renewed.life) {
                return None;
            }
            if renewed.seen != seen {
                self.replace_bits(&record.seen, 0xffff, renewed.seen & 0xffff);
            }
            if renewed.reports != reports {
                record.reports.store(renewed.reports);
            }
        }
        Some(renewed.due)
    }

    #[inline(always)]
    fn count(&self, direction: Direction, packets: u64, length: u64, now: Instant) {
        let record = self.record;
        let (counted, bytes) = if direction == Direction::Ingress {
            (&record.rx_packets, &record.rx_bytes)
        } else {
            (&record.tx_packets, &record.tx_bytes)
        };
        self.add(counted, packets);
        self.add(bytes, length);
        record.last_seen.store(now.ticks);
    }

    fn entry(&self) -> Option<Entry> {
        let entry = self.record.read(self.life()?);
        W::fence_acquire();
        self.life().map(|_| entry)
    }

    fn set_rev_nat_index(&self, index: u16) {
        if self.life().is_some() {
            self.replace_bits(&self.record.seen, 0xffff << 16, u64::from(index) << 16);
        }
    }

    fn set_nat_address(&self, address: Address) {
        if self.life().is_some() {
            let [n0, n1] = address.words();
            self.record.nat[0].store(n0);
            self.record.nat[1].store(n1);
        }
    }

    fn set_rx_bytes(&self, bytes: u64) {
        if self.life().is_some() {
            self.record.rx_bytes.store(bytes);
        }
    }
}
