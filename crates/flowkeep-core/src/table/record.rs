//! One entry in its slot: reading it whole, updating it, writing it.

use super::layout::{Record, Side};
use super::state_word::StateWord;
use super::word::Word;
use crate::entry::{Counters, Entry, EntryFlags, Progress};
use crate::table::{EntryHandle, PlainUpdate, PlainUpdated};
use crate::tracker::{Direction, Instant};
use crate::tuple::{Address, Tuple};

/// Bits of [`Side::packets`] that count packets.
const PACKETS: u64 = (1 << FLAGS) - 1;
/// Where the TCP flags are in [`Side::packets`].
const FLAGS: u32 = 48;
/// Where the owner's generation is in both words of a [`Side`].
const OWNER: u32 = 56;
/// Bits of [`Side::bytes`] that count bytes.
const BYTES: u64 = (1 << OWNER) - 1;

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
    #[inline(always)]
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
    #[inline(always)]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// How often the record has had another owner, as far as 16 bits tell.
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

    /// Adds to a word of a [`Side`]. False if the word is another owner's: then it is as before.
    #[inline(always)]
    fn add(&self, word: &W, value: u64) -> bool {
        if !self.shared {
            word.store(word.load().wrapping_add(value));
            return true;
        }
        let is_ours = self.owns(word.fetch_add(value));
        if !is_ours {
            word.add(value.wrapping_neg());
        }
        is_ours
    }

    /// Remembers TCP flags. In one step: of two packets that bring a flag each, both are kept.
    #[inline(always)]
    fn add_flags(&self, word: &W, flags: u8) {
        let bits = u64::from(flags) << FLAGS;
        if !self.shared {
            word.store(word.load() | bits);
            return;
        }
        let before = word.fetch_or(bits);
        if !self.owns(before) {
            word.mask(before | !bits);
        }
    }

    /// Whether a word of a [`Side`] was this entry's when it had this value.
    #[inline(always)]
    const fn owns(&self, word: u64) -> bool {
        (word >> OWNER) as u8 == self.generation as u8
    }

    /// Changes the TCP flags of one direction from `before` to `after`.
    #[inline(always)]
    fn change_flags(&self, word: &W, before: u8, after: u8) {
        if before & !after == 0 {
            if before != after {
                self.add_flags(word, after & !before);
            }
        } else {
            // A connection that begins again forgets them (Cilium 1.19). Those that a packet of
            // another processor has brought meanwhile are of the one before.
            word.mask(!(u64::from(!after) << FLAGS));
            self.add_flags(word, after);
        }
    }
}

impl<W: Word> Record<W> {
    /// The tuple that is stored here, whether or not the slot holds an entry.
    #[must_use]
    #[inline]
    pub fn tuple(&self) -> Tuple {
        Tuple::from_words(self.tuple_words())
    }

    /// The words of that tuple.
    #[inline(always)]
    pub(super) fn tuple_words(&self) -> [u64; 5] {
        let [a, b, c, d, e] = &self.tuple;
        [a.load(), b.load(), c.load(), d.load(), e.load()]
    }

    /// The entry's flags, whether or not the slot holds an entry.
    #[must_use]
    #[inline]
    pub fn entry_flags(&self) -> EntryFlags {
        StateWord(self.state.load()).entry_flags()
    }

    /// What packets of one direction add to.
    #[inline(always)]
    const fn side(&self, ingress: bool) -> &Side<W> {
        if ingress { &self.rx } else { &self.tx }
    }

    /// Writes everything but the state word, for the owner of this generation, who has claimed the
    /// slot.
    #[inline]
    pub(super) fn write(&self, tuple: &Tuple, entry: &Entry, generation: u16) {
        let owner = u64::from(generation as u8) << OWNER;
        let progress = &entry.progress;
        for (word, value) in self.tuple.iter().zip(tuple.words()) {
            word.store(value);
        }
        self.reports.store(reports(progress));
        self.service.store(
            u64::from(entry.rev_nat_index)
                | u64::from(entry.nat_port) << 16
                | u64::from(entry.source_identity) << 32,
        );
        for (side, counters, flags) in [
            (&self.tx, &entry.tx, progress.tx_flags),
            (&self.rx, &entry.rx, progress.rx_flags),
        ] {
            let flags = u64::from(flags) << FLAGS;
            side.packets
                .store(counters.packets & PACKETS | flags | owner);
            side.bytes.store(counters.bytes & BYTES | owner);
        }
        let [n0, n1] = entry.nat_address.words();
        self.nat[0].store(n0);
        self.nat[1].store(n1);
        self.created.store(entry.created);
        self.last_seen.store(entry.last_seen);
    }

    /// The entry, whose state word was `state`. Only what one owner wrote belongs together: the
    /// caller has claimed the slot, or checks the state word afterwards.
    pub(super) fn read(&self, state: StateWord) -> Entry {
        let (service, created) = (self.service.load(), self.created.load());
        let [(tx, tx_flags), (rx, rx_flags)] = [&self.tx, &self.rx].map(|side| {
            let packets = side.packets.load();
            let counters = Counters {
                packets: packets & PACKETS,
                bytes: side.bytes.load() & BYTES,
            };
            (counters, (packets >> FLAGS) as u8)
        });
        let reports = self.reports.load();
        Entry {
            progress: Progress {
                lifetime: state.lifetime(),
                entry_flags: state.entry_flags(),
                tx_flags,
                rx_flags,
                last_tx_report: reports as u32,
                last_rx_report: (reports >> 32) as u32,
            },
            rev_nat_index: service as u16,
            nat_port: (service >> 16) as u16,
            source_identity: (service >> 32) as u32,
            rx,
            tx,
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
        let tuple = self.tuple();
        let entry = self.read(before);
        W::fence_acquire();
        let after = StateWord(self.state.load());
        (after.live() && after.generation() == before.generation())
            .then_some((before, tuple, entry))
    }
}

#[inline]
const fn reports(progress: &Progress) -> u64 {
    progress.last_tx_report as u64 | (progress.last_rx_report as u64) << 32
}

impl<W: Word> EntryHandle for Handle<'_, W> {
    #[inline]
    fn progress(&self) -> Option<Progress> {
        let state = self.state()?;
        let record = self.record;
        let (tx, rx) = (record.tx.packets.load(), record.rx.packets.load());
        let reports = record.reports.load();
        Some(Progress {
            lifetime: state.lifetime(),
            entry_flags: state.entry_flags(),
            tx_flags: (tx >> FLAGS) as u8,
            rx_flags: (rx >> FLAGS) as u8,
            last_tx_report: reports as u32,
            last_rx_report: (reports >> 32) as u32,
        })
    }

    #[inline]
    fn advance(&self, before: &Progress, after: &Progress) -> bool {
        let record = self.record;
        let current = StateWord(record.state.load());
        if current != current.with(before.lifetime, before.entry_flags, self.generation) {
            return false;
        }
        let new = current.with(after.lifetime, after.entry_flags, self.generation);
        if !self.shared {
            // Whether an entry changes is hard to predict: a branch on it costs more than a store
            // of what is there already.
            record.state.store(new.0);
        } else if current != new && !record.state.exchange(current.0, new.0) {
            return false;
        }
        self.change_flags(&record.tx.packets, before.tx_flags, after.tx_flags);
        self.change_flags(&record.rx.packets, before.rx_flags, after.rx_flags);
        // Stamps decide only what is reported: of two at the same moment, either will do.
        if !self.shared || reports(before) != reports(after) {
            record.reports.store(reports(after));
        }
        true
    }

    #[inline(always)]
    fn update(&self, update: &PlainUpdate) -> Option<PlainUpdated> {
        let record = self.record;
        let counted = &record.side(update.ingress).packets;
        let (state, reports) = (record.state.load(), record.reports.load());
        let seen = (counted.load() >> FLAGS) as u8;
        let updated = update.of(self.generation, state, seen, reports)?;
        if !self.shared {
            record.state.store(updated.state);
            record.reports.store(updated.reports);
            self.add_flags(counted, updated.new_flags);
            return Some(updated.outcome);
        }
        if updated.state != state && !record.state.exchange(state, updated.state) {
            return None;
        }
        if updated.new_flags != 0 {
            self.add_flags(counted, updated.new_flags);
        }
        if updated.reports != reports {
            record.reports.store(updated.reports);
        }
        Some(updated.outcome)
    }

    #[inline(always)]
    fn count(&self, direction: Direction, packets: u64, length: u64, now: Instant) -> bool {
        let side = self.record.side(direction.is_ingress());
        if !self.add(&side.packets, packets) || !self.add(&side.bytes, length) {
            return false;
        }
        self.record.last_seen.store(now.ticks);
        true
    }

    fn entry(&self) -> Option<Entry> {
        let entry = self.record.read(self.state()?);
        W::fence_acquire();
        self.state().map(|_| entry)
    }

    fn tuple(&self) -> Option<Tuple> {
        let tuple = self.record.tuple();
        W::fence_acquire();
        self.state().map(|_| tuple)
    }

    fn set_rev_nat_index(&self, index: u16) {
        let word = &self.record.service;
        if self.state().is_some() {
            word.store(word.load() & !0xffff | u64::from(index));
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
        let owner = u64::from(self.generation as u8) << OWNER;
        if self.state().is_some() {
            self.record.rx.bytes.store(bytes & BYTES | owner);
        }
    }
}
