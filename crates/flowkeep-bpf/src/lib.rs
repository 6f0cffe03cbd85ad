//! Flowkeep in the Linux kernel, from the host's side: [load](Kernel::load) the programs,
//! [attach](Kernel::attach) them to interfaces, and read their [table](Kernel::table), which is
//! mapped into this program's memory: no system call an entry.
//!
//! The object with the programs is part of this crate. It is built from the folder `ebpf` by
//! `cargo xtask bpf`, so that whoever uses the crate needs no compiler for BPF.

pub mod abi;
mod attach;
mod config;
mod error;
mod kernel;
mod memory;
mod pin;
pub mod support;

pub use attach::{Device, Hook};
pub use error::Error;
pub use kernel::{Kernel, Options};
pub use memory::MappedTable;
