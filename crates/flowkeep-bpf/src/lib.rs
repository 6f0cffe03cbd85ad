//! Flowkeep's programs in the Linux kernel: [load](Kernel::load) them, [attach](Kernel::attach) them
//! to interfaces, and read their [table](Kernel::table), which is mapped into this process, so that
//! no entry needs a system call. The programs send [events](Kernel::events) while they are read.
//!
//! The programs need from the kernel: arrays that can be mapped (Linux 5.5), global functions (5.6),
//! the segment size of merged packets (5.7), ring buffers (5.8), the coarse clock (5.11) and atomic
//! instructions (5.12). So Linux 5.12 is the oldest that may work; 6.1, 6.12 and 6.18 are tested.
//! Programs are attached by tcx links (6.6), or by filters of clsact on older kernels.
//!
//! The objects with the programs, one for each [set of rules](Options::rules), are part of this crate.
//! `cargo xtask bpf` builds them from the folder `ebpf`, so users of the crate need no compiler for
//! BPF.

#![forbid(unsafe_code)]

mod attach;
mod clock;
mod config;
mod device;
mod error;
mod events;
mod folder;
mod hook;
mod kernel;
mod lease;
mod lock;
mod maps;
mod object;
mod pin;
mod reader;
pub mod support;

pub use flowkeep_abi as abi;

pub use attach::{detach_abandoned, pinned};
pub use clock::Clock;
pub use device::Device;
pub use error::Error;
pub use events::{Event, Events, Kind, Packet};
pub use folder::check_folder;
pub use hook::{Attached, Hook, Means};
pub use kernel::{Kernel, Options};
pub use reader::Unwatched;
