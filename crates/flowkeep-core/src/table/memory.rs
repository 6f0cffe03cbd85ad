//! What the table asks of whoever owns its memory.

use super::bounded_probe::search;
use super::buckets::Keys;
use super::evict::least_loss;
use super::hash::{BucketPair, Seed};
use super::insert::search_locked;
use super::layout::{BucketHeader, Header, LayoutError, Record, SLOTS, Statistic};
use super::lock::{Lock, lock, wait_while_busy};
use super::sighting::Sighting;
use super::word::Word;
use crate::tuple::Tuple;

/// What bounds searches and insertions, and how a table is probed: one of [`HostBounds`] and
/// [`KernelBounds`].
pub trait Bounds: Copy + core::fmt::Debug + Default + Send + Sync + 'static {
    /// Whether a search is the one that the kernel's verifier can follow; else the one that lets a
    /// processor work ahead.
    const BOUNDED_PROBE: bool;

    /// How many slots of a bucket are looked at whose tag is the wanted one.
    const CANDIDATES: usize;

    /// Tries for a bucket's lock. It is held for the time of one insertion.
    const LOCK_TRIES: u32;

    /// Tries for a slot, when others claim those that were chosen.
    const CLAIM_TRIES: usize;

    /// Whether insertion frees all that has expired in a full bucket at once; else one by one, and
    /// the sweep takes the rest.
    const COLLECTS: bool;
}

/// For programs, whose loops nobody checks. The holder of a lock may be preempted.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostBounds;

impl Bounds for HostBounds {
    const BOUNDED_PROBE: bool = false;
    const CANDIDATES: usize = SLOTS;
    const LOCK_TRIES: u32 = 1 << 16;
    const CLAIM_TRIES: usize = 4;
    const COLLECTS: bool = true;
}

/// For the kernel, whose verifier walks every turn of every loop.
///
/// Eight candidates: that many others with the same tag hide an entry of a full bucket, one in
/// 10^10, which whoever does not know the seed can't choose. It is stored anew then. Insertions
/// that lose a claim are tried again from the search on, by [`Tracker::track_packet`].
///
/// [`Tracker::track_packet`]: crate::tracker::Tracker::track_packet
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelBounds;

impl Bounds for KernelBounds {
    const BOUNDED_PROBE: bool = true;
    const CANDIDATES: usize = 8;
    const LOCK_TRIES: u32 = 128;
    const CLAIM_TRIES: usize = 1;
    const COLLECTS: bool = false;
}

/// The memory of a table: heap, a file mapping or a BPF array.
///
/// The methods with a body are there to be put into functions of their own, where the kernel's
/// verifier is to walk through them once, and not for every use that there is in a program.
pub trait Memory {
    /// The word that the memory is made of.
    type Word: Word;

    /// What bounds searches and insertions.
    type Bounds: Bounds;

    /// Whether others may change the memory at the same time. If not, locks and atomic
    /// read-modify-write instructions are left out.
    const SHARED: bool = true;

    /// How many buckets there are; not 0.
    fn buckets(&self) -> u32;

    /// The seed of the hash.
    fn seed(&self) -> &Seed;

    /// The header of a bucket, if there is such a bucket.
    fn bucket_header(&self, bucket: u32) -> Option<&BucketHeader<Self::Word>>;

    /// A record, if there is such a record. Bucket `b` has those from `b * SLOTS` on.
    fn record(&self, index: u32) -> Option<&Record<Self::Word>>;

    /// Counts something.
    fn count(&self, statistic: Statistic);

    /// [`search`]
    #[inline(always)]
    fn search(&self, pair: BucketPair, keys: &Keys) -> Sighting
    where
        Self: Sized,
    {
        search(self, pair, keys)
    }

    /// [`lock`]
    #[inline(always)]
    fn lock(&self, bucket: u32, now: u32) -> Lock
    where
        Self: Sized,
    {
        lock(self, bucket, now)
    }

    /// [`wait_while_busy`]
    #[inline(always)]
    fn wait_while_busy(&self, index: u32)
    where
        Self: Sized,
    {
        wait_while_busy(self, index);
    }

    /// [`search_locked`]
    #[inline(always)]
    fn search_locked(&self, pair: BucketPair, tuple: &Tuple, other: &Tuple, oldest: u32) -> Sighting
    where
        Self: Sized,
    {
        search_locked(self, pair, tuple, other, oldest)
    }

    /// [`least_loss`]
    #[inline(always)]
    fn least_loss(&self, pair: BucketPair, now: u32) -> u64
    where
        Self: Sized,
    {
        least_loss(self, pair, now)
    }

    /// The slots of a bucket whose tag is `tag`: bit `n` for slot `n`. Worth a processor's own
    /// instructions, which take `unsafe` code.
    #[inline(always)]
    fn matching(bucket_header: &BucketHeader<Self::Word>, tag: u8) -> u64 {
        bucket_header.matching(tag)
    }

    /// A hint that a bucket's header will be read soon.
    #[inline]
    fn prefetch_bucket(&self, bucket: u32) {
        let _ = bucket;
    }

    /// A hint that a record will be read soon.
    #[inline]
    fn prefetch_record(&self, index: u32) {
        let _ = index;
    }
}

/// Memory as slices: a table in a program's heap or in a mapping.
#[derive(Clone, Copy, Debug)]
pub struct Slices<'m, W> {
    header: &'m Header<W>,
    bucket_headers: &'m [BucketHeader<W>],
    records: &'m [Record<W>],
    seed: Seed,
}

impl<'m, W: Word> Slices<'m, W> {
    /// A table whose header has been [described](Header::describe).
    ///
    /// # Errors
    /// Why the header or the length of the slices is not that of a table.
    pub fn new(
        header: &'m Header<W>,
        bucket_headers: &'m [BucketHeader<W>],
        records: &'m [Record<W>],
    ) -> Result<Self, LayoutError> {
        let (buckets, seed) = header.read()?;
        let buckets = buckets as usize;
        let (Some(bucket_headers), Some(records)) = (
            bucket_headers.get(..buckets),
            records.get(..buckets * SLOTS),
        ) else {
            return Err(LayoutError::Truncated);
        };
        Ok(Self {
            header,
            bucket_headers,
            records,
            seed,
        })
    }

    /// The header, with its counters.
    #[must_use]
    pub const fn header(&self) -> &'m Header<W> {
        self.header
    }
}

impl<W: Word> Memory for Slices<'_, W> {
    type Word = W;
    type Bounds = HostBounds;

    #[inline]
    fn buckets(&self) -> u32 {
        self.bucket_headers.len() as u32
    }

    #[inline]
    fn seed(&self) -> &Seed {
        &self.seed
    }

    #[inline]
    fn bucket_header(&self, bucket: u32) -> Option<&BucketHeader<W>> {
        self.bucket_headers.get(bucket as usize)
    }

    #[inline]
    fn record(&self, index: u32) -> Option<&Record<W>> {
        self.records.get(index as usize)
    }

    #[inline]
    fn count(&self, statistic: Statistic) {
        self.header.count(statistic);
    }
}
