//! Why there is no memory for a table.

use std::io;
use std::path::PathBuf;

use flowkeep_core::table::{LayoutError, table_bytes};

/// Why a table's memory can't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The system gives no memory of this size.
    #[error("no memory for a table of {buckets} buckets ({} MiB): {source}", table_bytes(*buckets) >> 20)]
    Refused {
        /// How many sets were asked for.
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
    /// A file is not a table that this program can read.
    #[error("{}: {source}", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: LayoutError,
    },
}
