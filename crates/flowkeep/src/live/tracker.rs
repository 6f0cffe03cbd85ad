//! Starting a tracker, keeping it running, ending it.

use std::io::{self, ErrorKind};
use std::time::Duration;

use flowkeep_bpf::Kernel;
use flowkeep_core::rules::RuleSet;
use flowkeep_core::settings::Settings;

use super::capacity::{self, Capacity};
use super::check;
use super::interface::{self, Interface, Mode};
use super::sweep::Sweeper;
use super::{Error, Folder, InterfaceCounters, Lock, Totals};
use crate::memory::random_seed;
use crate::output::Bytes;

/// How many connections a table is created for unless another number is given.
const CONNECTIONS: u32 = 262_144;

/// What to track, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The tracker's folder.
    pub folder: Folder,
    /// Names of interfaces.
    pub interfaces: Vec<String>,
    /// The point of view.
    pub mode: Mode,
    /// Whether tracking goes on after the tracker is dropped.
    pub pin: bool,
    /// How many connections the table is created for. If `None`, a pinned table is used as it is,
    /// and a new one is created for 262,144.
    pub connections: Option<u32>,
    /// The rules to track by. If `None`, a pinned table keeps its own, and a new one has Flowkeep's.
    pub rules: Option<RuleSet>,
}

impl Options {
    /// Bytes of the table, if a new one is created. The kernel allocates and clears all of them
    /// before anything is tracked.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        self.capacity().bytes()
    }

    /// How many connections a new table is created for.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.connections.unwrap_or(CONNECTIONS)
    }

    fn capacity(&self) -> Capacity {
        Capacity::new(self.connections())
    }
}

/// Programs in the kernel that track interfaces. Dropping it detaches them and removes their maps,
/// except for what was pinned on request or existed before.
#[derive(Debug)]
pub struct Tracker {
    /// Dropped first, which detaches programs that are not pinned.
    kernel: Kernel,
    interfaces: Vec<Interface>,
    mode: Mode,
    sweeper: Sweeper,
    folder: Temporary,
    _lock: Lock,
}

/// A folder that is removed with its pins when this is dropped, unless it is kept.
#[derive(Debug)]
struct Temporary {
    folder: Folder,
    keep: bool,
}

impl Temporary {
    /// Removes it, unless it is kept. A second call does nothing.
    fn remove(&mut self) -> Result<(), Error> {
        let path = self.folder.path();
        // It may have been removed by hand.
        if std::mem::replace(&mut self.keep, true) || !path.exists() {
            return Ok(());
        }
        Kernel::unpin(path).map_err(|error| Error::Left {
            folder: self.folder.clone(),
            what: check::one_line(&error),
        })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // `Tracker::end` reports the error.
        let _ = self.remove();
    }
}

impl Tracker {
    /// Loads the programs over the table that is pinned to the folder, or over a new one, and
    /// attaches them. `change` changes the settings of the pinned table, or the default ones. After
    /// an error everything is as before.
    ///
    /// # Errors
    /// What is missing, in the way, or refused by the kernel.
    pub fn start(options: &Options, change: impl Fn(&mut Settings)) -> Result<Self, Error> {
        let mut interfaces: Vec<Interface> = Vec::new();
        for name in &options.interfaces {
            let found = Interface::find(name)?;
            if !interfaces.contains(&found) {
                interfaces.push(found);
            }
        }
        let lock = options.folder.claim()?;
        let attached = interface::pinned(options.folder.path())?;
        let other = attached.iter().find(|(name, mode)| {
            *mode != options.mode && interfaces.iter().any(|found| found.name() == name)
        });
        if let Some((interface, mode)) = other {
            return Err(Error::OtherMode {
                folder: options.folder.clone(),
                interface: interface.clone(),
                mode: *mode,
            });
        }
        let folder = Temporary {
            folder: options.folder.clone(),
            keep: !attached.is_empty(),
        };
        let mut tracker = Self {
            kernel: load(options, !attached.is_empty(), &change)?,
            interfaces,
            mode: options.mode,
            sweeper: Sweeper::default(),
            folder,
            _lock: lock,
        };
        let known = |name: &str| attached.iter().any(|(known, _)| known == name);
        // The settings of a pinned table are changed last.
        let started = tracker.attach(options, known);
        let started = started.and_then(|()| Ok(tracker.kernel.change(change)?));
        if let Err(error) = started {
            for name in options.interfaces.iter().filter(|name| !known(name)) {
                // The first error is the one to report.
                let _ = tracker.kernel.detach(name);
            }
            return Err(error);
        }
        tracker.folder.keep |= options.pin;
        Ok(tracker)
    }

    /// Attaches the programs. Interfaces that are `known` have pinned programs already, which are
    /// replaced and stay pinned.
    fn attach(&mut self, options: &Options, known: impl Fn(&str) -> bool) -> Result<(), Error> {
        for interface in &self.interfaces {
            let name = interface.name();
            for &hook in options.mode.hooks() {
                self.kernel.attach(name, hook, known(name) || options.pin)?;
            }
        }
        Ok(())
    }

    /// Ends tracking, as dropping this does.
    ///
    /// # Errors
    /// [`Error::Left`] if the pins can't be removed.
    pub fn end(self) -> Result<(), Error> {
        let Self {
            kernel, mut folder, ..
        } = self;
        drop(kernel);
        folder.remove()
    }

    /// The rules that it tracks by.
    #[must_use]
    pub const fn rules(&self) -> RuleSet {
        self.kernel.rules()
    }

    /// The interfaces that are tracked.
    #[must_use]
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The packet counters of its interfaces; `None` if the kernel does not list them.
    #[must_use]
    pub fn interface_counters(&self) -> Option<InterfaceCounters> {
        InterfaceCounters::read(&self.interfaces, self.mode)
    }

    /// Takes out the interfaces that no longer exist.
    pub fn take_removed(&mut self) -> Vec<Interface> {
        self.interfaces
            .extract_if(.., |interface| !interface.is_there())
            .collect()
    }

    /// Removes expired connections until the budget is used up; the next call continues. It does
    /// nothing while a [`Watcher`](super::Watcher) exists, which removes and reports them.
    ///
    /// Call it once a second: it also keeps the programs' clock right after a suspend.
    pub fn sweep(&mut self, budget: Duration) {
        self.kernel.set_suspended();
        if let Ok(Some(_unwatched)) = self.kernel.unwatched() {
            self.sweeper.sweep(self.kernel.table(), budget, |_, _| {});
        }
    }

    /// What is in the table and what it has counted.
    ///
    /// # Errors
    /// [`Error::Kernel`] if a counter can't be read.
    pub fn totals(&self) -> Result<Totals, Error> {
        Totals::read(&self.kernel)
    }
}

/// Loads the programs over the pinned maps, or over new ones.
fn load(
    options: &Options,
    attached: bool,
    change: impl Fn(&mut Settings),
) -> Result<Kernel, Error> {
    let folder = &options.folder;
    let capacity = options.capacity();
    let connections = options.connections();
    let found = Kernel::open(folder.path()).map(|kernel| (Capacity::of(&kernel), kernel.rules()));
    let has_rules = |found| options.rules.is_none_or(|wanted| wanted == found);
    let has_size = |found| options.connections.is_none() || found == capacity;
    // Whether a tracker that was killed has left pins that nothing uses, and the bytes that are
    // freed with them; `None` if no table is created.
    let (is_left, freed) = match found {
        Ok((size, rules)) if has_size(size) && has_rules(rules) => (false, None),
        Ok((_, rules)) if attached && !has_rules(rules) => {
            return Err(Error::OtherRules {
                folder: folder.clone(),
                found: rules,
                wanted: options.rules.unwrap_or_default(),
            });
        }
        Ok((found, _)) if attached => {
            return Err(Error::OtherSize {
                folder: folder.clone(),
                capacity: found.entries(),
                wanted: connections.into(),
            });
        }
        Ok((found, _)) => (true, Some(found.bytes())),
        Err(flowkeep_bpf::Error::Pinned { .. }) if !attached => (true, Some(0)),
        Err(flowkeep_bpf::Error::NotPinned(_)) => (false, Some(0)),
        // Loading reports the same error.
        Err(_) => (false, None),
    };
    let memory = |what| Error::Memory {
        connections: connections.into(),
        what,
    };
    if let (Some(freed), Some(available)) = (freed, capacity::available()) {
        let (needed, available) = (capacity.bytes(), available + freed);
        if needed > available {
            let (needed, available) = (Bytes(needed), Bytes(available));
            return Err(memory(format!(
                "they need {needed}, and {available} are available"
            )));
        }
    }
    if is_left {
        folder.clear()?;
    }
    let mut settings = Settings::default();
    change(&mut settings);
    let seed = random_seed();
    let mut loaded = flowkeep_bpf::Options::new(settings, capacity.buckets, seed);
    loaded.rules = options.rules;
    loaded.pin = Some(folder.path().to_owned());
    Kernel::load(&loaded).map_err(|error| match is_memory(&error) {
        true => memory(check::one_line(&error)),
        false => error.into(),
    })
}

/// Whether an error comes from a lack of memory, or from the largest size of a map.
fn is_memory(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(next) = error {
        let kind = next.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(
            kind,
            Some(ErrorKind::OutOfMemory | ErrorKind::ArgumentListTooLong)
        ) {
            return true;
        }
        error = next.source();
    }
    false
}

/// Detaches interfaces from the tracker that is pinned to a folder: those with the given names, or
/// all. Detaching the last one removes the table. With all, filters of trackers without pins that
/// were killed are detached too. Returns the interfaces that were detached.
///
/// # Errors
/// [`Error::NoTracker`]; [`Error::NotAttached`] before anything is detached; [`Error::Busy`],
/// [`Error::Untrusted`], [`Error::File`].
pub fn detach(folder: &Folder, names: Option<&[String]>) -> Result<Vec<String>, Error> {
    // These are independent of the folder.
    let mut abandoned = match names {
        None => flowkeep_bpf::detach_abandoned()?,
        Some(_) => Vec::new(),
    };
    if !folder.path().is_dir() {
        if !abandoned.is_empty() {
            return Ok(abandoned);
        }
        return Err(Error::NoTracker {
            folder: folder.path().to_owned(),
        });
    }
    let _lock = folder.claim()?;
    let attached: Vec<_> = interface::pinned(folder.path())?
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let mut leaving = names.map_or_else(|| attached.clone(), <[_]>::to_vec);
    leaving.sort_unstable();
    leaving.dedup();
    if let Some(unknown) = leaving.iter().find(|name| !attached.contains(name)) {
        return Err(Error::NotAttached {
            interface: unknown.clone(),
            folder: folder.path().to_owned(),
            attached,
        });
    }
    match Kernel::open(folder.path()) {
        Ok(mut kernel) => {
            for name in &leaving {
                kernel.detach(name)?;
            }
        }
        // The table is of another version, or incomplete: removing the pins detaches the programs.
        Err(_) if leaving.len() == attached.len() => {}
        Err(error) => return Err(error.into()),
    }
    if leaving.len() == attached.len() {
        Kernel::unpin(folder.path())?;
    }
    leaving.append(&mut abandoned);
    leaving.sort_unstable();
    leaving.dedup();
    Ok(leaving)
}
