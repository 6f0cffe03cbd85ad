//! Iteration, counting and the expiry sweep.

use std::collections::HashSet;

use flowkeep_core::table::{BucketTable, Census, EntryHandle, HostBounds, SLOTS, Sweep, Table};

use crate::common::peek::{check, memory};
use crate::common::{Worth, at, entry, tuple};

const NOW: u32 = 100;

#[test]
fn a_census_counts_each_entry_once_and_expired_ones_as_that() {
    let (memory, _) = memory::<true, HostBounds>(3, 2);
    let table = BucketTable::new(memory);
    let mut number = 0;
    for (times, worth) in (1..).zip(Worth::ALL) {
        for lifetime in [NOW - 1, NOW, NOW + 1] {
            for _ in 0..times {
                number += 1;
                let tuple = tuple(number);
                table
                    .insert(
                        table.hash(&tuple),
                        &tuple,
                        &entry(number, worth, lifetime),
                        at(1),
                    )
                    .expect("there is room");
            }
        }
    }
    let expected = Census {
        entries: 45,
        expired: 15,
        closed: 6,
        closing: 8,
        answered: 10,
        // A SYN-ACK alone is no answer.
        unanswered: 2 + 4,
    };
    assert_eq!(table.census(NOW), expected);
    assert_eq!(table.iter().count(), 45, "expired ones are there");
}

#[test]
fn a_sweep_in_stretches_removes_what_has_expired_and_nothing_else() {
    let (memory, words) = memory::<true, HostBounds>(3, 2);
    let table = BucketTable::new(memory);
    for number in 0..90 {
        let tuple = tuple(number);
        let entry = entry(
            number,
            Worth::ALL[number as usize % 5],
            NOW - 2 + number % 4,
        );
        table
            .insert(table.hash(&tuple), &tuple, &entry, at(1))
            .expect("there is room");
    }
    // A third of those that would expire is refreshed in time.
    for number in (0..90).step_by(3) {
        let handle = table
            .find(table.hash(&tuple(number)), &tuple(number))
            .expect("it was stored");
        let before = handle.progress().expect("it is there");
        let mut after = before;
        after.lifetime = NOW + 50;
        assert!(handle.advance(&before, &after));
    }
    let kept = |number: u32| number.is_multiple_of(3) || number % 4 >= 2;
    let mut told = HashSet::new();
    let (mut next, mut removed, mut stretches) = (0, 0, 0);
    loop {
        let swept = table.sweep(next, 50, NOW, |tuple, entry| {
            let number = entry.source_identity;
            assert_eq!(*tuple, crate::common::tuple(number));
            assert!(!kept(number) && told.insert(number), "{number}");
        });
        next = swept.next;
        removed += swept.removed;
        stretches += 1;
        check(&table, &words);
        if next == 0 {
            break;
        }
    }
    assert_eq!(stretches, (3 * SLOTS).div_ceil(50));
    assert_eq!(removed, told.len() as u64);
    assert_eq!(told, (0..90).filter(|&number| !kept(number)).collect());
    let left: HashSet<_> = table.iter().map(|(_, _, e)| e.source_identity).collect();
    assert_eq!(left, (0..90).filter(|&number| kept(number)).collect());
    assert_eq!(
        table.sweep(0, u32::MAX, NOW, |_, _| {}),
        Sweep {
            next: 0,
            removed: 0
        }
    );
}
