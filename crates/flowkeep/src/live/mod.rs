//! Connections as they are now, tracked by the programs in the kernel (Linux only).
//!
//! A tracker lives in a folder of the BPF file system, where the maps of its programs are pinned:
//! [`Tracker`] starts one and holds it, [`Pinned`] is how everybody else sees it.

mod carried;
mod check;
mod clock;
mod error;
mod folder;
mod interface;
mod pcapng;
mod pinned;
mod room;
mod statistics;
mod sweep;
mod tracker;
mod watch;

pub use carried::Carried;
pub use check::{Finding, check};
pub use clock::Clock;
pub use error::Error;
pub use flowkeep_bpf::Packet;
pub use folder::{DEFAULT_FOLDER, Folder, Lock};
pub use interface::{Interface, Mode};
pub use pcapng::PacketFile;
pub use pinned::Pinned;
pub use statistics::{Rates, Statistics, Totals};
pub use tracker::{Options, Tracker, detach};
pub use watch::Watcher;
