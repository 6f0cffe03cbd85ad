//! Why something could not be done.

use std::io;
use std::path::PathBuf;

use flowkeep_core::rules::RuleSet;
use flowkeep_core::table::LayoutError;

/// Why loading, attaching or reading programs and their maps failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refuses the programs or their maps.
    #[error("the kernel refuses the programs: {0}")]
    Load(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A table with no buckets, or with more than [`MAX_BUCKETS`](crate::abi::MAX_BUCKETS).
    #[error("a table cannot have {0} buckets: it has between 1 and {most}", most = crate::abi::MAX_BUCKETS)]
    Size(u32),
    /// A map can't be read or written.
    #[error("the map {name}: {source}")]
    Map {
        /// Its name.
        name: &'static str,
        /// What the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The table can't be mapped into this process.
    #[error("the table can't be mapped: {0}")]
    Mapping(#[source] io::Error),
    /// There is no such interface, or its kind can't be read.
    #[error("{interface}: {source}")]
    Interface {
        /// Its name.
        interface: String,
        /// What the system said.
        source: io::Error,
    },
    /// The interface's packets begin with a header that the programs do not know.
    #[error("{interface}: devices of kind {kind} are not tracked (see ARPHRD in linux/if_arp.h)")]
    Kind {
        /// Its name.
        interface: String,
        /// The kind of its link header, as Linux numbers it.
        kind: u32,
    },
    /// The kernel refuses to attach a program.
    #[error("{interface}: the kernel refuses to attach the program: {source}")]
    Attach {
        /// The interface's name.
        interface: String,
        /// What the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another Flowkeep is attached by a filter; an interface has one.
    #[error(
        "{interface}: another flowkeep is attached there by a filter; detach it first, or use its table"
    )]
    Attached {
        /// The interface's name.
        interface: String,
    },
    /// Another user's process has the name that belongs to the owner of a filter.
    #[error(
        "{interface}: process {process} of user {user} has the name that belongs to the owner of \
         Flowkeep's filter there; end that process first"
    )]
    NameTaken {
        /// The interface's name.
        interface: String,
        /// The process.
        process: i32,
        /// Its user.
        user: u32,
    },
    /// The pin for an interface is that of an interface in another network namespace.
    #[error(
        "{interface}: {} is attached to an interface of that name in another network namespace; pin to another folder", path.display()
    )]
    Elsewhere {
        /// The interface's name.
        interface: String,
        /// The pin.
        path: PathBuf,
    },
    /// A filter of another network namespace can't be detached.
    #[error(
        "{interface}: {} is a filter in another network namespace: detach it there, or remove that \
         file if the namespace has gone", path.display()
    )]
    OtherNamespace {
        /// The interface's name.
        interface: String,
        /// The filter's pin.
        path: PathBuf,
    },
    /// A program is to be pinned, but the table is not.
    #[error("the table is not pinned to a folder")]
    NoFolder,
    /// Nothing is pinned to a folder.
    #[error("no table is pinned to {}: is flowkeep running?", .0.display())]
    NotPinned(PathBuf),
    /// Another process reads the events.
    #[error("another process reads the events of this table, which have one reader")]
    Watched,
    /// The kernel does not list programs or interfaces.
    #[error("the kernel does not say what is attached: {0}")]
    Query(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A pinned map is not what these programs need.
    #[error("{}: {what}; detach the programs that use it, or pin to another folder", path.display())]
    Pinned {
        /// Where it is pinned.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A pinned table is tracked by other rules than were asked for.
    #[error(
        "the table in {} is tracked by the rules of {}, and those of {} are asked for; pin to \
         another folder", folder.display(), found.name(), wanted.name()
    )]
    OtherRules {
        /// The folder.
        folder: PathBuf,
        /// Whose rules it is tracked by.
        found: RuleSet,
        /// Whose were asked for.
        wanted: RuleSet,
    },
    /// Other users can change what is pinned to a folder.
    #[error("{}: {reason}; remove it, or pin to another folder", path.display())]
    Untrusted {
        /// The folder, or one above it.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No thread can be started.
    #[error("no thread can be started: {0}")]
    Thread(#[source] io::Error),
    /// Something in the BPF file system can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The table's header is invalid.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// The system's error, if a system call failed: that is more useful than which call it was.
pub(crate) fn system(error: &(dyn std::error::Error + 'static)) -> Option<io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        let said = error.downcast_ref::<io::Error>();
        if let Some(number) = said.and_then(io::Error::raw_os_error) {
            return Some(io::Error::from_raw_os_error(number));
        }
        next = error.source();
    }
    None
}

impl Error {
    pub(crate) fn load(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Load(Box::new(error))
    }

    pub(crate) fn query(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Query(Box::new(error))
    }

    pub(crate) fn map(name: &'static str) -> impl FnOnce(aya::maps::MapError) -> Self {
        move |error| Self::Map {
            name,
            source: Box::new(error),
        }
    }
}
