//! The memory of a table.

use core::ptr::NonNull;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use flowkeep_core::table::{
    BucketHeader, HEADER_BYTES, Header, HostBounds, LayoutError, Memory, Record, SLOTS, Seed,
    Statistic, table_bytes,
};
use memmap2::{Advice, MmapMut, MmapOptions};

use crate::{MemoryError, Words, prefetch};

/// The memory of a table, mapped for as long as this lives.
///
/// `SHARED` says whether other threads or processes may use it at the same time: see
/// [`Memory::SHARED`].
#[derive(Debug)]
pub struct Region<const SHARED: bool> {
    header: NonNull<Header<AtomicU64>>,
    bucket_headers: NonNull<BucketHeader<AtomicU64>>,
    records: NonNull<Record<AtomicU64>>,
    buckets: u32,
    seed: Seed,
    /// Unmap when they are dropped.
    maps: Vec<Words>,
}

// SAFETY: the pointers are into the mappings, which move with them, and point to atomics.
unsafe impl<const SHARED: bool> Send for Region<SHARED> {}
// SAFETY: a shared reference gives access to atomics only. A region that is not `SHARED` loads two
// tag words at a time and adds without atomic instructions, so it is not `Sync`.
unsafe impl Sync for Region<true> {}

impl<const SHARED: bool> Region<SHARED> {
    /// An empty table in anonymous memory, whose pages are allocated when they are first used.
    ///
    /// # Errors
    /// [`MemoryError::Refused`].
    pub fn anonymous(
        buckets: u32,
        ticks_per_second: u64,
        seed: &Seed,
    ) -> Result<Self, MemoryError> {
        let refused = |source| MemoryError::Refused { buckets, source };
        let bytes = usize::try_from(table_bytes(buckets))
            .map_err(|_| refused(io::ErrorKind::OutOfMemory.into()))?;
        let map = MmapMut::map_anon(bytes).map_err(refused)?;
        // Probes are random: with pages of 4 KiB each of them misses the TLB. This fails if the kernel
        // has no huge pages, and then it does not matter.
        let _ = map.advise(Advice::HugePage);
        let region = Self::within(map, buckets, *seed);
        region.header().describe(buckets, ticks_per_second, seed);
        Ok(region)
    }

    /// Opens a table that was saved to a file. Changes stay in memory, so the file is not changed.
    ///
    /// # Errors
    /// [`MemoryError::File`] and [`MemoryError::Layout`].
    pub fn open(path: &Path) -> Result<Self, MemoryError> {
        let failed = |source| MemoryError::File {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        // SAFETY: a private mapping. If another process shortens the file meanwhile, a later access
        // fails with a signal, as in every program that maps files.
        let map = unsafe { MmapOptions::new().map_copy(&file) }.map_err(failed)?;
        Self::saved(map).map_err(|source| MemoryError::Layout {
            path: path.to_owned(),
            source,
        })
    }

    /// The table in a file's mapping.
    fn saved(map: MmapMut) -> Result<Self, LayoutError> {
        let length = map.len() as u64;
        let map = Words::from(map);
        let (buckets, seed) = map.header().ok_or(LayoutError::NotATable)?.read()?;
        if length < table_bytes(buckets) {
            return Err(LayoutError::Truncated);
        }
        Ok(Self::within(map, buckets, seed))
    }

    /// What a saved file has after its table: see [`Region::save`].
    #[must_use]
    pub fn appendix(&self) -> Vec<u8> {
        let table = table_bytes(self.buckets) as usize / size_of::<u64>();
        let words = self.maps.first().map_or(&[][..], |map| map);
        let rest = words.get(table..).unwrap_or_default();
        rest.iter()
            .flat_map(|word| word.load(Relaxed).to_ne_bytes())
            .collect()
    }

    /// A table in one mapping of at least `table_bytes(buckets)` bytes.
    fn within(map: impl Into<Words>, buckets: u32, seed: Seed) -> Self {
        let map = map.into();
        assert!(
            size_of_val(&*map) as u64 >= table_bytes(buckets),
            "the caller has compared the lengths"
        );
        let bucket_headers = HEADER_BYTES;
        // Records are aligned. After an odd number of bucket headers that takes half a record, which
        // `table_bytes` includes.
        let records = (bucket_headers + buckets as usize * size_of::<BucketHeader<AtomicU64>>())
            .next_multiple_of(align_of::<Record<AtomicU64>>());
        let base = start(&map);
        Self {
            header: base.cast(),
            // SAFETY: both offsets lie within the mapping, by the assertion.
            bucket_headers: unsafe { base.byte_add(bucket_headers) }.cast(),
            // SAFETY: as above.
            records: unsafe { base.byte_add(records) }.cast(),
            buckets,
            seed,
            maps: vec![map],
        }
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header<AtomicU64> {
        // SAFETY: it points to the beginning of a mapping, which lives as long as `self`, is aligned to
        // a page and is at least as long as a header of atomics.
        unsafe { self.header.as_ref() }
    }
}

impl Region<true> {
    /// A table whose header, bucket headers and records are a mapping each, as in the kernel.
    ///
    /// # Errors
    /// If the header is invalid, or another mapping is too short.
    pub fn apart(maps: [Words; 3]) -> Result<Self, LayoutError> {
        let [header, bucket_headers, records] = &maps;
        let (buckets, seed) = header.header().ok_or(LayoutError::NotATable)?.read()?;
        let fits = size_of_val(&**bucket_headers)
            >= buckets as usize * size_of::<BucketHeader<AtomicU64>>()
            && size_of_val(&**records) >= buckets as usize * SLOTS * size_of::<Record<AtomicU64>>();
        if !fits {
            return Err(LayoutError::Truncated);
        }
        Ok(Self {
            header: start(header).cast(),
            bucket_headers: start(bucket_headers).cast(),
            records: start(records).cast(),
            buckets,
            seed,
            maps: maps.into(),
        })
    }
}

impl Region<false> {
    /// Writes the table to a file, replacing an existing one, and after it an appendix, of which only
    /// whole words are read again. The file is complete or as it was before: it is written beside
    /// the existing one, and renamed at the end.
    ///
    /// # Errors
    /// [`MemoryError::File`].
    pub fn save(&self, path: &Path, appendix: &[u8]) -> Result<(), MemoryError> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".part");
        let beside = PathBuf::from(beside);
        let written = self
            .write(&beside, appendix)
            .and_then(|()| std::fs::rename(&beside, path));
        written.map_err(|source| {
            // The first error is the one to report.
            let _ = std::fs::remove_file(&beside);
            MemoryError::File {
                path: path.to_owned(),
                source,
            }
        })
    }

    fn write(&self, path: &Path, appendix: &[u8]) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for word in self.maps.iter().flat_map(|map| &**map) {
            file.write_all(&word.load(Relaxed).to_ne_bytes())?;
        }
        file.write_all(appendix)?;
        file.into_inner()?.sync_all()
    }
}

/// Where a mapping begins.
fn start(map: &Words) -> NonNull<AtomicU64> {
    // A mapping is never at address 0.
    NonNull::new(map.as_mut_ptr()).unwrap_or(NonNull::dangling())
}

impl<const SHARED: bool> Memory for Region<SHARED> {
    type Word = AtomicU64;
    type Bounds = HostBounds;
    const SHARED: bool = SHARED;

    #[inline]
    fn buckets(&self) -> u32 {
        self.buckets
    }

    #[inline]
    fn seed(&self) -> &Seed {
        &self.seed
    }

    #[inline]
    fn bucket_header(&self, bucket: u32) -> Option<&BucketHeader<AtomicU64>> {
        // SAFETY: less than `buckets`, so within the mapping, which lives as long as `self`. It is
        // aligned, and any bytes are a valid bucket header of atomics.
        (bucket < self.buckets)
            .then(|| unsafe { self.bucket_headers.add(bucket as usize).as_ref() })
    }

    #[inline]
    fn record(&self, index: u32) -> Option<&Record<AtomicU64>> {
        // SAFETY: less than `buckets * SLOTS`, so within the mapping; else as for a bucket header.
        (index < self.buckets * SLOTS as u32)
            .then(|| unsafe { self.records.add(index as usize).as_ref() })
    }

    #[inline]
    fn count(&self, statistic: Statistic) {
        self.header().count(statistic);
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn matching(bucket_header: &BucketHeader<AtomicU64>, tag: u8) -> u64 {
        use core::arch::x86_64::{
            _mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8,
        };
        let tags: &[AtomicU64; SLOTS / 8] = bucket_header.tags();
        let slots = |pair: usize| {
            // SAFETY: every x86-64 processor has SSE2. A table that is not shared is used by one thread
            // (the region is not `Sync`), so two words may be loaded at a time; they are aligned as
            // the bucket header is.
            let slots = unsafe {
                let tags = if SHARED {
                    let [low, high] =
                        [&tags[2 * pair], &tags[2 * pair + 1]].map(|w| w.load(Relaxed));
                    _mm_set_epi64x(high as i64, low as i64)
                } else {
                    _mm_load_si128(tags.as_ptr().add(2 * pair).cast())
                };
                _mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8(tag as i8)))
            };
            u64::from(slots as u16)
        };
        slots(0) | slots(1) << 16 | slots(2) << 32
    }

    #[inline]
    fn prefetch_bucket(&self, bucket: u32) {
        if let Some(bucket_header) = self.bucket_header(bucket) {
            prefetch(core::ptr::from_ref(bucket_header).cast());
        }
    }

    #[inline]
    fn prefetch_record(&self, index: u32) {
        if let Some(record) = self.record(index) {
            let line: *const u8 = core::ptr::from_ref(record).cast();
            prefetch(line);
            prefetch(line.wrapping_add(64));
        }
    }
}

#[cfg(test)]
mod tests {
    use flowkeep_core::table::{BucketTable, Table};
    use flowkeep_core::tracker::Instant;
    use flowkeep_core::tuple::{Address, Flags, Tuple};

    use super::*;

    fn anonymous(bytes: usize) -> Words {
        MmapMut::map_anon(bytes).expect("memory").into()
    }

    /// Mappings for this many buckets, each too short by some bytes.
    fn maps(buckets: usize, short: [usize; 3]) -> [Words; 3] {
        let [header, bucket_headers, records] = short;
        let maps = [
            HEADER_BYTES - header,
            buckets * size_of::<BucketHeader<u64>>() - bucket_headers,
            buckets * SLOTS * size_of::<Record<u64>>() - records,
        ]
        .map(anonymous);
        if let Some(header) = maps[0].header() {
            header.describe(buckets as u32, 1000, &Seed::from_u64(7));
        }
        maps
    }

    #[test]
    fn a_table_in_three_mappings_is_a_table() {
        for buckets in [1, 2, 3] {
            let region = Region::apart(maps(buckets, [0; 3])).expect("a table");
            assert_eq!(region.header().ticks_per_second(), 1000);
            let table = BucketTable::new(region);
            let address = |last| Address::from_v4([192, 0, 2, last]);
            for port in 1..=20 {
                let tuple = Tuple::new(address(1), address(2), port, 53, 17, Flags::OUT);
                let hash = table.hash(&tuple);
                let stored = table.insert(hash, &tuple, &Default::default(), Instant::default());
                assert!(stored.is_ok());
                assert!(table.find(hash, &tuple).is_some(), "{port}");
            }
            assert_eq!(table.iter().count(), 20);
        }
    }

    #[test]
    fn mappings_that_are_too_short_are_rejected() {
        let refused = |short| Region::apart(maps(2, short)).map(drop);
        assert_eq!(refused([1, 0, 0]), Err(LayoutError::NotATable));
        assert_eq!(refused([0, 1, 0]), Err(LayoutError::Truncated));
        assert_eq!(refused([0, 0, 1]), Err(LayoutError::Truncated));
        assert_eq!(refused([0, 0, 0]), Ok(()));
    }

    #[test]
    fn indexes_beyond_the_table_have_nothing() {
        let table = Region::<false>::anonymous(3, 1, &Seed::from_u64(1)).expect("memory");
        assert!(table.bucket_header(2).is_some() && table.bucket_header(3).is_none());
        let records = 3 * SLOTS as u32;
        assert!(table.record(records - 1).is_some() && table.record(records).is_none());
    }

    #[test]
    fn tags_match_alike_whether_shared_or_not() {
        fn matching<const SHARED: bool>(tag: u8) -> [u64; 2] {
            let table = Region::<SHARED>::anonymous(1, 1, &Seed::from_u64(1)).expect("memory");
            let bucket_header = table.bucket_header(0).expect("the only bucket");
            for (index, word) in bucket_header.tags().iter().enumerate() {
                word.store(0x0180_0000_ff01_0002 << index, Relaxed);
            }
            [
                Region::<SHARED>::matching(bucket_header, tag),
                bucket_header.matching(tag),
            ]
        }
        for tag in [0, 1, 2, 0x80, 0xff] {
            let [own, plain] = matching::<false>(tag);
            assert_eq!(own, plain, "{tag}");
            assert_eq!(matching::<true>(tag), [own, plain], "{tag}");
        }
    }
}
