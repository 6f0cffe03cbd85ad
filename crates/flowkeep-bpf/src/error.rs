//! What can go wrong between a program and its programs in the kernel.

use std::io;
use std::path::PathBuf;

use flowkeep_core::rules::RuleSet;
use flowkeep_core::table::LayoutError;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refuses the programs or their maps.
    #[error("the kernel refuses the programs: {0}")]
    Load(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A table of no buckets, or of more than records can be numbered.
    #[error("a table of {0} buckets is not possible: there have to be between 1 and {most}", most = crate::abi::MAX_BUCKETS)]
    Size(u32),
    /// A map can't be read or written.
    #[error("the map {name}: {source}")]
    Map {
        /// Its name.
        name: &'static str,
        /// What the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The table can't be mapped into this program's memory.
    #[error("the table can't be mapped: {0}")]
    Mapping(#[source] io::Error),
    /// There is no such interface, or what it is can't be read.
    #[error("{interface}: {source}")]
    Interface {
        /// Its name.
        interface: String,
        /// What the system said.
        source: io::Error,
    },
    /// An interface whose packets begin with a header that the programs do not know.
    #[error("{interface}: devices of kind {kind} are not tracked (see ARPHRD in linux/if_arp.h)")]
    Kind {
        /// Its name.
        interface: String,
        /// The kind of its link header, as Linux numbers it.
        kind: u32,
    },
    /// The kernel refuses to attach a program.
    #[error("{interface}: the kernel refuses to attach: {source}")]
    Attach {
        /// The interface's name.
        interface: String,
        /// What the system said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another program of Flowkeep is attached by a filter, of which an interface has one.
    #[error(
        "{interface}: another flowkeep is attached there by a filter; detach it first, or use its table"
    )]
    Attached {
        /// The interface's name.
        interface: String,
    },
    /// What is pinned for an interface is attached to one of another network namespace.
    #[error(
        "{interface}: {} is attached to an interface of that name in another network namespace; pin to another folder", path.display()
    )]
    Elsewhere {
        /// The interface's name.
        interface: String,
        /// The pin.
        path: PathBuf,
    },
    /// A filter can't be detached from here.
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
    /// A program is to be pinned, but the maps are not.
    #[error("there is no folder to pin to")]
    NoFolder,
    /// Nothing is pinned to a folder.
    #[error("no table is pinned to {}: is flowkeep running?", .0.display())]
    NotPinned(PathBuf),
    /// Another process reads the events.
    #[error("another process watches this table already, and events have one reader")]
    Watched,
    /// What runs in the kernel can't be asked for.
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
    /// Something in the BPF file system can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The table's header is not one.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// What the system said, if an error comes from a system call: of more use than by which call.
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
