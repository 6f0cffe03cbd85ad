//! Flowkeep in the Linux kernel, from the host's side: [load](Kernel::load) the programs,
//! [attach](Kernel::attach) them to interfaces, and read their [table](Kernel::table), which is
//! mapped into this program's memory: no system call an entry.
//!
//! [Events](Kernel::events) tell what happens, while somebody reads them.
//!
//! What the programs use, the kernel has to have: arrays that are mapped into memory (Linux 5.5),
//! global functions (5.6), the size of merged packets' segments (5.7), ring buffers (5.8), the
//! clock of ticks (5.11), atomic instructions (5.12). So 5.12 is the oldest that can do, by that
//! list; it was tested on 6.1, 6.12 and 6.18. Programs are attached by tcx links (6.6), or before that
//! by clsact.
//!
//! The objects with the programs, one for each [set of rules](Options::rules), are part of this crate.
//! They are built from the folder `ebpf` by `cargo xtask bpf`, so that whoever uses the crate needs no
//! compiler for BPF.

#![forbid(unsafe_code)]

pub mod abi;
mod attach;
mod config;
mod device;
mod error;
mod events;
mod hook;
mod kernel;
mod lock;
mod maps;
mod object;
mod pin;
mod reader;
pub mod support;

pub use attach::{detach_abandoned, pinned};
pub use device::Device;
pub use error::Error;
pub use events::{Event, Events, Kind, Packet};
pub use hook::{Attached, Hook, Means};
pub use kernel::{Kernel, Options};
pub use reader::Unwatched;
