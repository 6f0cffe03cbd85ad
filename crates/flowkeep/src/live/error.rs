//! What can go wrong with a live tracker.

use std::io;
use std::path::PathBuf;

use super::Folder;
use super::folder::command_at;
use crate::output::Count;

/// Why something could not be done. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refuses, or a map is not what it should be.
    #[error("{}", super::check::said(.0))]
    Kernel(#[source] flowkeep_bpf::Error),
    /// This machine lacks something, or this user may not use it.
    #[error("{what}; {remedy}")]
    Missing {
        /// What is missing.
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// There is no tracker in a folder.
    #[error(
        "no tracker in {}; start one with 'flowkeep run' or 'flowkeep attach'", folder.display()
    )]
    NoTracker {
        /// The folder.
        folder: PathBuf,
    },
    /// The tracker of a folder was there, and is not any more.
    #[error("the tracker in {} has ended", folder.display())]
    Ended {
        /// The folder.
        folder: PathBuf,
    },
    /// Another process holds a folder.
    #[error(
        "another 'flowkeep run' has {}; end it first, or give this one a --folder of its own",
        folder.display()
    )]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// Another process reads the events of a tracker.
    #[error(
        "another 'flowkeep watch' reads the events of {}, and they have one reader; end it first",
        folder.display()
    )]
    Watched {
        /// The tracker's folder.
        folder: PathBuf,
    },
    /// A folder has pins of others in it.
    #[error("{} has pins of others in it; take a --folder of its own", folder.display())]
    Shared {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder that a folder is to be made in is not there.
    #[error(
        "{} can't be made, because the folder above it does not exist; make that first, or take a \
         --folder right below /sys/fs/bpf",
        folder.display()
    )]
    NoParent {
        /// The folder.
        folder: PathBuf,
    },
    /// The BPF file system takes no such name.
    #[error("{}: the BPF file system takes no names with dots", folder.display())]
    Name {
        /// The folder.
        folder: PathBuf,
    },
    /// There is no memory for a table.
    #[error("no memory for {} connections: {what}; ask for fewer with --connections", Count(*connections))]
    Memory {
        /// How many there was to be room for.
        connections: u64,
        /// What the system said.
        what: String,
    },
    /// A folder or file of the BPF file system can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no such interface in this network namespace.
    #[error("no interface {interface} here; 'ip link' shows which there are")]
    NoInterface {
        /// The name that was asked for.
        interface: String,
    },
    /// An interface is attached already, for another point of view.
    #[error(
        "{interface} is tracked {mode} already; '{}' ends that",
        folder.command(&format!("detach -i {interface}"))
    )]
    OtherMode {
        /// The tracker's folder.
        folder: Folder,
        /// Its name.
        interface: String,
        /// How it is tracked.
        mode: super::Mode,
    },
    /// An interface is not attached.
    #[error("{interface} is not tracked by what is pinned to {}; {}", folder.display(), tracked(.attached))]
    NotAttached {
        /// Its name.
        interface: String,
        /// The folder.
        folder: PathBuf,
        /// The interfaces that are.
        attached: Vec<String>,
    },
    /// What is pinned is of another version, or not whole.
    #[error(
        "{}: {what}; '{}' takes it away, another --folder leaves it alone",
        path.display(),
        command_at(path.parent().unwrap_or(path), "detach --all")
    )]
    Pinned {
        /// The pin.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// What a tracker has pinned can't be removed at its end.
    #[error(
        "{} and what is pinned to it stay, with the memory of the table: {what}; '{}' takes them away, \
         once that can be done", folder.path().display(), folder.command("detach --all")
    )]
    Left {
        /// The folder.
        folder: Folder,
        /// What the system said.
        what: String,
    },
    /// A pinned table is of another size than was asked for.
    #[error(
        "the table in {} has room for {} connections, and --connections {wanted} asks for another; \
         leave it out to go on with this one, or begin anew after '{}'",
        folder.path().display(), Count(*room), folder.command("detach --all")
    )]
    OtherSize {
        /// The folder.
        folder: Folder,
        /// Entries that there is room for.
        room: u64,
        /// Connections that it was to be made for.
        wanted: u64,
    },
}

fn tracked(interfaces: &[String]) -> String {
    match interfaces {
        [] => "nothing is".to_owned(),
        interfaces => format!("tracked are {}", interfaces.join(", ")),
    }
}

impl From<flowkeep_bpf::Error> for Error {
    fn from(error: flowkeep_bpf::Error) -> Self {
        super::check::explain(error)
    }
}

impl Error {
    /// Whether privileges or the machine are the reason, not what was asked for.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}
