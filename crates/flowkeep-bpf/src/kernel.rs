//! The programs in the kernel, and their maps.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aya::maps::{Array, Map, MapData, MapError};
use aya::programs::{ProgramError, loaded_programs};
use aya::{Ebpf, EbpfError, EbpfLoader};
use flowkeep_core::rules::RuleSet;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{BucketTable, Memory as _, SLOTS, Seed, Statistic};
use flowkeep_memory::Region;

use crate::abi::{MAX_BUCKETS, TICKS_PER_SECOND};
use crate::attach::Attachment;
use crate::config::MappedConfig;
use crate::error::system;
use crate::lock::Locked;
use crate::maps::{self, Maps};
use crate::{Error, Events, Means, Unwatched, object, pin};

/// How the programs are loaded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Timeouts and the like. A pinned table keeps its own: see [`Kernel::change`].
    pub settings: Settings,
    /// Whose rules the programs track by; `None` for those of a pinned table, or else Flowkeep's own.
    pub rules: Option<RuleSet>,
    /// Sets of the table, of [`SLOTS`] entries each. A pinned table keeps its own number.
    pub buckets: u32,
    /// Seed of the table's hash: random numbers. A pinned table keeps its own.
    pub seed: Seed,
    /// Folder of a BPF file system to which maps are pinned and where they are looked for. It is
    /// made if it does not exist.
    pub pin: Option<PathBuf>,
    /// By what means programs are attached; `None` for the best that the kernel has.
    pub means: Option<Means>,
    /// Bytes of the buffer for events, a power of two and of whole pages. A pinned buffer keeps
    /// its own size.
    pub event_bytes: u32,
    /// The clock stands still until [`Kernel::set_clock`]: for tests.
    pub clock_is_set: bool,
}

impl Options {
    /// Nothing pinned, by the best means, with a buffer of 4 MiB for events.
    #[must_use]
    pub const fn new(settings: Settings, buckets: u32, seed: Seed) -> Self {
        Self {
            settings,
            rules: None,
            buckets,
            seed,
            pin: None,
            means: None,
            event_bytes: 4 << 20,
            clock_is_set: false,
        }
    }
}

/// A table in the kernel and its programs: loaded by this process, or by another that has pinned
/// them.
///
/// When it is dropped, what this process has attached is detached and what is not pinned goes.
#[derive(Debug)]
pub struct Kernel {
    /// `None` until a program is needed.
    programs: Option<Ebpf>,
    pub(crate) maps: Maps,
    pub(crate) pin: Option<PathBuf>,
    pub(crate) means: Option<Means>,
    pub(crate) attachments: Vec<Attachment>,
    rules: RuleSet,
    config: MappedConfig,
    table: BucketTable<Region<true>>,
}

impl Kernel {
    /// Loads the object with the programs and creates its maps, or goes on with those that are pinned to
    /// the [folder](Options::pin), with the settings that are there. Programs are verified when they are
    /// attached or asked for.
    ///
    /// # Errors
    /// [`Error::Load`] without the privilege (CAP_BPF, CAP_NET_ADMIN) or on kernels before 5.15,
    /// [`Error::Pinned`] if a pinned map is not what is needed, [`Error::OtherRules`],
    /// [`Error::Size`], [`Error::File`]. Nothing is left behind then.
    pub fn load(options: &Options) -> Result<Self, Error> {
        Self::load_object(None, options)
    }

    /// [`Self::load`] of another object, which has the same maps: for tests.
    ///
    /// # Errors
    /// As [`Self::load`].
    #[doc(hidden)]
    pub fn load_object(object: Option<&[u8]>, options: &Options) -> Result<Self, Error> {
        let pinned = match &options.pin {
            Some(folder) => pin::existing(folder)?,
            None => None,
        };
        if let (Some(folder), Some(pinned)) = (&options.pin, &pinned)
            && let Some(wanted) = options.rules
            && wanted != pinned.rules
        {
            return Err(Error::OtherRules {
                folder: folder.clone(),
                found: pinned.rules,
                wanted,
            });
        }
        let wanted = pin::Existing {
            buckets: options.buckets,
            seed: options.seed,
            rules: options.rules.unwrap_or_default(),
        };
        let pin::Existing {
            buckets,
            seed,
            rules,
        } = pinned.unwrap_or(wanted);
        if !(1..=MAX_BUCKETS).contains(&buckets) {
            return Err(Error::Size(buckets));
        }
        let folder = options.pin.as_deref();
        // Removed again if anything fails.
        let new = match (folder, pinned) {
            (Some(folder), None) => Some(pin::New::make(folder)?),
            _ => None,
        };
        let object = object.unwrap_or_else(|| object::with(rules));
        let programs = load(object, buckets, options, folder)?;
        let maps = Maps::of(&programs)?;
        let config = MappedConfig::new(&maps.config)?;
        let table = maps.table(buckets)?;
        if pinned.is_none() {
            config.describe(&options.settings, buckets, &seed, rules);
            if let Some(header) = table[0].header() {
                header.describe(buckets, TICKS_PER_SECOND, &seed);
            }
        }
        let kernel = Self {
            table: BucketTable::new(Region::apart(table)?),
            config,
            rules,
            programs: Some(programs),
            maps,
            pin: options.pin.clone(),
            means: options.means,
            attachments: Vec::new(),
        };
        if let Some(new) = new {
            new.keep();
        }
        Ok(kernel)
    }

    /// Opens what is pinned to a folder, without loading a program.
    ///
    /// # Errors
    /// [`Error::NotPinned`] if nothing is pinned there, [`Error::Pinned`] if it is of another
    /// version, [`Error::Map`] without the privilege.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let pin::Existing { buckets, rules, .. } =
            pin::existing(folder)?.ok_or_else(|| Error::NotPinned(folder.to_owned()))?;
        let maps = Maps::pinned(folder)?;
        Ok(Self {
            table: BucketTable::new(Region::apart(maps.table(buckets)?)?),
            config: MappedConfig::new(&maps.config)?,
            rules,
            programs: None,
            maps,
            pin: Some(folder.to_owned()),
            means: None,
            attachments: Vec::new(),
        })
    }

    /// The programs, which are loaded now if they are not yet.
    pub(crate) fn programs(&mut self) -> Result<&mut Ebpf, Error> {
        if self.programs.is_none() {
            let memory = self.table.memory();
            let options = Options::new(self.settings(), memory.buckets(), *memory.seed());
            let folder = self.pin.as_deref();
            let object = object::with(self.rules);
            self.programs = Some(load(object, memory.buckets(), &options, folder)?);
        }
        self.programs
            .as_mut()
            .ok_or_else(|| Error::Load("no programs".into()))
    }

    /// Whose rules the programs track by.
    #[must_use]
    pub const fn rules(&self) -> RuleSet {
        self.rules
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.config.settings()
    }

    /// Replaces the settings, for packets from now on: also what others have changed since they
    /// were read. [`Self::change`] loses no change.
    pub fn configure(&self, settings: &Settings) {
        self.config.set(settings);
    }

    /// Changes the settings, for packets from now on, and returns what they are then. Of a pinned
    /// table they may be changed by others at the same time: one after the other reads them,
    /// changes them and writes them, under a lock of the pin `HEADER` (flock(2)).
    ///
    /// # Errors
    /// [`Error::File`] if the table is no longer pinned. Nothing is changed then.
    pub fn change(&self, change: impl FnOnce(&mut Settings)) -> Result<Settings, Error> {
        let folder = self.pin.as_deref();
        let _others_wait = folder
            .map(|folder| Locked::new(folder, "HEADER"))
            .transpose()?;
        let before = self.config.settings();
        let mut settings = before;
        change(&mut settings);
        if settings != before {
            self.config.set(&settings);
        }
        Ok(settings)
    }

    /// Has the programs send events from now on, until what this returns is dropped.
    ///
    /// # Errors
    /// [`Error::Watched`] if another process reads a pinned table's events, [`Error::Map`].
    pub fn events(&mut self) -> Result<Events, Error> {
        Events::new(&self.maps, self.pin.as_deref())
    }

    /// Makes sure that nobody reads the events of a pinned table, and keeps it so while what this
    /// returns lives; `None` if somebody reads them. The programs no longer send for one who was
    /// killed.
    ///
    /// # Errors
    /// [`Error::NoFolder`] if the table is not pinned, [`Error::File`] if it is no longer.
    pub fn unwatched(&self) -> Result<Option<Unwatched>, Error> {
        let folder = self.pin.as_deref().ok_or(Error::NoFolder)?;
        let unwatched = Unwatched::new(folder)?;
        if unwatched.is_some() {
            self.config.watch(false);
        }
        Ok(unwatched)
    }

    /// Whether any program in the kernel uses the table, whoever has loaded it: if not, nothing
    /// tracks.
    ///
    /// # Errors
    /// [`Error::Query`] without the privilege (CAP_SYS_ADMIN).
    pub fn is_running(&self) -> Result<bool, Error> {
        let table = self.maps.table_id()?;
        for program in loaded_programs() {
            let program = match program {
                // Gone since it was counted.
                Err(error) if is_gone(&error) => continue,
                program => program.map_err(Error::query)?,
            };
            if maps::used_by(&program).contains(&table) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A map of the object: for tests.
    ///
    /// # Errors
    /// [`Error::Load`] if it has none of this name.
    #[doc(hidden)]
    pub fn map_mut(&mut self, name: &str) -> Result<&mut Map, Error> {
        self.programs()?
            .map_mut(name)
            .ok_or_else(|| Error::Load(format!("there is no map {name}").into()))
    }

    /// Sets the clock, in nanoseconds, if it [stands still](Options::clock_is_set).
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn set_clock(&mut self, nanoseconds: u64) -> Result<(), Error> {
        let map = self.map_mut("CLOCK")?;
        let mut map: Array<&mut MapData, u64> = map.try_into().map_err(Error::map("CLOCK"))?;
        map.set(0, nanoseconds, 0).map_err(Error::map("CLOCK"))
    }

    /// The connections. User space may list, change and remove them while packets pass.
    #[must_use]
    pub const fn table(&self) -> &BucketTable<Region<true>> {
        &self.table
    }

    /// How often something happened to the table, by the programs and by user space.
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn statistic(&self, statistic: Statistic) -> Result<u64, Error> {
        let own = self.table.memory().header().statistic(statistic);
        Ok(own + self.maps.statistic(statistic as u32)?)
    }

    /// How many packets were not tracked for this reason.
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn errors(&self, error: flowkeep_core::Error) -> Result<u64, Error> {
        self.maps.errors(error.index() as u32)
    }

    /// How many events were lost since the programs were loaded, for want of room in the buffer.
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn lost_events(&self) -> Result<u64, Error> {
        self.maps.lost.sum(0)
    }

    /// Removes what is pinned to a folder, and the folder: programs that only a pin kept attached
    /// are detached.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn unpin(folder: &Path) -> Result<(), Error> {
        pin::remove(folder)
    }
}

/// Whether the kernel has no such program any more.
fn is_gone(error: &ProgramError) -> bool {
    matches!(error, ProgramError::SyscallError(error)
        if error.io_error.kind() == ErrorKind::NotFound)
}

/// Loads the object, with maps from a folder as far as they are there, and to it as far as not.
fn load(
    object: &[u8],
    buckets: u32,
    options: &Options,
    folder: Option<&Path>,
) -> Result<Ebpf, Error> {
    let weakly_ordered = u32::from(!cfg!(any(target_arch = "x86_64", target_arch = "s390x")));
    let clock_is_set = u32::from(options.clock_is_set);
    let mut loader = EbpfLoader::new();
    loader
        .map_max_entries("BUCKETS", buckets)
        .map_max_entries("RECORDS", buckets * SLOTS as u32)
        .map_max_entries("EVENTS", options.event_bytes)
        .override_global("WEAKLY_ORDERED", &weakly_ordered, true)
        .override_global("CLOCK_IS_SET", &clock_is_set, true);
    for name in maps::NAMES {
        if let Some(folder) = folder {
            loader.map_pin_path(name, folder.join(name));
        }
    }
    loader.load(object).map_err(|error| match (&error, folder) {
        (EbpfError::MapError(pin @ MapError::PinError { name, .. }), Some(folder)) => {
            let path = folder.join(name.as_deref().unwrap_or_default());
            match system(pin) {
                Some(source) => Error::File { path, source },
                None => Error::load(error),
            }
        }
        _ => Error::load(error),
    })
}
