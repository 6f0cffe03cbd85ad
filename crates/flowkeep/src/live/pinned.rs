//! A tracker as others see it.

use flowkeep_bpf::Kernel;
use flowkeep_core::settings::Settings;

use super::{Clock, Error, Folder, Totals};
use crate::connection::Connection;
use crate::filter::Filter;
use crate::replay::{SECOND, Summary};
use crate::walk::{self, View};

/// The tracker that lives in a folder, whoever started it.
#[derive(Debug)]
pub struct Pinned {
    kernel: Kernel,
}

impl Pinned {
    /// Opens the tracker of a folder.
    ///
    /// # Errors
    /// [`Error::NoTracker`] if there is none, [`Error::Missing`] without the privilege,
    /// [`Error::Kernel`] if it is of another version.
    pub fn open(folder: &Folder) -> Result<Self, Error> {
        if !folder.path().join("HEADER").exists() {
            return Err(Error::NoTracker {
                folder: folder.path().to_owned(),
            });
        }
        let kernel = Kernel::open(folder.path())?;
        Ok(Self { kernel })
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
        let clock = Clock::now();
        let view = View {
            now: clock.seconds(),
            ticks_per_second: SECOND,
            epoch: clock.wall(0).0,
            settings: &Settings::default(),
            expired,
        };
        walk::for_each(self.kernel.table(), &view, filter, summarise, each)
    }
}
