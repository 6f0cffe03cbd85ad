//! Flowkeep in the Linux kernel, from the host's side: [load](Kernel::load) the programs,
//! [attach](Kernel::attach) them to interfaces, and read their [table](Kernel::table), which is
//! mapped into this program's memory: no system call an entry.
//!
//! The object with the programs is part of this crate. It is built from the folder `ebpf` by
//! `cargo xtask bpf`, so that whoever uses the crate needs no compiler for BPF.

pub mod abi;
mod attach;
mod config;
mod device;
mod error;
mod events;
mod kernel;
mod maps;
mod memory;
mod pin;
pub mod support;

pub use attach::{Attached, Hook, Means};
pub use device::Device;
pub use error::Error;
pub use events::{Event, Events, Kind, Packet};
pub use kernel::{Kernel, Options};
pub use memory::MappedTable;
