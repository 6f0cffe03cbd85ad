//! The maps that the programs and user space share.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use aya::Ebpf;
use aya::maps::{Map, MapData, MapError, PerCpuArray};
use aya::programs::ProgramInfo;
use flowkeep_core::table::SLOTS;
use flowkeep_memory::Words;

use crate::Error;
use crate::abi::{BUCKET_HEADER_WORDS, HEADER_WORDS, RECORD_WORDS};

/// The maps. Each has a descriptor of its own, so they live as long as this does.
#[derive(Debug)]
pub(crate) struct Maps {
    header: MapData,
    bucket_headers: MapData,
    records: MapData,
    pub(crate) config: MapData,
    pub(crate) events: MapData,
    statistics: Counters,
    errors: Counters,
    pub(crate) lost: Counters,
}

/// The maps' names, in the programs and in a folder of the BPF file system. Maps that are only used
/// while a packet is processed are not shared.
pub(crate) const NAMES: [&str; 8] = [
    "HEADER",
    "BUCKETS",
    "RECORDS",
    "CONFIG",
    "EVENTS",
    "STATISTICS",
    "ERRORS",
    "LOST",
];

impl Maps {
    /// The maps of an object that was loaded.
    pub(crate) fn of(programs: &Ebpf) -> Result<Self, Error> {
        Self::new(|name| match programs.map(name) {
            Some(Map::Array(data) | Map::PerCpuArray(data) | Map::RingBuf(data)) => duplicate(data),
            _ => Err(MapError::InvalidName {
                name: name.to_owned(),
            }),
        })
    }

    /// The maps that are pinned to a folder.
    pub(crate) fn pinned(folder: &Path) -> Result<Self, Error> {
        Self::new(|name| MapData::from_pin(folder.join(name)))
    }

    fn new(open: impl Fn(&str) -> Result<MapData, MapError>) -> Result<Self, Error> {
        let open = |name: &'static str| open(name).map_err(Error::map(name));
        let counters = |name| Ok::<_, Error>(Counters::new(name, open(name)?));
        Ok(Self {
            header: open("HEADER")?,
            bucket_headers: open("BUCKETS")?,
            records: open("RECORDS")?,
            config: open("CONFIG")?,
            events: open("EVENTS")?,
            statistics: counters("STATISTICS")?,
            errors: counters("ERRORS")?,
            lost: counters("LOST")?,
        })
    }

    /// The kernel's identifier of the table.
    pub(crate) fn table_id(&self) -> Result<u32, Error> {
        let info = self.records.info().map_err(Error::map("RECORDS"))?;
        Ok(info.id())
    }

    /// The header, bucket headers and records of a table with this many buckets, mapped into this
    /// process. The mappings stay valid when the programs are unloaded.
    pub(crate) fn table(&self, buckets: u32) -> Result<[Words; 3], Error> {
        let buckets = buckets as usize;
        Ok([
            words(&self.header, HEADER_WORDS)?,
            words(&self.bucket_headers, buckets * BUCKET_HEADER_WORDS)?,
            words(&self.records, buckets * SLOTS * RECORD_WORDS)?,
        ])
    }

    /// How often the programs counted a [`Statistic`](flowkeep_core::table::Statistic).
    pub(crate) fn statistic(&self, index: u32) -> Result<u64, Error> {
        self.statistics.sum(index)
    }

    /// How many packets were not tracked, by [`flowkeep_core::Error::index`].
    pub(crate) fn errors(&self, index: u32) -> Result<u64, Error> {
        self.errors.sum(index)
    }
}

/// The identifiers of the maps that a program uses; none if it was unloaded meanwhile.
pub(crate) fn used_by(program: &ProgramInfo) -> Vec<u32> {
    program.map_ids().ok().flatten().unwrap_or_default()
}

/// A map's first words, mapped into this process.
pub(crate) fn words(map: &MapData, count: usize) -> Result<Words, Error> {
    Words::shared(map.fd(), count * 8).map_err(Error::Mapping)
}

/// Another descriptor of the same map.
pub(crate) fn duplicate(map: &MapData) -> Result<MapData, MapError> {
    let fd: io::Result<_> = map.fd().as_fd().try_clone_to_owned();
    MapData::from_fd(fd?)
}

/// Counters, one for each processor.
#[derive(Debug)]
pub(crate) struct Counters {
    name: &'static str,
    map: Map,
}

impl Counters {
    const fn new(name: &'static str, data: MapData) -> Self {
        let map = Map::PerCpuArray(data);
        Self { name, map }
    }

    /// The same counters, by another descriptor.
    pub(crate) fn try_clone(&self) -> Result<Self, Error> {
        let data = match &self.map {
            Map::PerCpuArray(data) => duplicate(data).map_err(Error::map(self.name))?,
            // No other map is stored.
            _ => return Err(Error::Load(format!("{} has no counters", self.name).into())),
        };
        Ok(Self::new(self.name, data))
    }

    /// A counter's sum over all processors.
    pub(crate) fn sum(&self, index: u32) -> Result<u64, Error> {
        let counters: PerCpuArray<&MapData, u64> =
            (&self.map).try_into().map_err(Error::map(self.name))?;
        let values = counters.get(&index, 0).map_err(Error::map(self.name))?;
        Ok(values.iter().sum())
    }
}
