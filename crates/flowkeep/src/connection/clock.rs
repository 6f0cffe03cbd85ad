//! From a table's clock to the time of day.

use super::Timestamp;

/// Nanoseconds of a second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// What a table's times mean.
///
/// A table keeps two kinds of time: ticks of 64 bits (when a connection began and was last seen)
/// and seconds of 32 bits (when it expires). Each has a zero of its own: ticks may be those of the
/// Unix epoch while seconds count from a capture's first packet, so that they do not overflow in
/// 2106.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableClock {
    /// When tick 0 was.
    pub(crate) tick_zero: Timestamp,
    /// Ticks of a second; not 0.
    pub(crate) ticks_per_second: u64,
    /// A second of the table's clock, and the time at which it began.
    pub(crate) second: (u32, Timestamp),
}

impl TableClock {
    /// The time of a tick.
    pub(crate) fn of_tick(&self, tick: u64) -> Timestamp {
        Timestamp(self.tick_zero.0.saturating_add(self.nanoseconds(tick)))
    }

    /// The time at which a second began.
    pub(crate) const fn of_second(&self, second: u32) -> Timestamp {
        let (known, began) = self.second;
        let apart = known.abs_diff(second) as u64 * SECOND;
        Timestamp(if second < known {
            began.0.saturating_sub(apart)
        } else {
            began.0.saturating_add(apart)
        })
    }

    /// The second in which a tick fell; the first or the last one for ticks out of their range.
    pub(crate) fn second_of(&self, tick: u64) -> u32 {
        let ((known, began), time) = (self.second, self.of_tick(tick));
        let seconds = |nanoseconds: u64| u32::try_from(nanoseconds).unwrap_or(u32::MAX);
        if time < began {
            known.saturating_sub(seconds(began.since(time).div_ceil(SECOND)))
        } else {
            known.saturating_add(seconds(time.since(began) / SECOND))
        }
    }

    /// When an entry of this lifetime has expired: after the last second in which it lives.
    pub(crate) const fn expiry(&self, lifetime: u32) -> Timestamp {
        Timestamp(self.of_second(lifetime).0.saturating_add(SECOND))
    }

    fn nanoseconds(&self, ticks: u64) -> u64 {
        if self.ticks_per_second == SECOND {
            return ticks;
        }
        let wide =
            u128::from(ticks) * u128::from(SECOND) / u128::from(self.ticks_per_second.max(1));
        u64::try_from(wide).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: u64 = SECOND / 1000;

    #[test]
    fn ticks_and_seconds_have_a_zero_each() {
        let clock = TableClock {
            tick_zero: Timestamp(1_600_000_000 * SECOND),
            ticks_per_second: 1000,
            second: (50, Timestamp(1_600_000_100 * SECOND)),
        };
        let at = |milliseconds| Timestamp(1_600_000_000 * SECOND + milliseconds * MILLISECOND);
        assert_eq!(clock.of_tick(250), at(250));
        assert_eq!(clock.of_second(53), at(103_000));
        assert_eq!(clock.of_second(47), at(97_000));
        assert_eq!(clock.expiry(53), at(104_000));
        for (tick, second) in [
            (100_000, 50),
            (102_999, 52),
            (99_999, 49),
            (99_000, 49),
            (98_999, 48),
            (0, 0),
        ] {
            assert_eq!(clock.second_of(tick), second, "{tick}");
        }
    }

    #[test]
    fn nothing_overflows() {
        let last = TableClock {
            tick_zero: Timestamp(7),
            ticks_per_second: SECOND,
            second: (1, Timestamp(u64::MAX - SECOND)),
        };
        assert_eq!(last.of_tick(u64::MAX), Timestamp(u64::MAX));
        assert_eq!(last.of_second(u32::MAX), Timestamp(u64::MAX));
        assert_eq!(last.expiry(u32::MAX), Timestamp(u64::MAX));
        let first = TableClock {
            second: (u32::MAX, Timestamp(0)),
            ..last
        };
        assert_eq!(first.of_second(0), Timestamp(0));
        assert_eq!(first.second_of(u64::MAX), u32::MAX);
    }
}
