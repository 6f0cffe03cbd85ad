//! Memory for a table: the one place where bytes become a table's words.
//!
//! Anonymous memory, a file or a BPF array: all are mappings, and the same layout lies in each.

use core::ptr::NonNull;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use flowkeep_core::table::{
    HEADER_BYTES, Head, Header, LANES, LayoutError, Memory, Record, Seed, Statistic, table_bytes,
};
use memmap2::{Advice, MmapOptions, MmapRaw};

/// Why a table's memory can't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The system gives no memory of this size.
    #[error("no memory for a table of {sets} sets ({} MiB): {source}", table_bytes(*sets) >> 20)]
    Refused {
        /// How many sets were asked for.
        sets: u32,
        /// What the system said.
        source: io::Error,
    },
    /// A file can't be opened, created or mapped.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not a table that this program can read.
    #[error("{}: {source}", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: LayoutError,
    },
}

/// The memory of a table, mapped for as long as this lives.
///
/// `SHARED` says whether others may use the memory at the same time: see [`Memory::SHARED`].
#[derive(Debug)]
pub struct Region<const SHARED: bool> {
    header: NonNull<Header<AtomicU64>>,
    heads: NonNull<Head<AtomicU64>>,
    records: NonNull<Record<AtomicU64>>,
    sets: u32,
    seed: Seed,
    /// Unmaps when it is dropped.
    map: MmapRaw,
}

// SAFETY: the pointers are into the mapping, which moves with them, and what they point to is
// made of atomics.
unsafe impl<const SHARED: bool> Send for Region<SHARED> {}
// SAFETY: through a shared reference only atomics are reached. A region that is not `SHARED` is
// still sound to use from two threads, but would lose counts: so only the other one is `Sync`.
unsafe impl Sync for Region<true> {}

impl<const SHARED: bool> Region<SHARED> {
    /// An empty table in anonymous memory, which takes room only as it is used.
    ///
    /// # Errors
    /// [`MemoryError::Refused`].
    pub fn anonymous(sets: u32, ticks_per_second: u64, seed: &Seed) -> Result<Self, MemoryError> {
        let refused = |source| MemoryError::Refused { sets, source };
        let bytes = usize::try_from(table_bytes(sets))
            .map_err(|_| refused(io::ErrorKind::OutOfMemory.into()))?;
        let map: MmapRaw = MmapOptions::new()
            .len(bytes)
            .map_anon()
            .map_err(refused)?
            .into();
        // Probes are random: with pages of 4 KiB every one of them misses the TLB. Refused where
        // the kernel has no huge pages, and then nothing is lost.
        let _ = map.advise(Advice::HugePage);
        Ok(Self::described(map, sets, ticks_per_second, seed))
    }

    /// Opens a table that was saved to a file. The file is not changed: what is written through
    /// this stays here.
    ///
    /// # Errors
    /// [`MemoryError::File`] and [`MemoryError::Layout`].
    pub fn open(path: &Path) -> Result<Self, MemoryError> {
        let failed = |source| MemoryError::File {
            path: path.to_owned(),
            source,
        };
        let wrong = |source| MemoryError::Layout {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length < HEADER_BYTES as u64 {
            return Err(wrong(LayoutError::NotATable));
        }
        // SAFETY: a private mapping; somebody who shortens the file meanwhile makes a later
        // access fail with a signal, as for every program that maps files.
        let map = unsafe { MmapOptions::new().map_copy(&file) }.map_err(failed)?;
        let map: MmapRaw = map.into();
        // SAFETY: the mapping is at least a header long and page-aligned, any bytes are a valid
        // header of atomics, and the reference ends before the mapping moves.
        let header = unsafe { &*map.as_ptr().cast::<Header<AtomicU64>>() };
        let (sets, seed) = header.read().map_err(wrong)?;
        if length < table_bytes(sets) {
            return Err(wrong(LayoutError::Truncated));
        }
        Ok(Self::over(map, sets, seed))
    }

    fn described(map: MmapRaw, sets: u32, ticks_per_second: u64, seed: &Seed) -> Self {
        let region = Self::over(map, sets, *seed);
        region.header().describe(sets, ticks_per_second, seed);
        region
    }

    /// The mapping has to be at least `table_bytes(sets)` long.
    fn over(map: MmapRaw, sets: u32, seed: Seed) -> Self {
        assert!(
            map.len() as u64 >= table_bytes(sets),
            "the caller has compared the lengths"
        );
        // A mapping is never at address 0.
        let base = NonNull::new(map.as_mut_ptr()).unwrap_or(NonNull::dangling());
        let heads = HEADER_BYTES;
        // Aligned to a record: a page and multiples of two heads are. An odd number of sets
        // leaves half a record of room, which `table_bytes` has.
        let records = (heads + sets as usize * size_of::<Head<AtomicU64>>())
            .next_multiple_of(align_of::<Record<AtomicU64>>());
        Self {
            header: base.cast(),
            // SAFETY: both offsets lie within the mapping, by the assertion.
            heads: unsafe { base.add(heads) }.cast(),
            // SAFETY: as above.
            records: unsafe { base.add(records) }.cast(),
            sets,
            seed,
            map,
        }
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header<AtomicU64> {
        // SAFETY: it points to the beginning of the mapping, which lives as long as `self`, is
        // aligned to a page, and holds a header's worth of bytes, all of them atomics.
        unsafe { self.header.as_ref() }
    }

    /// Writes the table to a file, in place of what is there. The file is whole or as it was
    /// before: a copy beside it takes its place at the end. Meaningful while nobody changes the
    /// table.
    ///
    /// # Errors
    /// [`MemoryError::File`].
    pub fn save(&self, path: &Path) -> Result<(), MemoryError> {
        let failed = |source| MemoryError::File {
            path: path.to_owned(),
            source,
        };
        let mut beside = path.as_os_str().to_owned();
        beside.push(".part");
        let beside = PathBuf::from(beside);
        let written = self
            .write(&beside)
            .and_then(|()| std::fs::rename(&beside, path));
        written.map_err(|error| {
            // The first error is the one to tell.
            let _ = std::fs::remove_file(&beside);
            failed(error)
        })
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        let base: *const AtomicU64 = self.map.as_ptr().cast();
        for index in 0..self.map.len() / size_of::<AtomicU64>() {
            // SAFETY: within the mapping, aligned, and read atomically.
            let word = unsafe { &*base.add(index) }.load(Relaxed);
            file.write_all(&word.to_ne_bytes())?;
        }
        file.into_inner()?.sync_all()
    }
}

impl<const SHARED: bool> Memory for Region<SHARED> {
    type Word = AtomicU64;
    const SHARED: bool = SHARED;

    #[inline]
    fn sets(&self) -> u32 {
        self.sets
    }

    #[inline]
    fn seed(&self) -> &Seed {
        &self.seed
    }

    #[inline]
    fn head(&self, set: u32) -> Option<&Head<AtomicU64>> {
        // SAFETY: below `sets`, so within the mapping, which lives as long as `self`; aligned,
        // and any bytes are a valid head of atomics.
        (set < self.sets).then(|| unsafe { self.heads.add(set as usize).as_ref() })
    }

    #[inline]
    fn record(&self, index: u32) -> Option<&Record<AtomicU64>> {
        // SAFETY: below `sets * LANES`, so within the mapping; else as for a head.
        (index < self.sets * LANES as u32)
            .then(|| unsafe { self.records.add(index as usize).as_ref() })
    }

    #[inline]
    fn count(&self, statistic: Statistic) {
        self.header().count(statistic);
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn matching(head: &Head<AtomicU64>, tag: u8) -> u64 {
        use core::arch::x86_64::{
            _mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8,
        };
        let tags: &[AtomicU64; LANES / 8] = head.tags();
        let lanes = |pair: usize| {
            // SAFETY: every x86-64 processor has SSE2. A table that is not shared is reached from
            // one thread only (the region is not `Sync`), so its words may be loaded two at a
            // time; they are aligned as the head is.
            let lanes = unsafe {
                let tags = if SHARED {
                    let [low, high] =
                        [&tags[2 * pair], &tags[2 * pair + 1]].map(|w| w.load(Relaxed));
                    _mm_set_epi64x(high as i64, low as i64)
                } else {
                    _mm_load_si128(tags.as_ptr().add(2 * pair).cast())
                };
                _mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8(tag as i8)))
            };
            u64::from(lanes as u16)
        };
        lanes(0) | lanes(1) << 16 | lanes(2) << 32
    }

    #[inline]
    fn prefetch_head(&self, set: u32) {
        if let Some(head) = self.head(set) {
            prefetch(core::ptr::from_ref(head).cast());
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

/// A hint that the line at this address will be read and written soon.
#[inline]
pub(crate) fn prefetch(line: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint: it never faults and changes nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}
