//! What the table asks of whoever owns its memory.

#[cfg(target_arch = "bpf")]
use super::BucketPair;
use super::hash::Seed;
use super::layout::{BucketHeader, Header, LayoutError, Record, SLOTS, Statistic};
use super::word::Word;
#[cfg(target_arch = "bpf")]
use crate::tuple::Tuple;

/// The memory of a table: heap, a file mapping or a BPF array.
pub trait Memory {
    /// The word that the memory is made of.
    type Word: Word;

    /// Whether others may change the memory at the same time. If not, locks and atomic
    /// read-modify-write instructions are left out.
    const SHARED: bool = true;

    /// How many slots of a set are looked at whose tag is the wanted one. The kernel's verifier
    /// walks every one of them, in every look-up. With 8 there, that many others with the same tag
    /// hide an entry of a full set: one in 10^10, which whoever does not know the seed can't choose.
    /// It is stored anew then.
    const CANDIDATES: usize = SLOTS;

    /// Tries for a set's lock. It is held for the time of one insertion, by code that is not
    /// preempted in the kernel; in a program its holder may be, and then waiting longer than this
    /// is in vain.
    const LOCK_TRIES: usize = 256;

    /// Tries for a slot, when others claim those that were chosen.
    const CLAIM_TRIES: usize = 4;

    /// Whether insertion frees all that has expired in a full set at once. The kernel's verifier has
    /// no patience for it: there it takes them one by one, and the sweep takes the rest.
    const COLLECTS: bool = true;

    /// How many sets there are; not 0.
    fn buckets(&self) -> u32;

    /// The seed of the hash.
    fn seed(&self) -> &Seed;

    /// The head of a set, if there is such a set.
    fn bucket_header(&self, bucket: u32) -> Option<&BucketHeader<Self::Word>>;

    /// A record, if there is such a record. Set `s` has those from `s * SLOTS` on.
    fn record(&self, index: u32) -> Option<&Record<Self::Word>>;

    /// Counts something.
    fn count(&self, statistic: Statistic);

    /// [Searches](super::search) this memory: in a function of its own, if the kernel's verifier is
    /// to walk through it once, and not for every search that there is in a program.
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    fn search(&self, pair: BucketPair, keys: &super::Keys) -> super::Sighting
    where
        Self: Sized,
    {
        super::search(self, pair, keys)
    }

    /// Searches for a key that is to be stored, and [marks](super::search_and_flag_reverse) its twins: in
    /// a function of its own, as [`Self::search`].
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    fn search_and_flag_reverse(&self, pair: BucketPair, tuple: &Tuple) -> super::Sighting
    where
        Self: Sized,
    {
        super::search_and_flag_reverse(self, pair, tuple)
    }

    /// The record of a place's two sets that is [least missed](super::expendable_record): in a
    /// function of its own, as [`Self::search`].
    #[cfg(target_arch = "bpf")]
    #[inline(always)]
    fn least_loss(&self, pair: BucketPair, now: u32) -> Option<u32>
    where
        Self: Sized,
    {
        Some(super::expendable_record(self, pair, now))
    }

    /// The slots of a set whose tag is `tag`: bit `n` for slot `n`. Worth a processor's own
    /// instructions, which take `unsafe` code.
    #[inline(always)]
    fn matching(bucket_header: &BucketHeader<Self::Word>, tag: u8) -> u64 {
        bucket_header.matching(tag)
    }

    /// A hint that a set's head will be read soon.
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
