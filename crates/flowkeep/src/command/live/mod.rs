//! The commands for a live tracker.

mod attach;
mod check;
mod delete;
mod list;
mod run;
mod set;
mod signals;
mod stats;
mod status;
mod watch;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use flowkeep::live::{Error, Folder, Pinned};

pub(super) use self::attach::{attach, detach};
pub(super) use self::check::run as check;
pub(super) use self::delete::{delete, flush};
pub(super) use self::list::list;
pub(super) use self::run::run;
pub(super) use self::set::set;
pub(super) use self::stats::stats;
pub(super) use self::watch::watch;

/// Prints an error, and returns its exit code.
fn failure(error: &Error) -> ExitCode {
    eprintln!("flowkeep: {error}");
    ExitCode::from(status_of(error))
}

/// Prints that signals can't be handled.
fn no_signals(error: &io::Error) -> ExitCode {
    eprintln!("flowkeep: cannot wait for signals: {error}");
    ExitCode::FAILURE
}

/// The exit status for an error.
const fn status_of(error: &Error) -> u8 {
    match error {
        Error::Missing { .. } => 3,
        Error::Busy { .. } | Error::Watched { .. } => 4,
        Error::NoTracker { .. } | Error::Ended { .. } => 5,
        _ => 1,
    }
}

/// Opens the tracker of a folder. If it was killed, its last connections are still there, and a
/// message says so.
fn open(folder: &Path) -> Result<Pinned, Error> {
    let folder = Folder::at(folder)?;
    let pinned = Pinned::open(&folder)?;
    if !pinned.is_running() {
        eprintln!(
            "flowkeep: the tracker in {} was killed, so nothing is tracked; remove its table with \
             '{}'",
            folder.path().display(),
            folder.command("detach --all")
        );
    }
    Ok(pinned)
}
