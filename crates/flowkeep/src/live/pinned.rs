//! A tracker as other processes see it.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;

use flowkeep_bpf::{Clock, Kernel};
use flowkeep_core::settings::Settings;

use super::interface::{self, Mode};
use super::{Error, Folder, Totals};
use crate::connection::{
    self, Connection, IcmpErrors, SECOND, Summary, TableClock, Timestamp, View,
};
use crate::filter::Filter;

/// How often a connection is checked again because a packet has changed it meanwhile. That happens
/// once a second for most.
const TRIES: usize = 8;

/// The tracker in a folder, started by any process.
#[derive(Debug)]
pub struct Pinned {
    kernel: Kernel,
    folder: Folder,
    /// The inode of its pin, which differs from that of a later tracker in the same folder.
    pin: u64,
}

impl Pinned {
    /// Opens the tracker of a folder.
    ///
    /// # Errors
    /// [`Error::NoTracker`] if there is none, [`Error::Untrusted`] if other users can change it,
    /// [`Error::Missing`] without the privilege, [`Error::Pinned`] if it is of another version.
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

    /// Makes sure that the tracker is still in its folder.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub fn check_alive(&self) -> Result<(), Error> {
        if pin(&self.folder).ok() == Some(self.pin) {
            return Ok(());
        }
        Err(Error::Ended {
            folder: self.folder.path().to_owned(),
        })
    }

    /// Whether any of its programs is still loaded: after a tracker without pins was killed, none
    /// is. True if the kernel does not say.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.kernel.is_running().unwrap_or(true)
    }

    /// The interfaces that are tracked, and how: those in the current network namespace, and those
    /// with pins.
    #[must_use]
    pub fn interfaces(&self) -> Vec<(String, Mode)> {
        let mut interfaces = interface::pinned(self.folder.path()).unwrap_or_default();
        // The kernel lists its programs for CAP_SYS_ADMIN only.
        for attached in self.kernel.attached().unwrap_or_default() {
            interfaces.push((attached.interface, Mode::of(attached.hook)));
        }
        interfaces.sort_unstable();
        interfaces.dedup();
        interfaces
    }

    /// What is in the table, and what was counted.
    ///
    /// # Errors
    /// [`Error::Kernel`] if a counter can't be read.
    pub fn totals(&self) -> Result<Totals, Error> {
        Totals::read(&self.kernel)
    }

    /// Calls `each` for every connection that matches the filter, in the order of their starts. With
    /// `expired` that includes connections whose timeout has passed and whose slots were not needed
    /// since. With `summarize` the summary counts all connections.
    ///
    /// This makes no system call for an entry: the table is mapped.
    pub fn for_each(
        &self,
        filter: &Filter,
        expired: bool,
        summarize: bool,
        each: impl FnMut(&Connection),
    ) -> Summary {
        let view = self.view(expired);
        connection::for_each(
            self.kernel.table(),
            &view,
            &IcmpErrors::default(),
            filter,
            summarize,
            each,
        )
    }

    /// Deletes the connections that match the filter, and returns their number. The next packet of
    /// one of them starts a new connection.
    pub fn delete(&self, filter: &Filter) -> u64 {
        let view = self.view(false);
        let table = self.kernel.table();
        let delete = |index| {
            for _ in 0..TRIES {
                let Some((handle, tuple, entry)) = table.at(index) else {
                    return false;
                };
                let matches = view
                    .connection(&tuple, &entry, Vec::new())
                    .is_some_and(|connection| filter.matches(&connection));
                if !matches {
                    return false;
                }
                // After a packet it may not match any more.
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

    /// Empties the table, and returns how many of its connections had not expired.
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

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.kernel.settings()
    }

    /// Changes the settings, from the next packet on, and returns the new ones. Another process that
    /// changes them at the same time waits, and no change is lost.
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
            clock: table_clock(&clock),
            now: clock.seconds(),
            expired,
            icmp_refuses: false,
        }
    }
}

/// What the times of the kernel's table mean.
pub(super) const fn table_clock(clock: &Clock) -> TableClock {
    let zero = Timestamp(clock.zero());
    TableClock {
        tick_zero: zero,
        ticks_per_second: SECOND,
        second: (0, zero),
    }
}

/// The inode of a pin that every tracker has.
fn pin(folder: &Folder) -> io::Result<u64> {
    Ok(fs::metadata(folder.path().join("HEADER"))?.ino())
}
