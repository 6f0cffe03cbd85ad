//! Owned memory for a table.

use std::sync::atomic::{AtomicU64, Ordering};

use flowkeep_core::table::{Head, LANES, Memory, Record, Seed, SetTable, Statistic, Word};

/// Heads and records in vectors.
#[derive(Debug)]
pub struct Owned<W, const SHARED: bool = true> {
    pub seed: Seed,
    pub heads: Vec<Head<W>>,
    pub records: Vec<Record<W>>,
    counts: [AtomicU64; Statistic::ALL.len()],
}

impl<W: Default, const SHARED: bool> Owned<W, SHARED> {
    pub fn new(sets: usize, seed: u64) -> Self {
        Self {
            seed: Seed::from_u64(seed),
            heads: (0..sets).map(|_| Head::default()).collect(),
            records: (0..sets * LANES).map(|_| Record::default()).collect(),
            counts: Default::default(),
        }
    }
}

impl<W, const SHARED: bool> Owned<W, SHARED> {
    pub fn counted(&self, statistic: Statistic) -> u64 {
        self.counts[statistic as usize].load(Ordering::Relaxed)
    }
}

impl<W: Word, const SHARED: bool> Memory for Owned<W, SHARED> {
    type Word = W;

    const SHARED: bool = SHARED;

    fn sets(&self) -> u32 {
        self.heads.len() as u32
    }

    fn seed(&self) -> &Seed {
        &self.seed
    }

    fn head(&self, set: u32) -> Option<&Head<W>> {
        self.heads.get(set as usize)
    }

    fn record(&self, index: u32) -> Option<&Record<W>> {
        self.records.get(index as usize)
    }

    fn count(&self, statistic: Statistic) {
        self.counts[statistic as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// A table like the one that a program would have.
pub fn plain_table(sets: usize, seed: u64) -> SetTable<Owned<AtomicU64>> {
    SetTable::new(Owned::new(sets, seed))
}
