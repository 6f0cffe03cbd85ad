//! Tracks the connections of captures and of Linux hosts, and shows them.
//!
//! [`capture`] reads packets, [`replay`] tracks their connections in [`memory`], `live` tracks those of
//! interfaces in the kernel. [`connection`] describes connections, [`filter`] and [`top`] select them,
//! and [`output`] writes them. The tracker itself is `flowkeep-core`.

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
