//! The clock of the programs in the kernel, and what it says in wall-clock time.

use nix::time::{ClockId, clock_gettime};

use crate::connection::{SECOND, TableClock, Timestamp};

const MILLISECOND: u64 = 1_000_000;

/// Relates the kernel's monotonic clock, in nanoseconds since some start, to the time of day.
///
/// The time of day may be set while connections live, so this is made anew for each look at them.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    monotonic: u64,
    /// Nanoseconds of the Unix epoch at which the monotonic clock was 0.
    epoch: u64,
}

impl Clock {
    /// Both clocks, now.
    #[must_use]
    pub fn now() -> Self {
        let epoch = read(ClockId::CLOCK_REALTIME).saturating_sub(read(ClockId::CLOCK_MONOTONIC));
        // The clocks are not read in the same instant. The programs' has steps of milliseconds, and
        // a connection should begin at the same time whenever one looks.
        let epoch = epoch.next_multiple_of(MILLISECOND);
        Self {
            // The one that the programs read: as of the last tick.
            monotonic: read(ClockId::CLOCK_MONOTONIC_COARSE),
            epoch,
        }
    }

    /// The programs' clock, in nanoseconds.
    #[must_use]
    pub const fn ticks(&self) -> u64 {
        self.monotonic
    }

    /// The monotonic clock in whole seconds, as lifetimes have it.
    #[must_use]
    pub const fn seconds(&self) -> u32 {
        (self.monotonic / SECOND) as u32
    }

    /// What the times of the kernel's table mean.
    pub(crate) const fn of_table(&self) -> TableClock {
        TableClock {
            tick_zero: self.wall(0),
            ticks_per_second: SECOND,
            second: (0, self.wall(0)),
        }
    }

    /// The time of day at which the monotonic clock showed this.
    #[must_use]
    pub const fn wall(&self, monotonic: u64) -> Timestamp {
        Timestamp(self.epoch.saturating_add(monotonic))
    }
}

fn read(clock: ClockId) -> u64 {
    // Linux has had all of these since 2.6.32: it can't fail.
    clock_gettime(clock).map_or(0, |time| {
        time.tv_sec() as u64 * SECOND + time.tv_nsec() as u64
    })
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn now_is_now_on_both_clocks() {
        let before = SystemTime::now();
        let clock = Clock::now();
        let wall = UNIX_EPOCH + std::time::Duration::from_nanos(clock.wall(clock.ticks()).0);
        // Coarse, and read one after the other: but surely of the same day.
        let apart = before
            .duration_since(wall)
            .unwrap_or_else(|error| error.duration());
        assert!(apart.as_secs() < 86_400, "{apart:?}");
        assert_eq!(u64::from(clock.seconds()), clock.ticks() / SECOND);
    }
}
