//! How much memory a table needs, and how much is available.

use std::fs;

use flowkeep_bpf::Kernel;
use flowkeep_core::table::{Memory as _, SLOTS, table_bytes};

/// How full a table is with the connections it was created for. It rejects none before 93 %.
const FILL: f64 = 0.9;

/// The capacity of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capacity {
    pub(super) buckets: u32,
}

impl Capacity {
    /// The capacity for this many connections.
    pub(super) fn new(connections: u32) -> Self {
        let buckets = (f64::from(connections) / FILL / SLOTS as f64).ceil();
        Self {
            buckets: buckets as u32,
        }
    }

    /// The capacity of an existing table.
    pub(super) fn of(kernel: &Kernel) -> Self {
        Self {
            buckets: kernel.table().memory().buckets(),
        }
    }

    /// How many entries it can hold.
    pub(super) const fn entries(self) -> u64 {
        self.buckets as u64 * SLOTS as u64
    }

    /// How many bytes it needs.
    pub(super) const fn bytes(self) -> u64 {
        table_bytes(self.buckets)
    }
}

/// How many bytes the kernel can allocate without reclaiming memory in use; `None` if it does not
/// say.
///
/// It refuses to allocate more, but only after it has searched all memory, which stalls the machine.
pub(super) fn available() -> Option<u64> {
    from(&fs::read_to_string("/proc/meminfo").ok()?)
}

/// Available bytes in the text of `/proc/meminfo`, which counts in KiB.
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
    fn available_memory_is_read() {
        let meminfo = "MemTotal:       24683532 kB\nMemFree:        22544944 kB\n\
                       MemAvailable:   23316480 kB\nHugePages_Total:       0\n";
        assert_eq!(from(meminfo), Some(23_316_480 * 1024));
        assert_eq!(from("MemTotal:       24683532 kB\n"), None);
        assert_eq!(from("MemAvailable: much\n"), None);
    }

    #[test]
    fn a_tenth_is_spare() {
        let capacity = Capacity::new(1_000_000);
        assert_eq!(capacity.entries(), 23_149 * 48);
        assert!(capacity.bytes() > capacity.entries() * 128);
    }
}
