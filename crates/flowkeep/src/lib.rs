//! Tracking the connections of captures, and showing them.
//!
//! [`capture`] reads packets, [`replay`] tracks their connections over [`memory`] for a table,
//! [`filter`], [`top`] and [`output`] choose and write. The tracker itself is `flowkeep-core`.

pub mod capture;
pub mod connection;
pub mod filter;
pub mod icmp;
#[cfg(target_os = "linux")]
pub mod live;
pub mod output;
pub mod prefix;
pub mod protocol;
pub mod replay;
#[cfg(test)]
mod sample;
pub mod saved;
pub mod top;

pub use flowkeep_memory as memory;

/// The README's Rust has to compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
