//! A tracker as others see it.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;

use flowkeep_bpf::Kernel;
use flowkeep_core::settings::Settings;

use super::interface::{self, Mode};
use super::{Clock, Error, Folder, Totals};
use crate::connection::{self, Connection, Summary, View};
use crate::filter::Filter;

/// How often a connection is judged anew that packets change meanwhile. Once a second is usual.
const TRIES: usize = 8;

/// The tracker that lives in a folder, whoever started it.
#[derive(Debug)]
pub struct Pinned {
    kernel: Kernel,
    folder: Folder,
    /// The inode of its pin: another tracker in the same folder has another.
    pin: u64,
}

impl Pinned {
    /// Opens the tracker of a folder.
    ///
    /// # Errors
    /// [`Error::NoTracker`] if there is none, [`Error::Missing`] without the privilege,
    /// [`Error::Kernel`] if it is of another version.
    pub fn open(folder: &Folder) -> Result<Self, Error> {
        let pin = match pin(folder) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(folder.failed(error));
            }
            Err(_) => {
                return Err(Error::NoTracker {
                    folder: folder.path().to_owned(),
                });
            }
            Ok(pin) => pin,
        };
        let kernel = Kernel::open(folder.path())?;
        Ok(Self {
            kernel,
            folder: folder.clone(),
            pin,
        })
    }

    /// Makes sure that it is still the one that lives in its folder.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub fn lives(&self) -> Result<(), Error> {
        if pin(&self.folder).ok() == Some(self.pin) {
            return Ok(());
        }
        Err(Error::Ended {
            folder: self.folder.path().to_owned(),
        })
    }

    /// Whether any program still tracks: none does if one that pinned nothing was killed. Also if
    /// the kernel does not say.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.kernel.is_running().unwrap_or(true)
    }

    /// The interfaces that are tracked, and how: those of the current network namespace, and those
    /// that are pinned.
    #[must_use]
    pub fn interfaces(&self) -> Vec<(String, Mode)> {
        let mut interfaces = interface::pinned(self.folder.path()).unwrap_or_default();
        // Refused to who may not ask the kernel for its programs.
        for attached in self.kernel.attached().unwrap_or_default() {
            interfaces.push((attached.interface, Mode::of(attached.hook)));
        }
        interfaces.sort_unstable();
        interfaces.dedup();
        interfaces
    }

    /// What is in the table and what it has counted.
    ///
    /// # Errors
    /// [`Error::Kernel`] if a counter can't be read.
    pub fn totals(&self) -> Result<Totals, Error> {
        Totals::read(&self.kernel)
    }

    /// Tells `each` of every connection that fits the filter, by the time at which it began; with
    /// `expired` also of those whose timeout has passed and whose room nobody has needed yet. The
    /// summary counts all, if `summarise`.
    ///
    /// No system call an entry: the table is in this program's memory.
    pub fn for_each(
        &self,
        filter: &Filter,
        expired: bool,
        summarise: bool,
        each: impl FnMut(&Connection),
    ) -> Summary {
        let view = self.view(expired);
        connection::for_each(self.kernel.table(), &view, filter, summarise, each)
    }

    /// Deletes the connections that fit the filter, and says how many those were. A packet of one
    /// of them that comes later begins it anew.
    pub fn delete(&self, filter: &Filter) -> u64 {
        let view = self.view(false);
        let table = self.kernel.table();
        let delete = |index| {
            for _ in 0..TRIES {
                let Some((handle, tuple, entry)) = table.at(index) else {
                    return false;
                };
                let fits = view
                    .connection(&tuple, &entry, Vec::new())
                    .is_some_and(|connection| filter.matches(&connection));
                if !fits {
                    return false;
                }
                // If a packet came in between, it may fit no longer.
                if table.remove_unchanged(&handle, &entry.progress, Clock::now().seconds()) {
                    return true;
                }
            }
            false
        };
        // Records are numbered by 32 bits.
        let records = 0..table.capacity() as u32;
        records.filter(|&index| delete(index)).count() as u64
    }

    /// Empties the table, and says how many connections were in it that had not expired.
    pub fn flush(&self) -> u64 {
        let now = Clock::now().seconds();
        let table = self.kernel.table();
        let mut deleted = 0;
        for (handle, _, entry) in table.iter() {
            let removed = table.remove(&handle, Clock::now().seconds());
            deleted += u64::from(removed && !entry.progress.expired(now));
        }
        deleted
    }

    /// Timeouts and the like.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.kernel.settings()
    }

    /// Changes the settings, for packets from now on, and returns what they are then. Whoever
    /// changes others at the same time waits for a moment, and no change is lost.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the tracker has ended.
    pub fn change(&self, change: impl FnOnce(&mut Settings)) -> Result<Settings, Error> {
        Ok(self.kernel.change(change)?)
    }

    pub(super) const fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    pub(super) const fn kernel_mut(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    pub(super) fn view(&self, expired: bool) -> View {
        let clock = Clock::now();
        View {
            clock: clock.of_table(),
            now: clock.seconds(),
            expired,
            icmp_refuses: false,
        }
    }
}

/// The inode of the pin that every tracker has.
fn pin(folder: &Folder) -> io::Result<u64> {
    Ok(fs::metadata(folder.path().join("HEADER"))?.ino())
}
