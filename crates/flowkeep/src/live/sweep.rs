//! Removing expired connections, a part of the table at a time.

use std::time::{Duration, Instant};

use flowkeep_bpf::Clock;
use flowkeep_core::entry::Entry;
use flowkeep_core::table::BucketTable;
use flowkeep_core::tuple::Tuple;
use flowkeep_memory::Region;

/// Records between two looks at the clock: some 10 µs.
const STEP: u32 = 1024;

/// Walks through the table, again and again.
///
/// Nothing depends on it: expired connections are not found, and their slots are reused. It makes
/// them known in time, and keeps counts exact.
#[derive(Debug, Default)]
pub(super) struct Sweeper {
    /// The first record of the next step.
    next: u32,
}

impl Sweeper {
    /// Walks on until the budget is used up or every record was checked, and calls `expired` for
    /// each connection that it removes.
    pub(super) fn sweep(
        &mut self,
        table: &BucketTable<Region<true>>,
        budget: Duration,
        mut expired: impl FnMut(&Tuple, &Entry),
    ) {
        let now = Clock::now().seconds();
        let end = Instant::now() + budget;
        let records = table.capacity();
        let mut checked = 0;
        while checked < records && Instant::now() < end {
            let swept = table.sweep(self.next, STEP, now, &mut expired);
            checked += u64::from(STEP);
            self.next = swept.next;
        }
    }
}
