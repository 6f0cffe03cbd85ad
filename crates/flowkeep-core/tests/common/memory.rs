//! Owned memory for a table.

use std::sync::atomic::{AtomicU64, Ordering};

use std::marker::PhantomData;

use flowkeep_core::table::{
    Bounds, BucketHeader, BucketTable, HostBounds, Memory, Record, SLOTS, Seed, Statistic, Word,
};

/// Bucket headers and records in vectors, with the bounds of a host or of the kernel.
#[derive(Debug)]
pub struct Owned<W, const SHARED: bool = true, B = HostBounds> {
    pub seed: Seed,
    pub bucket_headers: Vec<BucketHeader<W>>,
    pub records: Vec<Record<W>>,
    counts: [AtomicU64; Statistic::ALL.len()],
    bounds: PhantomData<B>,
}

impl<W: Default, const SHARED: bool, B> Owned<W, SHARED, B> {
    pub fn new(buckets: usize, seed: u64) -> Self {
        Self {
            seed: Seed::from_u64(seed),
            bucket_headers: (0..buckets).map(|_| BucketHeader::default()).collect(),
            records: (0..buckets * SLOTS).map(|_| Record::default()).collect(),
            counts: Default::default(),
            bounds: PhantomData,
        }
    }
}

impl<W, const SHARED: bool, B> Owned<W, SHARED, B> {
    pub fn counted(&self, statistic: Statistic) -> u64 {
        self.counts[statistic as usize].load(Ordering::Relaxed)
    }
}

impl<W: Word, const SHARED: bool, B: Bounds> Memory for Owned<W, SHARED, B> {
    type Word = W;
    type Bounds = B;

    const SHARED: bool = SHARED;

    fn buckets(&self) -> u32 {
        self.bucket_headers.len() as u32
    }

    fn seed(&self) -> &Seed {
        &self.seed
    }

    fn bucket_header(&self, bucket: u32) -> Option<&BucketHeader<W>> {
        self.bucket_headers.get(bucket as usize)
    }

    fn record(&self, index: u32) -> Option<&Record<W>> {
        self.records.get(index as usize)
    }

    fn count(&self, statistic: Statistic) {
        self.counts[statistic as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// A table like the one that a program would have, or with other bounds.
pub fn plain_table<B: Bounds>(buckets: usize, seed: u64) -> BucketTable<Owned<AtomicU64, true, B>> {
    BucketTable::new(Owned::new(buckets, seed))
}
