//! The time of a replay: packets drive it.

use flowkeep_core::settings::Settings;

use crate::connection::{SECOND, TableClock, Timestamp};

/// Counts seconds from a capture's first packet. It never goes back: an older packet does not change
/// it.
///
/// A table's seconds have 32 bits. Unix time exceeds them in 2106, and 6 hours earlier the sum of time
/// and timeout overflows. No capture is as long as 136 years; if its times claim that, because a clock
/// was wrong, this clock stops at the last second to which every timeout can be added.
#[derive(Debug)]
pub(super) struct Clock {
    now: u32,
    /// The last second.
    limit: u32,
    /// The second [`FIRST`], as nanoseconds since the Unix epoch; `None` before the first packet.
    began: Option<u64>,
    /// When the next second begins, in nanoseconds since the Unix epoch.
    next: u64,
}

/// The second of the first packet. It is greater than any interval that the tracker adds to the second
/// of a report, which is 0 if there was none.
const FIRST: u32 = 3600;

impl Clock {
    pub(super) fn new(settings: &Settings) -> Self {
        let Settings {
            tcp,
            non_tcp,
            service_tcp,
            service_non_tcp,
            syn,
            close,
            close_rebalance,
            report_interval,
            ..
        } = *settings;
        let intervals = [
            tcp,
            non_tcp,
            service_tcp,
            service_non_tcp,
            syn,
            close,
            close_rebalance,
            report_interval,
        ];
        let longest = intervals.into_iter().max().unwrap_or(0);
        Self {
            now: FIRST,
            limit: (u32::MAX - 1).saturating_sub(longest).max(FIRST),
            began: None,
            next: 0,
        }
    }

    /// The second of the latest packet so far.
    #[inline(always)]
    pub(super) const fn now(&self) -> u32 {
        self.now
    }

    /// Whether a packet of this time belongs to a later second.
    #[inline(always)]
    pub(super) const fn is_due(&self, time: u64) -> bool {
        time >= self.next
    }

    /// Goes on to the second of a packet for which it [is due](Self::is_due).
    pub(super) fn advance(&mut self, time: u64) {
        let began = *self.began.get_or_insert(time / SECOND * SECOND);
        let elapsed = (time - began) / SECOND;
        let now = u64::from(FIRST) + elapsed;
        self.now = u32::try_from(now).unwrap_or(u32::MAX).min(self.limit);
        self.next = began.saturating_add((elapsed + 1).saturating_mul(SECOND));
    }

    /// What the times of its table mean: ticks are nanoseconds since the Unix epoch.
    pub(super) fn of_table(&self) -> TableClock {
        TableClock {
            tick_zero: Timestamp(0),
            ticks_per_second: SECOND,
            second: (FIRST, Timestamp(self.began.unwrap_or(0))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        Clock::new(&Settings::default())
    }

    fn after(clock: &mut Clock, time: u64) -> u32 {
        if clock.is_due(time) {
            clock.advance(time);
        }
        clock.now() - FIRST
    }

    #[test]
    fn it_counts_from_the_first_packet_and_never_goes_back() {
        for start in [0, 1_700_000_000, u64::from(u32::MAX), 18_446_744_000] {
            let start = start * SECOND + 900;
            let clock = &mut clock();
            assert_eq!(after(clock, start), 0, "{start}");
            assert_eq!(after(clock, start + SECOND - 901), 0);
            assert_eq!(after(clock, start + SECOND - 900), 1);
            assert_eq!(after(clock, start.saturating_sub(SECOND)), 1, "older");
            assert_eq!(after(clock, start + 61 * SECOND), 61);
            let table = clock.of_table();
            assert_eq!(table.second_of(start + 61 * SECOND), clock.now());
            assert!(table.of_second(clock.now()) <= Timestamp(start + 61 * SECOND));
        }
    }

    #[test]
    fn every_timeout_fits_after_it() {
        let clock = &mut clock();
        after(clock, 0);
        after(clock, u64::MAX);
        let longest = Settings::default().tcp;
        assert!(clock.now().checked_add(longest).is_some());
        let years = u64::from(clock.now()) / 86_400 / 365;
        assert_eq!(years, 136);
    }
}
