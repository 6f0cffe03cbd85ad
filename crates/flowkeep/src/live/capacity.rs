//! How much memory a table takes, and how much there is.

use std::fs;

use flowkeep_bpf::Kernel;
use flowkeep_core::table::{Memory as _, SLOTS, table_bytes};

/// How full a table of so many connections is to be: it takes 94 % before it refuses anything.
const FILL: f64 = 0.9;

/// The size of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) buckets: u32,
}

impl Room {
    /// Room for so many connections.
    pub(super) fn new(connections: u32) -> Self {
        let buckets = (f64::from(connections) / FILL / SLOTS as f64).ceil();
        Self {
            buckets: buckets as u32,
        }
    }

    /// That of a table that is there.
    pub(super) fn of(kernel: &Kernel) -> Self {
        Self {
            buckets: kernel.table().memory().buckets(),
        }
    }

    /// Entries that there is room for.
    pub(super) const fn entries(self) -> u64 {
        self.buckets as u64 * SLOTS as u64
    }

    /// Bytes that it takes.
    pub(super) const fn bytes(self) -> u64 {
        table_bytes(self.buckets)
    }
}

/// Bytes that the kernel can give without taking them from whoever uses them; `None` if it does
/// not say.
///
/// Not that it would take more: but it looks for them everywhere first, and stops the machine for
/// that long.
pub(super) fn available() -> Option<u64> {
    from(&fs::read_to_string("/proc/meminfo").ok()?)
}

/// What is available by a `/proc/meminfo`, which counts in KiB.
fn from(meminfo: &str) -> Option<u64> {
    let mut lines = meminfo.lines();
    let line = lines.find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_available_is_read() {
        let meminfo = "MemTotal:       24683532 kB\nMemFree:        22544944 kB\n\
                       MemAvailable:   23316480 kB\nHugePages_Total:       0\n";
        assert_eq!(from(meminfo), Some(23_316_480 * 1024));
        assert_eq!(from("MemTotal:       24683532 kB\n"), None);
        assert_eq!(from("MemAvailable: much\n"), None);
    }

    #[test]
    fn there_is_room_for_a_tenth_more() {
        let room = Room::new(1_000_000);
        assert_eq!(room.entries(), 23_149 * 48);
        assert!(room.bytes() > room.entries() * 128);
    }
}
