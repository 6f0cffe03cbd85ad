//! The kernel's table in this program's memory: the one place where maps become words.

use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use aya::maps::MapData;
use flowkeep_core::table::{Head, Header, LANES, LayoutError, Memory, Record, Seed, Statistic};
use memmap2::{MmapOptions, MmapRaw};

use crate::Error;

/// The table of the programs in the kernel, mapped for as long as this lives. The programs may go:
/// the table stays.
#[derive(Debug)]
pub struct MappedTable {
    header: NonNull<Header<AtomicU64>>,
    heads: NonNull<Head<AtomicU64>>,
    records: NonNull<Record<AtomicU64>>,
    sets: u32,
    seed: Seed,
    /// Unmap when they are dropped.
    _maps: [MmapRaw; 3],
}

// SAFETY: the pointers are into the mappings, which move with them, and what they point to is made
// of atomics.
unsafe impl Send for MappedTable {}
// SAFETY: through a shared reference only atomics are reached.
unsafe impl Sync for MappedTable {}

impl MappedTable {
    /// Maps three array maps of one, `sets` and `sets * LANES` elements.
    pub(crate) fn new(
        [header, heads, records]: [&MapData; 3],
        sets: u32,
        seed: Seed,
    ) -> Result<Self, Error> {
        let map = |data, bytes| map(data, bytes).map_err(Error::Mapping);
        let maps = [
            map(header, size_of::<Header<AtomicU64>>())?,
            map(heads, sets as usize * size_of::<Head<AtomicU64>>())?,
            map(
                records,
                sets as usize * LANES * size_of::<Record<AtomicU64>>(),
            )?,
        ];
        // A mapping is never at address 0.
        let [header, heads, records] = maps
            .each_ref()
            .map(|map| NonNull::new(map.as_mut_ptr()).unwrap_or(NonNull::dangling()));
        Ok(Self {
            header: header.cast(),
            heads: heads.cast(),
            records: records.cast(),
            sets,
            seed,
            _maps: maps,
        })
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header<AtomicU64> {
        // SAFETY: it points to a mapping of a header's size, which lives as long as `self`, is
        // aligned to a page, and holds atomics.
        unsafe { self.header.as_ref() }
    }
}

/// Reads the header of a table: how many sets it has, and its seed.
pub(crate) fn describe(header: &MapData) -> Result<Result<(u32, Seed), LayoutError>, Error> {
    let map = map(header, size_of::<Header<AtomicU64>>()).map_err(Error::Mapping)?;
    // SAFETY: the mapping is as long as a header, aligned to a page, and any bytes are a valid
    // header of atomics. The reference ends before the mapping does.
    let header = unsafe { &*map.as_ptr().cast::<Header<AtomicU64>>() };
    Ok(header.read())
}

/// Maps a map's elements. The kernel refuses more bytes than it has.
pub(crate) fn map(data: &MapData, bytes: usize) -> std::io::Result<MmapRaw> {
    MmapOptions::new()
        .len(bytes)
        .map_raw(data.fd().as_fd().as_raw_fd())
}

impl Memory for MappedTable {
    type Word = AtomicU64;

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
        // SAFETY: below `sets`, so within the mapping, which lives as long as `self`; elements lie
        // in line from a page's start, and any bytes are a valid head of atomics.
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
}
