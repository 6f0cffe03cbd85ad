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
mod report;
mod room;
mod sweep;
mod totals;
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
pub use report::Report;
pub use totals::{Rates, Totals};
pub use tracker::{Options, Tracker, detach};
pub use watch::Watcher;
