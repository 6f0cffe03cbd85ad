//! Real threads on one small table. What the model checker shows for a few steps on a few slots,
//! this shows for many on all, and Miri for memory orders weaker than this machine's.

use std::thread;

use flowkeep_core::entry::Entry;
use flowkeep_core::table::{BucketTable, EntryHandle, Found, HostBounds, Table};
use flowkeep_core::tuple::Tuple;

use crate::common::memory::Owned;
use crate::common::peek::{Words, check, memory};
use crate::common::{Worth, at, entry, tuple};

/// Tuples in play, more than the table has room for.
const TUPLES: u32 = 150;
/// Connections that are there all the time.
const RESIDENTS: u32 = 20;

fn rounds() -> u32 {
    if cfg!(miri) {
        60
    } else if cfg!(debug_assertions) {
        20_000
    } else {
        300_000
    }
}

/// Whether an entry is that of its tuple, whole: all but what others may have advanced.
fn belongs(tuple: &Tuple, found: &Entry) -> bool {
    let number = found.source_identity;
    let made = entry(number, Worth::Answered, 0);
    *tuple == crate::common::tuple(number)
        && (found.rev_nat_index, found.nat_port) == (made.rev_nat_index, made.nat_port)
        && (found.rx, found.tx) == (made.rx, made.tx)
        && found.nat_address == made.nat_address
        && (found.created, found.last_seen) == (made.created, made.last_seen)
}

/// One thread: inserts, finds, advances, removes and sweeps, each at random.
fn churn<W: flowkeep_core::table::Word>(table: &BucketTable<Owned<W>>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..rounds() {
        // Each thread has its own clock, and one that waits for a processor falls behind. None is
        // ever more than five seconds behind, and so none is taken for dead.
        let now = 1000 + round / (rounds() / 6);
        let number = RESIDENTS + random.u32(..TUPLES);
        let tuple = tuple(number);
        let hash = table.hash(&tuple);
        match random.u8(..8) {
            0..3 => {
                let worth = Worth::ALL[random.usize(..4)];
                let entry = entry(number, worth, now + random.u32(..3));
                let _ = table.insert(hash, &tuple, &entry, at(now));
            }
            3..5 => {
                if let Some(Found {
                    handle,
                    is_first: false,
                }) = table.probe(hash, &tuple.reversed(), &tuple)
                {
                    if let Some(entry) = handle.entry() {
                        assert!(belongs(&tuple, &entry), "torn: {entry:?}");
                    }
                    if let Some(before) = handle.progress() {
                        let mut after = before;
                        after.lifetime = now + 3;
                        handle.advance(&before, &after);
                    }
                }
            }
            5 => {
                if let Some(handle) = table.find(hash, &tuple) {
                    table.remove(&handle, now);
                }
            }
            6 => {
                let resident = crate::common::tuple(random.u32(..RESIDENTS));
                let found = table.find(table.hash(&resident), &resident);
                assert!(found.is_some(), "an answered connection was missed");
            }
            _ => {
                table.sweep(random.u32(..96), 8, now, |tuple, entry| {
                    assert!(belongs(tuple, entry), "torn: {entry:?}");
                });
            }
        }
    }
}

fn settle<const SETS: usize>() -> (BucketTable<Owned<crate::common::peek::Peek>>, Words) {
    let (memory, words) = memory::<true, HostBounds>(SETS, 7);
    let table = BucketTable::new(memory);
    for number in 0..RESIDENTS {
        let tuple = tuple(number);
        table
            .insert(
                table.hash(&tuple),
                &tuple,
                &entry(number, Worth::Answered, u32::MAX),
                at(1),
            )
            .expect("empty");
    }
    (table, words)
}

#[test]
fn threads_leave_a_table_whose_counts_are_right() {
    let (table, words) = settle::<2>();
    thread::scope(|scope| {
        for seed in 0..3 {
            let table = &table;
            scope.spawn(move || churn(table, seed));
        }
    });
    check(&table, &words);
    for (_, tuple, entry) in table.iter() {
        assert!(belongs(&tuple, &entry), "torn: {entry:?}");
    }
}
