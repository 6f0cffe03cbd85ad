//! What is printed of each kind of race.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::pair::Overlap;

/// Pairs of each kind, unless `FLOWKEEP_RACES` says how many.
const PAIRS: usize = 20_000;

/// How many pairs of each kind there are to be.
pub(crate) fn pairs() -> usize {
    let Ok(text) = std::env::var("FLOWKEEP_RACES") else {
        return PAIRS;
    };
    let number = text.replace('_', "").parse();
    number.unwrap_or_else(|error| panic!("FLOWKEEP_RACES={text}: {error}"))
}

/// One kind after the other: each needs both processors.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What came of the pairs of one kind.
pub(crate) struct Report {
    what: &'static str,
    begun: Instant,
    pub(crate) overlap: Overlap,
    /// How often something was wrong, by what it was.
    lost: BTreeMap<String, usize>,
    /// How often something was as it may be, by what it was.
    fine: BTreeMap<&'static str, usize>,
}

impl Report {
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            begun: Instant::now(),
            overlap: Overlap::default(),
            lost: BTreeMap::new(),
            fine: BTreeMap::new(),
        }
    }

    /// A pair came to an end that may be.
    pub(crate) fn fine(&mut self, how: &'static str) {
        *self.fine.entry(how).or_default() += 1;
    }

    /// Something was lost in a pair.
    pub(crate) fn lost(&mut self, how: String) {
        *self.lost.entry(how).or_default() += 1;
    }

    /// Something was lost so many times, which may be 0.
    pub(crate) fn lost_many(&mut self, how: &str, times: usize) {
        if times != 0 {
            *self.lost.entry(how.to_owned()).or_default() += times;
        }
    }

    pub(crate) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Prints it.
    ///
    /// # Panics
    /// If anything was lost.
    pub(crate) fn finish(self) {
        let Overlap { pairs, overlapped } = self.overlap;
        let lost: usize = self.lost.values().sum();
        // On lines of their own, whatever the test harness has written before.
        println!("\n{}: pairs {pairs} lost {lost}", self.what);
        let seconds = self.begun.elapsed().as_secs_f64();
        let percent = 100 * overlapped / pairs.max(1);
        println!("    {seconds:.1} s; both sides at once in about {overlapped} ({percent} %)");
        for (how, times) in &self.fine {
            println!("    {times:9} {how}");
        }
        for (how, times) in &self.lost {
            println!("    {times:9} lost: {how}");
        }
        assert_eq!(lost, 0, "{}", self.what);
    }
}
