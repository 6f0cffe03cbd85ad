//! The programs' clock, and its relation to the time of day.

use std::fs;

use nix::time::{ClockId, clock_getres, clock_gettime};

use crate::abi::{COUNTS_SUSPEND, TICKS_PER_SECOND};

pub(crate) const MILLISECOND: u64 = 1_000_000;

/// The programs' clock at one moment.
///
/// The time of day may be set while connections live, so take a new one for each look at them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    ticks: u64,
    zero: u64,
    suspended: u64,
}

impl Clock {
    /// The clock now.
    #[must_use]
    pub fn now() -> Self {
        Self::of(&Readings::take(), COUNTS_SUSPEND)
    }

    fn of(readings: &Readings, counts_suspend: bool) -> Self {
        let suspended = readings.boot.saturating_sub(readings.monotonic);
        let (fine, ahead) = if counts_suspend {
            (readings.boot, suspended)
        } else {
            (readings.monotonic, 0)
        };
        Self {
            ticks: readings.coarse.saturating_add(ahead),
            // The clocks are not read in the same instant, and the difference of two of them should
            // be the same whenever one looks.
            zero: (readings.real.saturating_sub(fine)).next_multiple_of(MILLISECOND),
            suspended,
        }
    }

    /// What the clock shows, in nanoseconds: that is a tick.
    #[must_use]
    pub const fn ticks(&self) -> u64 {
        self.ticks
    }

    /// What it shows in whole seconds, in which lifetimes are counted.
    #[must_use]
    pub const fn seconds(&self) -> u32 {
        (self.ticks / TICKS_PER_SECOND) as u32
    }

    /// When tick 0 was, in nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn zero(&self) -> u64 {
        self.zero
    }

    /// How long the machine was suspended since it was started, in nanoseconds.
    pub(crate) const fn suspended(&self) -> u64 {
        self.suspended
    }
}

/// The nanoseconds between two ticks of the kernel's timer.
pub(crate) fn jiffy() -> u64 {
    // Linux has had it since 2.6.39, and a tick takes less than a second.
    clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).map_or(0, |time| time.tv_nsec() as u64)
}

/// The kernel's clocks, in nanoseconds, as its programs see them.
#[derive(Clone, Copy, Debug)]
struct Readings {
    real: u64,
    boot: u64,
    monotonic: u64,
    /// The monotonic clock as of the last tick, which is what programs read.
    coarse: u64,
}

impl Readings {
    fn take() -> Self {
        let [real, boot, monotonic, coarse] = [
            ClockId::CLOCK_REALTIME,
            ClockId::CLOCK_BOOTTIME,
            ClockId::CLOCK_MONOTONIC,
            ClockId::CLOCK_MONOTONIC_COARSE,
        ]
        .map(|clock| {
            // Linux has had all of these since 2.6.39, so this can't fail.
            clock_gettime(clock).map_or(0, |time| {
                time.tv_sec() as u64 * TICKS_PER_SECOND + time.tv_nsec() as u64
            })
        });
        let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        let outside = |clock: u64, name| clock.saturating_add_signed(-offset(&offsets, name));
        Self {
            real,
            boot: outside(boot, "boottime"),
            monotonic: outside(monotonic, "monotonic"),
            coarse: outside(coarse, "monotonic"),
        }
    }
}

/// By how much a clock is ahead in this process's time namespace, in nanoseconds: programs of the
/// kernel are in none. Each line of `timens_offsets` has a clock, seconds and nanoseconds.
fn offset(offsets: &str, clock: &str) -> i64 {
    let mut lines = offsets.lines().map(str::split_whitespace);
    let numbers = lines.find_map(|mut words| (words.next() == Some(clock)).then_some(words));
    let mut numbers = numbers.into_iter().flatten().map(str::parse::<i64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(seconds)), Some(Ok(nanoseconds))) => seconds
            .saturating_mul(TICKS_PER_SECOND as i64)
            .saturating_add(nanoseconds),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn now_is_now() {
        let before = SystemTime::now();
        let clock = Clock::now();
        let wall = UNIX_EPOCH + Duration::from_nanos(clock.zero() + clock.ticks());
        let after = SystemTime::now();
        // The coarse clock is up to a tick behind, of 100 a second at least; other processes may
        // run between two readings.
        let slack = Duration::from_millis(20);
        assert!(before - slack <= wall && wall <= after + slack, "{wall:?}");
        assert_eq!(u64::from(clock.seconds()), clock.ticks() / TICKS_PER_SECOND);
    }

    #[test]
    fn a_suspend_does_not_move_what_began_before_it() {
        const HOUR: u64 = 3600 * TICKS_PER_SECOND;
        let before = Readings {
            real: 1_600_000_000 * TICKS_PER_SECOND,
            boot: 3 * HOUR,
            monotonic: 2 * HOUR,
            coarse: 2 * HOUR - 3,
        };
        // Suspended for 8 hours, and looked at an hour later.
        let after = Readings {
            real: before.real + 9 * HOUR,
            boot: before.boot + 9 * HOUR,
            monotonic: before.monotonic + HOUR,
            coarse: before.coarse + HOUR,
        };
        let [clock, later] = [before, after].map(|readings| Clock::of(&readings, true));
        assert_eq!(later.zero(), clock.zero());
        assert_eq!(later.ticks() - clock.ticks(), 9 * HOUR);
        assert_eq!(
            [clock, later].map(|clock| clock.suspended()),
            [HOUR, 9 * HOUR]
        );
        // Ticks of the monotonic clock do not tell on which side of the suspend they were.
        let [clock, later] = [before, after].map(|readings| Clock::of(&readings, false));
        assert_eq!(later.zero() - clock.zero(), 8 * HOUR);
        assert_eq!(clock.ticks(), before.coarse);
    }

    #[test]
    fn a_time_namespace_has_offsets() {
        let offsets = "monotonic           0         0\nboottime      -86400 500000000\n";
        assert_eq!(offset(offsets, "monotonic"), 0);
        assert_eq!(offset(offsets, "boottime"), -86_399_500_000_000);
        assert_eq!(offset("", "boottime"), 0);
    }

    #[test]
    fn readings_that_are_not_of_one_instant_give_the_same_clock() {
        let readings = Readings {
            real: 1_600_000_000 * TICKS_PER_SECOND + 400_000,
            boot: 7_000 * TICKS_PER_SECOND + 500_000,
            monotonic: 6_000 * TICKS_PER_SECOND + 500_000,
            coarse: 6_000 * TICKS_PER_SECOND,
        };
        let expected = Clock::of(&readings, true);
        for (boot, monotonic) in [(0, 300), (100, 40_000), (200_000, 300_000)] {
            let mut other = readings;
            (other.boot, other.monotonic) = (other.boot + boot, other.monotonic + monotonic);
            let found = Clock::of(&other, true);
            assert_eq!(found.zero(), expected.zero(), "{boot}, {monotonic}");
        }
    }
}
