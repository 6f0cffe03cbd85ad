//! Live connections, tracked by the programs in the kernel (Linux only).
//!
//! A tracker has a folder of the BPF file system, to which the maps of its programs are pinned.
//! [`Tracker`] starts a tracker and keeps it running; [`Pinned`] gives other processes access to
//! it.

mod capacity;
mod check;
mod counters;
mod error;
mod folder;
mod icmp_log;
mod interface;
mod pcapng;
mod pinned;
mod statistics;
mod sweep;
mod tracker;
mod watch;

pub use check::{Finding, check};
pub use counters::InterfaceCounters;
pub use error::Error;
pub use flowkeep_bpf::Packet;
pub use folder::{DEFAULT_FOLDER, Folder, Lock};
pub use interface::{Interface, Mode};
pub use pcapng::PacketFile;
pub use pinned::Pinned;
pub use statistics::{Rates, Statistics, Totals};
pub use tracker::{Options, Tracker, detach};
pub use watch::Watcher;
