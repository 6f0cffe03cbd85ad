//! Memory for a table. Only here bytes become a table's words.
//!
//! Anonymous memory, files and the kernel's BPF arrays are all mapped, and have the same layout. A
//! [`Region`] is the memory of a table, [`Words`] is any mapping.

mod error;
mod prefetch;
mod region;
mod words;

pub use error::MemoryError;
pub use prefetch::prefetch;
pub use region::Region;
pub use words::Words;
