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

/// Memory whose table is bounded as that of the kernel's programs is, if `KERNEL`; else as on the
/// host. Every other test of the table has the host's bounds.
#[derive(Debug)]
pub struct Bounded<M, const KERNEL: bool>(pub M);

/// What bounds the kernel's programs, as `flowkeep_bpf::abi::table` has it.
pub mod kernel {
    /// `Memory::CANDIDATES`
    pub const CANDIDATES: usize = 8;
    /// `Memory::LOCK_TRIES`
    pub const LOCK_TRIES: usize = 8;
    /// `Memory::CLAIM_TRIES`
    pub const CLAIM_TRIES: usize = 1;
    /// `Memory::COLLECTS`
    pub const COLLECTS: bool = false;
}

impl<M: Memory, const KERNEL: bool> Memory for Bounded<M, KERNEL> {
    type Word = M::Word;

    const SHARED: bool = M::SHARED;
    const CANDIDATES: usize = if KERNEL {
        kernel::CANDIDATES
    } else {
        M::CANDIDATES
    };
    const LOCK_TRIES: usize = if KERNEL {
        kernel::LOCK_TRIES
    } else {
        M::LOCK_TRIES
    };
    const CLAIM_TRIES: usize = if KERNEL {
        kernel::CLAIM_TRIES
    } else {
        M::CLAIM_TRIES
    };
    const COLLECTS: bool = if KERNEL {
        kernel::COLLECTS
    } else {
        M::COLLECTS
    };

    fn buckets(&self) -> u32 {
        self.0.buckets()
    }

    fn seed(&self) -> &Seed {
        self.0.seed()
    }

    fn bucket_header(&self, bucket: u32) -> Option<&BucketHeader<M::Word>> {
        self.0.bucket_header(bucket)
    }

    fn record(&self, index: u32) -> Option<&Record<M::Word>> {
        self.0.record(index)
    }

    fn count(&self, statistic: Statistic) {
        self.0.count(statistic);
    }
}
