//! The table of a replay: it grows, and keeps the connections that leave it.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;

use flowkeep_core::entry::Entry;
use flowkeep_core::error::Refusal;
use flowkeep_core::table::{
    BucketTable, EvictLimit, EvictReason, Evicted, EvictionObserver, Existing, Found, Handle,
    SLOTS, Seed, Stored, Table, Word,
};
use flowkeep_core::tracker::Instant;
use flowkeep_core::tuple::Tuple;

use crate::connection::{FlowList, FlowSummary, IcmpErrors};
use crate::memory::{MemoryError, Region};
use crate::saved::save;

/// The table is divided so that one part grows at a time: only that part needs its memory twice.
const PARTS: usize = 16;

/// How full a table is with the connections it was created for. It is unlikely to grow before.
const FILL: f64 = 0.8;

type Part = BucketTable<Region<false>, Archive>;

/// Keeps the connections that leave the table. Clones share one archive.
#[derive(Clone, Debug, Default)]
pub(super) struct Archive(Rc<RefCell<FlowList>>);

impl EvictionObserver for Archive {
    fn on_evict<W: Word>(&self, _: EvictReason, gone: &Evicted<'_, W>) {
        let flow = FlowSummary::new(&gone.tuple(), &gone.entry());
        self.0.borrow_mut().push(flow);
    }
}

/// A table that grows.
#[derive(Debug)]
pub(super) struct GrowingTable {
    seed: Seed,
    ticks_per_second: u64,
    parts: Box<[Part; PARTS]>,
    archive: Archive,
}

impl GrowingTable {
    /// A table that is unlikely to grow before it has this many connections.
    pub(super) fn new(
        connections: u32,
        ticks_per_second: u64,
        seed: Seed,
    ) -> Result<Self, MemoryError> {
        let archive = Archive::default();
        let slots = f64::from(connections) / PARTS as f64 / FILL;
        // A float's conversion saturates.
        let buckets = (slots / SLOTS as f64).ceil().max(1.0) as u32;
        let part = |_| part(buckets, ticks_per_second, seed, &archive);
        let parts: Vec<Part> = (0..PARTS).map(part).collect::<Result<_, _>>()?;
        let Ok(parts) = parts.into_boxed_slice().try_into() else {
            unreachable!("so many were made");
        };
        Ok(Self {
            seed,
            ticks_per_second,
            parts,
            archive,
        })
    }

    /// Enlarges the part that `tuple` belongs to by a quarter.
    pub(super) fn grow(&mut self, tuple: &Tuple, now: Instant) -> Result<(), MemoryError> {
        let number = part_of(self.hash(tuple));
        let mut buckets = self.parts[number].capacity() as u32 / SLOTS as u32;
        'larger: loop {
            buckets = buckets.saturating_add((buckets / 4).max(1));
            let larger = part(buckets, self.ticks_per_second, self.seed, &self.archive)?;
            let mut expired = Vec::new();
            for (_, tuple, entry) in self.parts[number].iter() {
                if entry.progress.expired(now.seconds) {
                    expired.push(FlowSummary::new(&tuple, &entry));
                } else if larger
                    .insert(larger.hash(&tuple), &tuple, &entry, now)
                    .is_err()
                {
                    // Its two buckets happen to be full.
                    continue 'larger;
                }
            }
            self.archive.0.borrow_mut().extend(expired);
            self.parts[number] = larger;
            return Ok(());
        }
    }

    /// The first step of prefetching what a look-up needs.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        self.part(hash).prefetch(hash);
    }

    /// The second step, once the first one's cache line has arrived.
    #[inline]
    pub(super) fn prefetch_entry(&self, hash: u64) {
        self.part(hash).prefetch_entry(hash);
    }

    /// Every entry, with its number for [`Self::at`].
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

    /// Writes the entries to a file that have not expired at the second `now`, and the ICMP errors
    /// about them.
    pub(super) fn save(
        &self,
        path: &Path,
        now: u32,
        icmp_errors: &IcmpErrors,
    ) -> Result<(), MemoryError> {
        save(path, &self.seed, icmp_errors, || {
            self.iter()
                .filter(|(_, _, entry)| !entry.progress.expired(now))
                .map(|(_, tuple, entry)| (tuple, entry))
        })
    }

    /// Moves an entry from the table to the archive.
    pub(super) fn archive(&self, tuple: &Tuple) {
        use flowkeep_core::table::EntryHandle as _;
        let hash = self.hash(tuple);
        let part = self.part(hash);
        if let Some(handle) = part.find(hash, tuple)
            && let Some(entry) = handle.entry()
        {
            self.archive
                .0
                .borrow_mut()
                .push(FlowSummary::new(tuple, &entry));
            // Nobody else uses the table, so the second does not matter.
            part.remove(&handle, 0);
        }
    }

    #[inline(always)]
    fn part(&self, hash: u64) -> &Part {
        &self.parts[part_of(hash)]
    }

    /// Takes the connections that have left the table so far.
    pub(super) fn take_archive(&self) -> FlowList {
        self.archive.0.take()
    }
}

fn part(
    buckets: u32,
    ticks_per_second: u64,
    seed: Seed,
    archive: &Archive,
) -> Result<Part, MemoryError> {
    let memory = Region::anonymous(buckets, ticks_per_second, &seed)?;
    Ok(BucketTable::with(
        memory,
        archive.clone(),
        EvictLimit::Expired,
    ))
}

/// Bits of the hash that neither select a bucket nor are the tag.
#[inline(always)]
const fn part_of(hash: u64) -> usize {
    (hash >> 8) as usize % PARTS
}

impl Table for GrowingTable {
    type Handle<'t> = Handle<'t, AtomicU64>;
    /// The hash, because buckets change when a part grows.
    type Hash = u64;

    #[inline(always)]
    fn hash(&self, tuple: &Tuple) -> u64 {
        self.seed.hash(tuple)
    }

    #[inline]
    fn find(&self, hash: u64, tuple: &Tuple) -> Option<Self::Handle<'_>> {
        self.part(hash).find(hash, tuple)
    }

    #[inline(always)]
    fn probe(&self, hash: u64, first: &Tuple, second: &Tuple) -> Option<Found<Self::Handle<'_>>> {
        self.part(hash).probe(hash, first, second)
    }

    #[inline]
    fn store(
        &self,
        hash: u64,
        tuple: &Tuple,
        other: &Tuple,
        entry: &Entry,
        existing: Existing,
        now: Instant,
    ) -> Result<Stored<Self::Handle<'_>>, Refusal> {
        self.part(hash)
            .store(hash, tuple, other, entry, existing, now)
    }
}
