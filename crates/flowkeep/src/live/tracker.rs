//! Starting a tracker, holding it, ending it.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::time::Duration;

use flowkeep_bpf::Kernel;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::Seed;

use super::check;
use super::interface::{self, Interface, Mode};
use super::room::{self, Room};
use super::sweep::Sweeper;
use super::{Carried, Error, Folder, Lock, Totals};
use crate::output::Bytes;

/// Room that there is unless another number is asked for.
const CONNECTIONS: u32 = 262_144;

/// What to track, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the tracker lives.
    pub folder: Folder,
    /// Names of interfaces.
    pub interfaces: Vec<String>,
    /// From whose point of view.
    pub mode: Mode,
    /// Tracking goes on after the tracker is dropped.
    pub pin: bool,
    /// How many connections to make room for; 262,144, or as many as the table that is pinned
    /// has room for, if not given.
    pub connections: Option<u32>,
}

impl Options {
    /// Bytes of the table, if a new one has to be made. The kernel sets all of them aside, and
    /// clears them, before anything is tracked.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        self.room().bytes()
    }

    /// How many connections to make room for.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.connections.unwrap_or(CONNECTIONS)
    }

    fn room(&self) -> Room {
        Room::new(self.connections())
    }
}

/// Programs in the kernel that track interfaces. When it is dropped they are detached and their
/// maps go, but for what was to stay, or was there before.
#[derive(Debug)]
pub struct Tracker {
    /// Dropped first: what is not pinned is detached.
    kernel: Kernel,
    interfaces: Vec<Interface>,
    mode: Mode,
    sweeper: Sweeper,
    folder: Temporary,
    _lock: Lock,
}

/// A folder that is removed with the pins in it, unless it is kept.
#[derive(Debug)]
struct Temporary {
    folder: Folder,
    keep: bool,
}

impl Temporary {
    /// Removes it, unless it is kept. Fails once.
    fn remove(&mut self) -> Result<(), Error> {
        let path = self.folder.path();
        // Whoever removed it before us has done our work.
        if std::mem::replace(&mut self.keep, true) || !path.exists() {
            return Ok(());
        }
        Kernel::unpin(path).map_err(|error| Error::Left {
            folder: self.folder.clone(),
            what: check::said(&error),
        })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Whoever wants to know has asked before: see `Tracker::end`.
        let _ = self.remove();
    }
}

impl Tracker {
    /// Loads the programs, or goes on with the table that is pinned to the folder, and attaches
    /// them. After an error everything is as it was before. Settings are those of the table that is
    /// pinned, or else the usual ones, where it does not `change` them.
    ///
    /// # Errors
    /// What is missing, or refused by the kernel, or in the way.
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
        // Settings of a table that was there change when all else is done.
        let started = tracker.attach(options, known);
        let started = started.and_then(|()| Ok(tracker.kernel.change(change)?));
        if let Err(error) = started {
            for name in options.interfaces.iter().filter(|name| !known(name)) {
                // Why it can't be attached is what there is to tell.
                let _ = tracker.kernel.detach(name);
            }
            return Err(error);
        }
        tracker.folder.keep |= options.pin;
        Ok(tracker)
    }

    /// Attaches the programs. Interfaces that are `known` have pinned ones already, which are
    /// replaced, and stay pinned.
    fn attach(&mut self, options: &Options, known: impl Fn(&str) -> bool) -> Result<(), Error> {
        for interface in &self.interfaces {
            let name = interface.name();
            for &hook in options.mode.hooks() {
                self.kernel.attach(name, hook, known(name) || options.pin)?;
            }
        }
        Ok(())
    }

    /// Ends it, as dropping it does.
    ///
    /// # Errors
    /// [`Error::Left`] if what is pinned can't be removed.
    pub fn end(self) -> Result<(), Error> {
        let Self {
            kernel, mut folder, ..
        } = self;
        drop(kernel);
        folder.remove()
    }

    /// The interfaces that are tracked.
    #[must_use]
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// What its interfaces have carried so far, by their own count.
    #[must_use]
    pub fn carried(&self) -> Option<Carried> {
        Carried::read(&self.interfaces, self.mode)
    }

    /// Forgets the interfaces that have gone, and returns them.
    pub fn gone(&mut self) -> Vec<Interface> {
        self.interfaces
            .extract_if(.., |interface| !interface.is_there())
            .collect()
    }

    /// Removes connections that have expired, for as long as the budget lasts; a call goes on where
    /// the one before has ended. It does nothing while somebody watches, who sweeps then and tells
    /// of it.
    pub fn sweep(&mut self, budget: Duration) {
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

/// Loads the programs over the maps that are pinned, or over new ones.
fn load(
    options: &Options,
    attached: bool,
    change: impl Fn(&mut Settings),
) -> Result<Kernel, Error> {
    let folder = &options.folder;
    let room = options.room();
    let connections = options.connections();
    // What was left behind by a tracker that was killed, and nothing uses.
    let (is_left, freed) = match Kernel::open(folder.path()).map(|kernel| Room::of(&kernel)) {
        Ok(found) if options.connections.is_none() || found == room => (false, None),
        Ok(found) if attached => {
            return Err(Error::OtherSize {
                folder: folder.clone(),
                room: found.entries(),
                wanted: connections.into(),
            });
        }
        Ok(found) => (true, Some(found.bytes())),
        Err(flowkeep_bpf::Error::Pinned { .. }) if !attached => (true, Some(0)),
        Err(flowkeep_bpf::Error::NotPinned(_)) => (false, Some(0)),
        // Loading them says the same, and what they lack is made.
        Err(_) => (false, None),
    };
    let memory = |what| Error::Memory {
        connections: connections.into(),
        what,
    };
    if let (Some(freed), Some(available)) = (freed, room::available()) {
        let (wanted, available) = (room.bytes(), available + freed);
        if wanted > available {
            let (wanted, available) = (Bytes(wanted), Bytes(available));
            return Err(memory(format!(
                "they take {wanted}, and {available} are available"
            )));
        }
    }
    if is_left {
        folder.clear()?;
    }
    let mut settings = Settings::default();
    change(&mut settings);
    let seed = Seed::from_words([(); Seed::WORDS].map(|()| RandomState::new().hash_one(0)));
    let mut loaded = flowkeep_bpf::Options::new(settings, room.buckets, seed);
    loaded.pin = Some(folder.path().to_owned());
    Kernel::load(&loaded).map_err(|error| match is_memory(&error) {
        true => memory(check::said(&error)),
        false => error.into(),
    })
}

/// Whether an error comes from a want of memory, or of room in a map.
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

/// Detaches interfaces from the tracker that is pinned to a folder: those with these names, or
/// all. When none is left its table goes too. All are also those that a tracker without pins has
/// left attached when it was killed. Returns the interfaces that were detached.
///
/// # Errors
/// [`Error::NoTracker`], [`Error::NotAttached`] before anything is detached, [`Error::Busy`],
/// [`Error::File`].
pub fn detach(folder: &Folder, names: Option<&[String]>) -> Result<Vec<String>, Error> {
    // Those that a tracker without pins has left behind when it was killed, in whatever folder.
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
    if let Some(stranger) = leaving.iter().find(|name| !attached.contains(name)) {
        return Err(Error::NotAttached {
            interface: stranger.clone(),
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
        // Of another version, or not whole: what is left is to take the pins away.
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
