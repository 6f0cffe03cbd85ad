//! Removing expired connections, a stretch at a time.

use std::time::{Duration, Instant};

use flowkeep_core::entry::Entry;
use flowkeep_core::table::BucketTable;
use flowkeep_core::tuple::Tuple;
use flowkeep_memory::Region;

use super::Clock;

/// Records between two looks at the time: some 10 µs.
const STRETCH: u32 = 1024;

/// Walks over the table, again and again.
///
/// Nothing depends on it: expired connections are not found, and their slots are used again. It
/// tells of them in time, and keeps counts exact.
#[derive(Debug, Default)]
pub(super) struct Sweeper {
    /// Where the next stretch begins.
    next: u32,
}

impl Sweeper {
    /// Goes on for as long as the budget lasts, or until every record was looked at, and tells
    /// `expired` of each connection that it removes.
    pub(super) fn sweep(
        &mut self,
        table: &BucketTable<Region<true>>,
        budget: Duration,
        mut expired: impl FnMut(&Tuple, &Entry),
    ) {
        let now = Clock::now().seconds();
        let end = Instant::now() + budget;
        let records = table.capacity();
        let mut seen = 0;
        while seen < records && Instant::now() < end {
            let stretch = table.sweep(self.next, STRETCH, now, &mut expired);
            seen += u64::from(STRETCH);
            self.next = stretch.next;
        }
    }
}
