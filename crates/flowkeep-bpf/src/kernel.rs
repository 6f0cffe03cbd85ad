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
use crate::clock;

use crate::config::MappedConfig;
use crate::error::system;
use crate::lock::Locked;
use crate::maps::{self, Maps};
use crate::{Error, Events, Means, Unwatched, check_folder, object, pin};

/// How the programs are loaded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Settings of the tracker. A pinned table keeps its own: see [`Kernel::change`].
    pub settings: Settings,
    /// Whose rules the programs track by; `None` for those of a pinned table, or else Flowkeep's own.
    pub rules: Option<RuleSet>,
    /// Buckets of the table, of [`SLOTS`] entries each. A pinned table keeps its own number.
    pub buckets: u32,
    /// Seed of the table's hash: random numbers. A pinned table keeps its own.
    pub seed: Seed,
    /// Folder of a BPF file system to which the maps are pinned, or where they are already. It is
    /// created if it does not exist.
    pub pin: Option<PathBuf>,
    /// How programs are attached; `None` for the best way that the kernel has.
    pub means: Option<Means>,
    /// Bytes of the buffer for events: a power of two, and a multiple of the page size. A pinned
    /// buffer keeps its own size.
    pub event_bytes: u32,
    /// The clock changes only by [`Kernel::set_clock`], for tests.
    pub clock_is_set: bool,
    /// The object with the programs: `None` for Flowkeep's, by the rules, or another one that is
    /// built with the crate in the folder `ebpf` of the same version. Its programs have the same
    /// names, and it need not have all of them.
    pub object: Option<&'static [u8]>,
}

impl Options {
    /// Nothing is pinned, programs are attached in the best way, and the buffer for events has 4 MiB.
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
            object: None,
        }
    }
}

/// A table in the kernel and its programs, loaded by this process or pinned by another one.
///
/// Dropping it detaches the programs that this process has attached, and frees what is not pinned.
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
    /// See [`Options::clock_is_set`].
    clock_is_set: bool,
}

impl Kernel {
    /// Loads the programs' object and creates its maps, or uses those that are pinned to the
    /// [folder](Options::pin), with their settings. A program is verified when it is attached or
    /// asked for.
    ///
    /// # Errors
    /// [`Error::Load`] without the privilege (CAP_BPF, CAP_NET_ADMIN) or on kernels before 5.15,
    /// [`Error::Pinned`] if a pinned map is not what is needed, [`Error::OtherRules`],
    /// [`Error::Untrusted`],
    /// [`Error::Size`], [`Error::File`]. Nothing is left behind then.
    pub fn load(options: &Options) -> Result<Self, Error> {
        let pinned = match &options.pin {
            Some(folder) => {
                check_folder(folder)?;
                pin::existing(folder)?
            }
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
        // Removed if anything fails.
        let new = match (folder, pinned) {
            (Some(folder), None) => Some(pin::NewFolder::create(folder)?),
            _ => None,
        };
        let object = options.object.unwrap_or_else(|| object::with(rules));
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
            clock_is_set: options.clock_is_set,
        };
        kernel.config.set_clock();
        if let Some(new) = new {
            new.keep();
        }
        Ok(kernel)
    }

    /// Opens the table that is pinned to a folder, without loading a program.
    ///
    /// # Errors
    /// [`Error::NotPinned`] if nothing is pinned there, [`Error::Untrusted`] if other users can
    /// change it, [`Error::Pinned`] if it is of another version, [`Error::Map`] without the
    /// privilege.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        check_folder(folder)?;
        let pin::Existing { buckets, rules, .. } =
            pin::existing(folder)?.ok_or_else(|| Error::NotPinned(folder.to_owned()))?;
        let maps = Maps::pinned(folder)?;
        let kernel = Self {
            table: BucketTable::new(Region::apart(maps.table(buckets)?)?),
            config: MappedConfig::new(&maps.config)?,
            rules,
            programs: None,
            maps,
            pin: Some(folder.to_owned()),
            means: None,
            attachments: Vec::new(),
            clock_is_set: false,
        };
        kernel.config.set_clock();
        Ok(kernel)
    }

    /// The programs, which are loaded if they are not yet.
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

    /// Replaces the settings, from the next packet on. What other processes have changed since the
    /// settings were read is lost; [`Self::change`] loses nothing.
    pub fn configure(&self, settings: &Settings) {
        self.config.set(settings);
    }

    /// Changes the settings, from the next packet on, and returns the new ones. Several processes
    /// may change those of a pinned table at the same time: each reads, changes and writes them
    /// under a lock on the pin `HEADER` (flock(2)).
    ///
    /// # Errors
    /// [`Error::File`] if the table is no longer pinned. Nothing is changed then.
    pub fn change(&self, change: impl FnOnce(&mut Settings)) -> Result<Settings, Error> {
        let folder = self.pin.as_deref();
        let _lock = folder
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

    /// Makes the programs send events until the result is dropped.
    ///
    /// # Errors
    /// [`Error::Watched`] if another process reads the events of a pinned table, [`Error::Map`],
    /// [`Error::Thread`].
    pub fn events(&mut self) -> Result<Events, Error> {
        Events::new(&self.maps, self.pin.as_deref(), self.clock_is_set)
    }

    /// Keeps readers from the events of a pinned table while the result lives; `None` if there is
    /// a reader already. If the last reader was killed, the programs stop sending at once.
    ///
    /// # Errors
    /// [`Error::NoFolder`] if the table is not pinned, [`Error::File`] if it is no longer.
    pub fn unwatched(&self) -> Result<Option<Unwatched>, Error> {
        let folder = self.pin.as_deref().ok_or(Error::NoFolder)?;
        let unwatched = Unwatched::new(folder)?;
        if unwatched.is_some() {
            self.config.set_watched(0);
        }
        Ok(unwatched)
    }

    /// Tells the programs how long the machine was suspended so far, for their
    /// [clock](crate::abi::Config::suspended). Loading, opening and reading events do it too.
    pub fn set_suspended(&self) {
        self.config.set_clock();
    }

    /// Until when the programs send events, in ticks of their [`Clock`](crate::Clock): a few
    /// seconds from now while a reader lives, 0 or in the past if there is none.
    #[must_use]
    pub fn watched(&self) -> u64 {
        self.config.watched()
    }

    /// Whether any program in the kernel uses the table, by whichever process it was loaded. If
    /// not, nothing is tracked.
    ///
    /// # Errors
    /// [`Error::Query`] without the privilege (CAP_SYS_ADMIN).
    pub fn is_running(&self) -> Result<bool, Error> {
        let table = self.maps.table_id()?;
        for program in loaded_programs() {
            let program = match program {
                // Unloaded since it was listed.
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

    /// Sets the clock, in nanoseconds, if [it can be set](Options::clock_is_set).
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn set_clock(&mut self, nanoseconds: u64) -> Result<(), Error> {
        let map = self.map_mut("CLOCK")?;
        let mut map: Array<&mut MapData, u64> = map.try_into().map_err(Error::map("CLOCK"))?;
        map.set(0, nanoseconds, 0).map_err(Error::map("CLOCK"))
    }

    /// The connections. They may be listed, changed and removed while packets are tracked.
    #[must_use]
    pub const fn table(&self) -> &BucketTable<Region<true>> {
        &self.table
    }

    /// How often something happened to the table's entries, in the programs and in user space.
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn statistic(&self, statistic: Statistic) -> Result<u64, Error> {
        let own = self.table.memory().header().statistic(statistic);
        Ok(own + self.maps.statistic(statistic as u32)?)
    }

    /// How many packets were not tracked for a reason.
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn errors(&self, error: flowkeep_core::Error) -> Result<u64, Error> {
        self.maps.errors(error.index() as u32)
    }

    /// How many events were dropped since the programs were loaded, because the buffer was full.
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn lost_events(&self) -> Result<u64, Error> {
        self.maps.lost.sum(0)
    }

    /// Removes a folder and what is pinned to it. Programs that only a pin kept attached are
    /// detached.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn unpin(folder: &Path) -> Result<(), Error> {
        pin::remove(folder)
    }
}

/// Whether the program was unloaded.
fn is_gone(error: &ProgramError) -> bool {
    matches!(error, ProgramError::SyscallError(error)
        if error.io_error.kind() == ErrorKind::NotFound)
}

/// Loads the object. Maps that are pinned to the folder are used; others are created and pinned.
fn load(
    object: &[u8],
    buckets: u32,
    options: &Options,
    folder: Option<&Path>,
) -> Result<Ebpf, Error> {
    let weakly_ordered = u32::from(!cfg!(any(target_arch = "x86_64", target_arch = "s390x")));
    let clock_is_set = u32::from(options.clock_is_set);
    let jiffy = clock::jiffy();
    let mut loader = EbpfLoader::new();
    loader
        .map_max_entries("BUCKETS", buckets)
        .map_max_entries("RECORDS", buckets * SLOTS as u32)
        .map_max_entries("EVENTS", options.event_bytes)
        .override_global("WEAKLY_ORDERED", &weakly_ordered, true)
        .override_global("CLOCK_IS_SET", &clock_is_set, true)
        .override_global("JIFFY", &jiffy, true);
    for name in maps::NAMES {
        if let Some(folder) = folder {
            loader.map_pin_path(name, folder.join(name));
        }
    }
    // A copy is aligned, as an ELF file has to be.
    let object = object.to_vec();
    loader
        .load(&object)
        .map_err(|error| match (&error, folder) {
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
