//! Why a table's memory is not available.

use std::io;
use std::path::PathBuf;

use flowkeep_core::table::{LayoutError, table_bytes};

/// Why a table's memory is not available.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The system refuses to allocate this much memory.
    #[error("no memory for a table of {buckets} buckets ({} MiB): {source}", table_bytes(*buckets) >> 20)]
    Refused {
        /// How many buckets were asked for.
        buckets: u32,
        /// What the system said.
        source: io::Error,
    },
    /// A file can't be opened, created or mapped.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not a table of this layout version.
    #[error("{}: {source}", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: LayoutError,
    },
}
