//! What can go wrong with a live tracker.

use std::io;
use std::path::PathBuf;

use flowkeep_core::rules::RuleSet;

use super::Folder;
use super::folder::command_at;
use crate::output::Count;

/// Why something could not be done. Each message says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refuses, or a map is not what it should be.
    #[error("{}", super::check::one_line(.0))]
    Kernel(#[source] flowkeep_bpf::Error),
    /// This machine or this user lacks something.
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
    /// The tracker of a folder has ended since it was opened.
    #[error("the tracker in {} has ended", folder.display())]
    Ended {
        /// The folder.
        folder: PathBuf,
    },
    /// Another process has the lock of a folder.
    #[error(
        "another 'flowkeep run' uses {}; end it first, or use another --folder", folder.display()
    )]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// Another process reads the events of a tracker.
    #[error(
        "another 'flowkeep watch' reads the events of {}, which have one reader; end it first",
        folder.display()
    )]
    Watched {
        /// The tracker's folder.
        folder: PathBuf,
    },
    /// A folder contains something else.
    #[error(
        "{} contains files that Flowkeep did not pin; use another --folder", folder.display()
    )]
    Shared {
        /// The folder.
        folder: PathBuf,
    },
    /// Other users can change what is pinned to a folder.
    #[error("{}: {reason}; remove it, or use another --folder", path.display())]
    Untrusted {
        /// The folder, or one above it.
        path: PathBuf,
        /// Why it can't be trusted.
        reason: String,
    },
    /// A folder can't be created, because its parent does not exist.
    #[error(
        "{} cannot be created, because the folder above it does not exist; create that first, or \
         use a --folder directly below /sys/fs/bpf",
        folder.display()
    )]
    NoParent {
        /// The folder.
        folder: PathBuf,
    },
    /// The BPF file system allows no such name.
    #[error("{}: names in the BPF file system cannot have dots; use another --folder", folder.display())]
    Name {
        /// The folder.
        folder: PathBuf,
    },
    /// There is no memory for a table.
    #[error("no memory for {} connections: {what}; ask for fewer with --connections", Count(*connections))]
    Memory {
        /// How many connections were asked for.
        connections: u64,
        /// What the system said.
        what: String,
    },
    /// A folder or file of the BPF file system can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no such interface in this network namespace.
    #[error("no interface {interface} here; 'ip link' lists the interfaces")]
    NoInterface {
        /// The name that was asked for.
        interface: String,
    },
    /// An interface is attached already, for another point of view.
    #[error(
        "{interface} is tracked {mode} already; end that with '{}'",
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
    #[error("{interface} is not tracked by the tracker in {}; {}", folder.display(), tracks(.attached))]
    NotAttached {
        /// Its name.
        interface: String,
        /// The folder.
        folder: PathBuf,
        /// The interfaces that are attached.
        attached: Vec<String>,
    },
    /// A pinned table is of another version, or incomplete.
    #[error(
        "{}: {what}; remove it with '{}', or use another --folder",
        path.display(),
        command_at(path.parent().unwrap_or(path), "detach --all")
    )]
    Pinned {
        /// The pin.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The pins of a tracker can't be removed when it ends.
    #[error(
        "{} and its pins remain, and so does the memory of the table: {what}; remove them with \
         '{}' once that is possible",
        folder.path().display(),
        folder.command("detach --all")
    )]
    Left {
        /// The folder.
        folder: Folder,
        /// What the system said.
        what: String,
    },
    /// A pinned table has another capacity than was asked for.
    #[error(
        "the table in {} holds {} connections, but --connections asks for {}; omit the option to \
         keep this table, or start anew after '{}'",
        folder.path().display(), Count(*capacity), Count(*wanted), folder.command("detach --all")
    )]
    OtherSize {
        /// The folder.
        folder: Folder,
        /// How many entries the table can hold.
        capacity: u64,
        /// How many connections were asked for.
        wanted: u64,
    },
    /// A pinned table is tracked by other rules than were asked for.
    #[error(
        "the table in {} is tracked by the rules of {}, but --rules asks for those of {}; omit the \
         option to keep this table, or start anew after '{}'",
        folder.path().display(), found.name(), wanted.name(), folder.command("detach --all")
    )]
    OtherRules {
        /// The folder.
        folder: Folder,
        /// Its rules.
        found: RuleSet,
        /// The rules that were asked for.
        wanted: RuleSet,
    },
}

fn tracks(interfaces: &[String]) -> String {
    match interfaces {
        [] => "it tracks nothing".to_owned(),
        interfaces => format!("it tracks {}", interfaces.join(", ")),
    }
}

impl From<flowkeep_bpf::Error> for Error {
    fn from(error: flowkeep_bpf::Error) -> Self {
        super::check::explain(error)
    }
}

impl Error {
    /// Whether this machine or this user lacks something that the command needs.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}
