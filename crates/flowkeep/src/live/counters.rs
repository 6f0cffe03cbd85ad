//! The packet counters of interfaces.

use std::fs;

use flowkeep_bpf::Clock;

use super::interface::name_of;
use super::{Interface, Mode};
use crate::connection::SECOND;

/// How many packets the interfaces have counted so far. They count packets that are not tracked
/// too, such as ARP, and merged packets as their drivers do. Reading them costs the tracker's
/// programs nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// When they were read, in nanoseconds of the programs' clock.
    at: u64,
    /// Packets by the interface's index.
    packets: Vec<(u32, u64)>,
}

impl InterfaceCounters {
    /// The counters of these interfaces in the directions that are tracked; `None` if the kernel
    /// does not list them.
    pub(super) fn read(interfaces: &[Interface], mode: Mode) -> Option<Self> {
        // /sys and /proc/net may show another namespace.
        let counts = fs::read_to_string("/proc/thread-self/net/dev").ok()?;
        let packets = interfaces.iter().map(|interface| {
            let index = interface.index();
            // Its name may have changed.
            Some((index, count(&counts, &name_of(index)?, mode)?))
        });
        Some(Self {
            at: Clock::now().ticks(),
            packets: packets.collect::<Option<_>>()?,
        })
    }

    /// Packets a second between two readings; `None` if they can't be compared, because an
    /// interface was added, removed or reset, or no time has passed.
    #[must_use]
    pub fn rate(earlier: &Self, later: &Self) -> Option<f64> {
        let seconds = later.at.saturating_sub(earlier.at) as f64 / SECOND as f64;
        if earlier.packets.len() != later.packets.len() || seconds == 0.0 {
            return None;
        }
        let new = earlier.packets.iter().zip(&later.packets);
        let new = new.map(|((index, before), (other, after))| {
            (index == other)
                .then(|| after.checked_sub(*before))
                .flatten()
        });
        Some(new.sum::<Option<u64>>()? as f64 / seconds)
    }
}

/// The packets of an interface in the text of `/proc/net/dev`: eight numbers for what it received,
/// the second of which is packets, and eight for what it sent.
fn count(counts: &str, interface: &str, mode: Mode) -> Option<u64> {
    let mut lines = counts.lines();
    let numbers = lines.find_map(|line| {
        let (name, numbers) = line.split_once(':')?;
        (name.trim() == interface).then_some(numbers)
    })?;
    let numbers: Vec<&str> = numbers.split_whitespace().collect();
    let number = |index: usize| numbers.get(index)?.parse::<u64>().ok();
    let (received, sent) = (number(1)?, number(9)?);
    Some(match mode {
        Mode::Host => received + sent,
        Mode::Gateway => received,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     168       2    0    0    0     0          0         0      168       2    0    0    0     0       0          0
eth0.1: 1296042   10005    0    0    0     0          0         0  1301344     304    0    0    0     0       0          0
";

    #[test]
    fn only_tracked_directions_count() {
        assert_eq!(count(COUNTS, "eth0.1", Mode::Host), Some(10_309));
        assert_eq!(count(COUNTS, "eth0.1", Mode::Gateway), Some(10_005));
        assert_eq!(count(COUNTS, "eth0", Mode::Host), None);
    }

    #[test]
    fn readings_that_can_be_compared_have_a_rate() {
        let at = |seconds: u64, packets: &[(u32, u64)]| InterfaceCounters {
            at: seconds * SECOND,
            packets: packets.to_vec(),
        };
        let before = at(10, &[(2, 100), (5, 7)]);
        let rate = |later| InterfaceCounters::rate(&before, &later);
        assert_eq!(rate(at(12, &[(2, 160), (5, 9)])), Some(31.0));
        assert_eq!(rate(at(10, &[(2, 160), (5, 9)])), None, "no time");
        assert_eq!(rate(at(12, &[(2, 160)])), None, "one was removed");
        assert_eq!(rate(at(12, &[(2, 160), (6, 9)])), None, "another one");
        assert_eq!(rate(at(12, &[(2, 1), (5, 9)])), None, "it was reset");
    }
}
