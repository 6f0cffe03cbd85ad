//! The programs in the kernel, and their maps.

use std::path::PathBuf;

use aya::maps::{Array, MapData, PerCpuArray};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{LANES, Seed, SetTable, Statistic};

use crate::abi::{CONFIG_WORDS, MOST_SETS, TICKS_PER_SECOND};
use crate::memory::{MappedTable, array};
use crate::{Error, config, pin};

/// The programs, as `cargo xtask bpf` built them.
static OBJECT: &[u8] = include_bytes_aligned!("../object/flowkeep.o");

/// How the programs are loaded.
#[derive(Clone, Debug)]
pub struct Options {
    /// Timeouts and the like.
    pub settings: Settings,
    /// Sets of the table, of [`LANES`] entries each. A pinned table keeps its own number.
    pub sets: u32,
    /// Seed of the table's hash: random numbers. A pinned table keeps its own.
    pub seed: Seed,
    /// Folder of the BPF file system to which maps are pinned and where they are looked for. It
    /// has to exist.
    pub pin: Option<PathBuf>,
    /// The clock stands still until [`Kernel::set_clock`]: for tests.
    pub clock_is_set: bool,
}

/// The programs in the kernel, and their maps. When it is dropped, what is attached is detached,
/// and what is not pinned goes.
#[derive(Debug)]
pub struct Kernel {
    pub(crate) programs: Ebpf,
    table: SetTable<MappedTable>,
}

impl Kernel {
    /// Loads the programs' object and creates its maps, or opens those that are pinned. Programs
    /// are verified when they are attached or asked for.
    ///
    /// # Errors
    /// [`Error::Load`] without the privilege (CAP_BPF, CAP_NET_ADMIN) or on kernels before 5.15,
    /// [`Error::Pinned`] if a pinned map is not what is needed, [`Error::Size`].
    pub fn load(options: &Options) -> Result<Self, Error> {
        let pinned = match &options.pin {
            Some(folder) => pin::existing(folder)?,
            None => None,
        };
        let (sets, seed) = pinned.unwrap_or((options.sets, options.seed));
        if !(1..=MOST_SETS).contains(&sets) {
            return Err(Error::Size(sets));
        }
        let weakly_ordered = u32::from(!cfg!(any(target_arch = "x86_64", target_arch = "s390x")));
        let clock_is_set = u32::from(options.clock_is_set);
        let mut loader = EbpfLoader::new();
        loader
            .map_max_entries("HEADS", sets)
            .map_max_entries("RECORDS", sets * LANES as u32)
            .override_global("WEAKLY_ORDERED", &weakly_ordered, true)
            .override_global("CLOCK_IS_SET", &clock_is_set, true);
        for name in pin::MAPS {
            if let Some(folder) = &options.pin {
                loader.map_pin_path(name, folder.join(name));
            }
        }
        let programs = loader.load(OBJECT).map_err(Error::load)?;
        let data = |name| {
            let map = programs.map(name).and_then(array);
            map.ok_or_else(|| Error::Load(format!("there is no map {name}").into()))
        };
        let maps = [data("HEADER")?, data("HEADS")?, data("RECORDS")?];
        let table = SetTable::new(MappedTable::new(maps, sets, seed)?);
        if pinned.is_none() {
            let header = table.memory().header();
            header.describe(sets, TICKS_PER_SECOND, &seed);
        }
        let mut kernel = Self { programs, table };
        kernel.configure(&options.settings)?;
        Ok(kernel)
    }

    /// Changes the settings, for packets from now on.
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn configure(&mut self, settings: &Settings) -> Result<(), Error> {
        let memory = self.table.memory();
        use flowkeep_core::table::Memory as _;
        let words = config::words(settings, memory.sets(), memory.seed());
        let mut map: Array<&mut MapData, [u64; CONFIG_WORDS]> = self
            .programs
            .map_mut("CONFIG")
            .ok_or_else(|| Error::Load("there is no map CONFIG".into()))?
            .try_into()
            .map_err(Error::map("CONFIG"))?;
        map.set(0, words, 0).map_err(Error::map("CONFIG"))
    }

    /// Sets the clock, in nanoseconds, if it [stands still](Options::clock_is_set).
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn set_clock(&mut self, nanoseconds: u64) -> Result<(), Error> {
        let mut map: Array<&mut MapData, u64> = self
            .programs
            .map_mut("CLOCK")
            .ok_or_else(|| Error::Load("there is no map CLOCK".into()))?
            .try_into()
            .map_err(Error::map("CLOCK"))?;
        map.set(0, nanoseconds, 0).map_err(Error::map("CLOCK"))
    }

    /// The connections. User space may list, change and remove them while packets pass.
    #[must_use]
    pub const fn table(&self) -> &SetTable<MappedTable> {
        &self.table
    }

    /// How often something happened to the table, by the programs and by this process.
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn statistic(&self, statistic: Statistic) -> Result<u64, Error> {
        let own = self.table.memory().header().statistic(statistic);
        Ok(own + self.sum("STATISTICS", statistic as u32)?)
    }

    /// How many packets were not tracked for this reason.
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn errors(&self, error: flowkeep_core::Error) -> Result<u64, Error> {
        self.sum("ERRORS", error.index() as u32)
    }

    /// The sum of a counter over all processors.
    fn sum(&self, name: &'static str, index: u32) -> Result<u64, Error> {
        let counters: PerCpuArray<&MapData, u64> = self
            .programs
            .map(name)
            .ok_or_else(|| Error::Load(format!("there is no map {name}").into()))?
            .try_into()
            .map_err(Error::map(name))?;
        let values = counters.get(&index, 0).map_err(Error::map(name))?;
        Ok(values.iter().sum())
    }

    /// Removes what is pinned to a folder, and the folder.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn unpin(folder: &std::path::Path) -> Result<(), Error> {
        pin::remove(folder)
    }
}
