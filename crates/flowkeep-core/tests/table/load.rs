//! How full a table gets before it refuses a connection.

use flowkeep_core::table::{HostBounds, Table};

use crate::common::memory::plain_table;
use crate::common::{Worth, at, entry, random_tuple};

/// Sets of a table of 65,536 connections.
const SETS: usize = 1366;

#[test]
#[cfg_attr(miri, ignore = "too many insertions for an interpreter")]
fn random_connections_fill_92_percent_before_the_first_is_refused() {
    let seeds = if cfg!(debug_assertions) { 3 } else { 100 };
    let answered = entry(1, Worth::Answered, u32::MAX);
    let mut least = f64::INFINITY;
    for seed in 0..seeds {
        let table = plain_table::<HostBounds>(SETS, seed);
        let mut random = fastrand::Rng::with_seed(!seed);
        let mut stored = 0_u32;
        loop {
            let tuple = random_tuple(&mut random);
            if table
                .insert(table.hash(&tuple), &tuple, &answered, at(1))
                .is_err()
            {
                break;
            }
            stored += 1;
        }
        assert_eq!(table.census(1).answered, u64::from(stored));
        let filled = f64::from(stored) / table.capacity() as f64;
        assert!(filled >= 0.92, "seed {seed}: {filled:.4}");
        least = least.min(filled);
    }
    println!("filled at least {least:.4} over {seeds} seeds");
}
