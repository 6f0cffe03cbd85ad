//! Memory for a table: the one place where bytes become a table's words.
//!
//! Anonymous memory, a file or the kernel's BPF arrays: all are mappings, and the same layout lies
//! in each. A [`Region`] is one as a table sees it, [`Words`] is any mapping.

mod error;
mod prefetch;
mod region;
mod words;

pub use error::MemoryError;
pub use prefetch::prefetch;
pub use region::Region;
pub use words::Words;
