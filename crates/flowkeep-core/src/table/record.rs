//! One entry in its slot: reading it whole, touching it, writing it.

use super::layout::Record;
use super::word::Word;
use crate::entry::{Counters, Entry, EntryFlags, Progress};
use crate::table::{EntryHandle, Renewal};
use crate::tracker::{Direction, Instant};
use crate::tuple::{Address, Tuple};

/// Bits of [`Record::tx_packets`] that count: enough for 300 days of ten million packets a second.
const PACKETS_BITS: u32 = 48;
const PACKETS_MASK: u64 = (1 << PACKETS_BITS) - 1;

/// The word that tells what a slot is: see [`Record::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StateWord(pub(super) u64);

impl StateWord {
    #[inline]
    pub(super) const fn new(lifetime: u32, entry_flags: EntryFlags, generation: u16) -> Self {
        Self((lifetime as u64) << 32 | (entry_flags.0 as u64) << 16 | generation as u64)
    }

    #[inline]
    pub(super) const fn generation(self) -> u16 {
        self.0 as u16
    }

    #[inline]
    pub(super) const fn entry_flags(self) -> EntryFlags {
        EntryFlags((self.0 >> 16) as u16)
    }

    #[inline]
    pub(super) const fn lifetime(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// See [`EntryFlags::HAS_REVERSE`].
    #[inline]
    pub(super) const fn has_reverse(self) -> bool {
        self.entry_flags().contains(EntryFlags::HAS_REVERSE)
    }

    #[inline]
    pub(super) const fn live(self) -> bool {
        self.entry_flags().contains(EntryFlags::LIVE)
    }

    #[inline]
    pub(super) const fn free(self) -> bool {
        !self
            .entry_flags()
            .intersects(EntryFlags(EntryFlags::LIVE.0 | EntryFlags::BUSY.0))
    }

    /// What a slot is while its next owner writes it.
    #[inline]
    pub(super) const fn claimed(self) -> Self {
        Self::new(0, EntryFlags::BUSY, self.generation().wrapping_add(1))
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

    /// The state word, if the entry is still the one that was found.
    #[inline]
    pub(super) fn state(&self) -> Option<StateWord> {
        let state = StateWord(self.record.state.load_acquire());
        (state.live() && state.generation() == self.generation).then_some(state)
    }

    /// The tuple that the entry is stored under, if it is still there.
    #[must_use]
    pub fn tuple(&self) -> Option<Tuple> {
        let tuple = self.record.read_tuple();
        W::fence_acquire();
        self.state().map(|_| tuple)
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
    pub fn entry_flags(&self) -> EntryFlags {
        visible(StateWord(self.state.load()).entry_flags())
    }

    #[inline]
    pub(super) fn read_tuple(&self) -> Tuple {
        let [a, b, c, d, e] = &self.tuple;
        Tuple::from_words([a.load(), b.load(), c.load(), d.load(), e.load()])
    }

    /// Writes everything but the state word. The caller has claimed the slot.
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

    /// The entry, whose state word was `state`. Only what one owner wrote belongs together: the
    /// caller has claimed the slot, or checks the state word afterwards.
    pub(super) fn read(&self, state: StateWord) -> Entry {
        let (reports, seen) = (self.reports.load(), self.seen.load());
        let (tx_packets, created) = (self.tx_packets.load(), self.created.load());
        Entry {
            progress: Progress {
                lifetime: state.lifetime(),
                entry_flags: visible(state.entry_flags()),
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

    /// As [`Self::contents`], with the state word.
    pub(super) fn snapshot(&self) -> Option<(StateWord, Tuple, Entry)> {
        let before = StateWord(self.state.load_acquire());
        if !before.live() {
            return None;
        }
        let tuple = self.read_tuple();
        let entry = self.read(before);
        W::fence_acquire();
        let after = StateWord(self.state.load());
        (after.live() && after.generation() == before.generation())
            .then_some((before, tuple, entry))
    }
}

/// Without the marks that are the table's own.
#[inline]
pub(super) const fn visible(entry_flags: EntryFlags) -> EntryFlags {
    EntryFlags(
        entry_flags.0 & !(EntryFlags::LIVE.0 | EntryFlags::BUSY.0 | EntryFlags::HAS_REVERSE.0),
    )
}

#[inline]
const fn reports(progress: &Progress) -> u64 {
    progress.last_tx_report as u64 | (progress.last_rx_report as u64) << 32
}

#[inline]
const fn flags(progress: &Progress) -> u64 {
    progress.tx_flags as u64 | (progress.rx_flags as u64) << 8
}

impl<W: Word> EntryHandle for Handle<'_, W> {
    #[inline]
    fn progress(&self) -> Option<Progress> {
        let state = self.state()?;
        let (reports, seen) = (self.record.reports.load(), self.record.seen.load());
        Some(Progress {
            lifetime: state.lifetime(),
            entry_flags: visible(state.entry_flags()),
            tx_flags: seen as u8,
            rx_flags: (seen >> 8) as u8,
            last_tx_report: reports as u32,
            last_rx_report: (reports >> 32) as u32,
        })
    }

    #[inline]
    fn advance(&self, before: &Progress, after: &Progress) -> bool {
        let state = |progress: &Progress, own: EntryFlags| {
            let entry_flags = EntryFlags(progress.entry_flags.0 | EntryFlags::LIVE.0 | own.0);
            StateWord::new(progress.lifetime, entry_flags, self.generation)
        };
        let current = StateWord(self.record.state.load());
        let own = EntryFlags(current.entry_flags().0 & EntryFlags::HAS_REVERSE.0);
        if current != state(before, own) {
            return false;
        }
        let new = state(after, own);
        if !self.shared {
            // Whether an entry changes is hard to predict: a branch on it costs more than a store
            // of what is there already.
            self.record.state.store(new.0);
        } else if current != new && !self.record.state.exchange(current.0, new.0) {
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
        let words = [&record.state, &record.seen, &record.reports].map(W::load);
        let [state, seen, reports] = words;
        let renewed = renewal.of(self.generation, words)?;
        if !self.shared {
            // Whether an entry changes is hard to predict: a branch on it costs more than a store
            // of what is there already.
            record.state.store(renewed.state);
            record.seen.store(renewed.seen);
            record.reports.store(renewed.reports);
        } else {
            if renewed.state != state && !record.state.exchange(state, renewed.state) {
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
        let entry = self.record.read(self.state()?);
        W::fence_acquire();
        self.state().map(|_| entry)
    }

    fn set_rev_nat_index(&self, index: u16) {
        if self.state().is_some() {
            self.replace_bits(&self.record.seen, 0xffff << 16, u64::from(index) << 16);
        }
    }

    fn set_nat_address(&self, address: Address) {
        if self.state().is_some() {
            let [n0, n1] = address.words();
            self.record.nat[0].store(n0);
            self.record.nat[1].store(n1);
        }
    }

    fn set_rx_bytes(&self, bytes: u64) {
        if self.state().is_some() {
            self.record.rx_bytes.store(bytes);
        }
    }
}
