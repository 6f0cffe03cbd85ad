//! The table of a replay: it grows, and keeps what has ended.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;

use flowkeep_core::entry::Entry;
use flowkeep_core::error::Refusal;
use flowkeep_core::table::{
    Evict, Found, Gone, Handle, LANES, Memory, Place, Replaced, Seed, SetTable, Table, Watch, Word,
};
use flowkeep_core::tracker::Instant;
use flowkeep_core::tuple::Tuple;

use super::ended::{Ended, EndedList};
use crate::memory::{MemoryError, Region};
use crate::saved::save;

/// The table is divided, so that it can grow by a part at a time: while a part is built anew only
/// that part takes room twice.
const PARTS: usize = 16;

/// How full a table of the size that was asked for may get before it is likely to grow.
const FILL: f64 = 0.8;

type Part = SetTable<Region<false>, Archive>;

/// Keeps the connections that the table lets go. Clones are the same archive.
#[derive(Clone, Debug, Default)]
pub(super) struct Archive(Rc<RefCell<EndedList>>);

impl Watch for Archive {
    fn replaced<W: Word>(&self, _: Replaced, gone: &Gone<'_, W>) {
        let ended = Ended::new(&gone.tuple(), &gone.entry());
        self.0.borrow_mut().push(ended);
    }
}

/// A table that grows.
#[derive(Debug)]
pub(super) struct GrowingTable {
    seed: Seed,
    ticks_per_second: u64,
    parts: Vec<Part>,
    archive: Archive,
}

impl GrowingTable {
    /// A table that is likely to hold this many connections before it grows.
    pub(super) fn new(
        connections: u32,
        ticks_per_second: u64,
        seed: Seed,
    ) -> Result<Self, MemoryError> {
        let archive = Archive::default();
        let slots = f64::from(connections) / PARTS as f64 / FILL;
        // A float's conversion saturates.
        let sets = (slots / LANES as f64).ceil().max(1.0) as u32;
        let mut parts = Vec::with_capacity(PARTS);
        for _ in 0..PARTS {
            parts.push(part(sets, ticks_per_second, seed, &archive)?);
        }
        Ok(Self {
            seed,
            ticks_per_second,
            parts,
            archive,
        })
    }

    /// Makes the part that `tuple` belongs to a quarter larger.
    pub(super) fn grow(&mut self, tuple: &Tuple, now: Instant) -> Result<(), MemoryError> {
        let number = part_of(self.seed.hash(tuple));
        let mut sets = self.parts[number].capacity() as u32 / LANES as u32;
        'larger: loop {
            sets = sets.saturating_add((sets / 4).max(1));
            let larger = part(sets, self.ticks_per_second, self.seed, &self.archive)?;
            let mut expired = Vec::new();
            for (_, tuple, entry) in self.parts[number].iter() {
                if entry.progress.expired(now.seconds) {
                    expired.push(Ended::new(&tuple, &entry));
                } else if larger
                    .insert(larger.place(&tuple), &tuple, &entry, now)
                    .is_err()
                {
                    // Unlucky: its two sets are full in a table that is mostly empty.
                    continue 'larger;
                }
            }
            self.archive.0.borrow_mut().extend(expired);
            self.parts[number] = larger;
            return Ok(());
        }
    }

    /// A hint that a tuple with this hash will be looked up soon: first step.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        let (part, place) = self.locate(hash);
        part.prefetch(place);
    }

    /// The second step, once the first one's line is there.
    #[inline]
    pub(super) fn prefetch_entry(&self, hash: u64) {
        let (part, place) = self.locate(hash);
        part.prefetch_entry(place);
    }

    /// Every entry, with the number by which [`Self::at`] gives it again.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Tuple, Entry)> {
        self.parts.iter().zip(0..).flat_map(|(part, number)| {
            part.iter().map(move |(handle, tuple, entry)| {
                (number << 32 | u64::from(handle.index()), tuple, entry)
            })
        })
    }

    /// An entry by its number.
    pub(super) fn at(&self, number: u64) -> Option<(Tuple, Entry)> {
        let part = self.parts.get((number >> 32) as usize)?;
        part.at(number as u32)
            .map(|(_, tuple, entry)| (tuple, entry))
    }

    /// Writes what is in the table to a file.
    pub(super) fn save(&self, path: &Path) -> Result<(), MemoryError> {
        save(path, &self.seed, || {
            self.iter().map(|(_, tuple, entry)| (tuple, entry))
        })
    }

    /// Takes an entry out of the table and into the archive.
    pub(super) fn end(&self, tuple: &Tuple) {
        use flowkeep_core::table::Slot as _;
        let (part, place) = self.locate(self.seed.hash(tuple));
        if let Some(handle) = part.find(place, tuple)
            && let Some(entry) = handle.entry()
        {
            self.archive.0.borrow_mut().push(Ended::new(tuple, &entry));
            part.remove(&handle);
        }
    }

    /// The connections that were let go so far, which are then the caller's.
    pub(super) fn take_ended(&self) -> EndedList {
        self.archive.0.take()
    }

    #[inline]
    fn locate(&self, hash: u64) -> (&Part, Place) {
        let part = &self.parts[part_of(hash)];
        (part, Place::new(hash, part.memory().sets()))
    }
}

fn part(
    sets: u32,
    ticks_per_second: u64,
    seed: Seed,
    archive: &Archive,
) -> Result<Part, MemoryError> {
    let memory = Region::anonymous(sets, ticks_per_second, &seed)?;
    Ok(SetTable::with(memory, archive.clone(), Evict::Expired))
}

/// Bits of the hash that neither choose a set nor are the tag.
#[inline]
const fn part_of(hash: u64) -> usize {
    (hash >> 8) as usize % PARTS
}

impl Table for GrowingTable {
    type Slot<'t> = Handle<'t, AtomicU64>;
    /// The hash: places move when a part grows.
    type Place = u64;

    #[inline]
    fn place(&self, tuple: &Tuple) -> u64 {
        self.seed.hash(tuple)
    }

    #[inline]
    fn find(&self, hash: u64, tuple: &Tuple) -> Option<Self::Slot<'_>> {
        let (part, place) = self.locate(hash);
        part.find(place, tuple)
    }

    #[inline]
    fn probe(&self, hash: u64, first: &Tuple, second: &Tuple) -> Option<Found<Self::Slot<'_>>> {
        let (part, place) = self.locate(hash);
        part.probe(place, first, second)
    }

    #[inline]
    fn insert(
        &self,
        hash: u64,
        tuple: &Tuple,
        entry: &Entry,
        now: Instant,
    ) -> Result<Self::Slot<'_>, Refusal> {
        let (part, place) = self.locate(hash);
        part.insert(place, tuple, entry, now)
    }
}
