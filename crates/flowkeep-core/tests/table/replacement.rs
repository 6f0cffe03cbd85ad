//! Who makes room for whom, and when nobody does.

use std::cell::RefCell;
use std::sync::atomic::AtomicU64;

use flowkeep_core::entry::Entry;
use flowkeep_core::error::Refusal;
use flowkeep_core::table::{
    BucketPair, BucketTable, EntryHandle, EvictLimit, EvictReason, Evicted, EvictionObserver,
    Found, HostBounds, SLOTS, Seed, Statistic, Table, Word,
};
use flowkeep_core::tuple::{Flags, Tuple};

use crate::common::memory::{Owned, plain_table};
use crate::common::peek::{check, contents, memory};
use crate::common::{Worth, at, entry, tuple};

const NOW: u32 = 1000;

/// Remembers what was replaced.
#[derive(Default)]
struct Log(RefCell<Vec<(EvictReason, Tuple, Entry)>>);

impl EvictionObserver for Log {
    fn on_evict<W: Word>(&self, why: EvictReason, gone: &Evicted<'_, W>) {
        self.0.borrow_mut().push((why, gone.tuple(), gone.entry()));
    }
}

/// A table of one set, and so of 48 slots that every tuple may take.
fn one_set(evict: EvictLimit) -> BucketTable<Owned<AtomicU64>, Log> {
    BucketTable::with(Owned::new(1, 1), Log::default(), evict)
}

fn insert(table: &impl Table, number: u32, worth: Worth, lifetime: u32) -> Result<(), Refusal> {
    let tuple = tuple(number);
    let entry = entry(number, worth, lifetime);
    table
        .insert(table.hash(&tuple), &tuple, &entry, at(NOW))
        .map(|_| ())
}

#[test]
fn room_is_made_in_the_order_of_the_least_loss() {
    let table = one_set(EvictLimit::Unassured);
    let victims = [
        (Worth::Unanswered, NOW + 60, EvictReason::Unassured),
        (Worth::Closed, NOW + 9, EvictReason::Closed),
        (Worth::Answered, NOW - 1, EvictReason::Expired),
        (Worth::HalfOpen, NOW + 30, EvictReason::Unassured),
        (Worth::Closed, NOW, EvictReason::Closed),
        (Worth::Closed, NOW - 7, EvictReason::Expired),
        (Worth::Unanswered, NOW, EvictReason::Unassured),
        (Worth::Unanswered, NOW - 3, EvictReason::Expired),
    ];
    // These first: by then the set has been searched for expired entries in this second.
    for number in victims.len() as u32..SLOTS as u32 {
        let worth = if number % 2 == 0 {
            Worth::Answered
        } else {
            Worth::Closing
        };
        insert(&table, number, worth, NOW).expect("there is a handle for each");
    }
    for (number, &(worth, lifetime, _)) in (0..).zip(&victims) {
        insert(&table, number, worth, lifetime).expect("there is a handle for each");
    }
    assert!(
        table.observer().0.borrow().is_empty(),
        "free slots come first"
    );

    // Each newcomer replaces just the next one: expired, closed, unanswered, and among those of
    // a kind the one that expires first.
    let order = [5, 7, 2, 4, 1, 6, 3, 0];
    for (number, victim) in (100..).zip(order) {
        insert(&table, number, Worth::Answered, NOW + 100).expect("somebody can go");
        let (worth, lifetime, why) = victims[victim as usize];
        let gone = table.observer().0.take();
        assert_eq!(gone, [(why, tuple(victim), entry(victim, worth, lifetime))]);
    }

    // Now only answered connections are left, and they stay.
    let before = contents(&table);
    assert_eq!(
        insert(&table, 200, Worth::Answered, NOW),
        Err(Refusal::Full)
    );
    assert_eq!(contents(&table), before, "a refusal changes nothing");
    assert!(table.observer().0.borrow().is_empty());
    let counted = |statistic| table.memory().counted(statistic);
    assert_eq!(counted(Statistic::Inserted), SLOTS as u64);
    assert_eq!(counted(Statistic::EvictedExpired), 3);
    assert_eq!(counted(Statistic::EvictedClosed), 2);
    assert_eq!(counted(Statistic::EvictedUnassured), 3);
    assert_eq!(counted(Statistic::Refused), 1);
}

#[test]
fn the_expired_entries_of_a_set_go_together_when_its_room_is_needed() {
    let (memory, words) = memory::<true, HostBounds>(1, 1);
    let table = BucketTable::with(memory, Log::default(), EvictLimit::Unassured);
    for number in 0..SLOTS as u32 {
        let lifetime = if number < 10 { NOW } else { NOW - 1 };
        let tuple = tuple(number);
        let entry = entry(number, Worth::Answered, lifetime);
        table
            .insert(table.hash(&tuple), &tuple, &entry, at(NOW - 1))
            .expect("there is a handle for each");
    }
    assert!(
        table.observer().0.borrow().is_empty(),
        "nothing has expired yet"
    );
    insert(&table, 100, Worth::Answered, NOW).expect("most have expired");
    let mut gone = table.observer().0.take();
    assert_eq!(gone.len(), SLOTS - 10);
    gone.sort_by_key(|(_, _, entry)| entry.source_identity);
    for (number, gone) in (10..).zip(gone) {
        let expired = entry(number, Worth::Answered, NOW - 1);
        assert_eq!(gone, (EvictReason::Expired, tuple(number), expired));
    }
    assert_eq!(table.iter().count(), 10 + 1);
    check(&table, &words);
}

#[test]
fn a_table_evicts_no_more_than_it_was_told_to() {
    for (evict, replaced) in [
        (EvictLimit::Expired, vec![EvictReason::Expired]),
        (
            EvictLimit::Closed,
            vec![EvictReason::Expired, EvictReason::Closed],
        ),
    ] {
        let table = one_set(evict);
        for number in 2..SLOTS as u32 {
            insert(&table, number, Worth::Unanswered, NOW).expect("there is a handle for each");
        }
        insert(&table, 0, Worth::Answered, NOW - 1).expect("there are two slots left");
        insert(&table, 1, Worth::Closed, NOW).expect("there is a handle left");
        for number in 0..replaced.len() as u32 {
            insert(&table, 100 + number, Worth::Answered, NOW).expect("somebody can go");
        }
        assert_eq!(
            insert(&table, 200, Worth::Answered, NOW),
            Err(Refusal::Full)
        );
        let reasons: Vec<_> = table
            .observer()
            .0
            .borrow()
            .iter()
            .map(|gone| gone.0)
            .collect();
        assert_eq!(reasons, replaced);
    }
}

#[test]
fn the_same_tuple_is_renewed_in_its_slot_even_when_the_table_is_full() {
    let table = one_set(EvictLimit::Unassured);
    for number in 0..SLOTS as u32 {
        insert(&table, number, Worth::Answered, NOW).expect("there is a handle for each");
    }
    let hash = table.hash(&tuple(7));
    let old = table.find(hash, &tuple(7)).expect("it was stored");
    let renewed = table
        .insert(hash, &tuple(7), &entry(70, Worth::Unanswered, NOW), at(NOW))
        .expect("a renewal needs no room");
    assert_eq!(renewed.index(), old.index());
    assert_eq!(renewed.entry(), Some(entry(70, Worth::Unanswered, NOW)));
    assert_eq!(old.entry(), None, "what was found is gone");
    assert_eq!(table.iter().count(), SLOTS);
    assert_eq!(
        table.observer().0.take(),
        [(
            EvictReason::Overwritten,
            tuple(7),
            entry(7, Worth::Answered, NOW)
        )]
    );
    assert_eq!(table.memory().counted(Statistic::Overwritten), 1);
}

#[test]
fn the_first_tuple_of_a_probe_takes_precedence() {
    let (first, second) = (tuple(1).reversed(), tuple(1));
    for order in [[first, second], [second, first]] {
        let table = plain_table::<HostBounds>(3, 5);
        for tuple in order {
            let entry = entry(u32::from(tuple == first), Worth::Answered, NOW);
            table
                .insert(table.hash(&tuple), &tuple, &entry, at(NOW))
                .expect("empty");
        }
        let hash = table.hash(&second);
        let Some(Found {
            handle,
            is_first: true,
        }) = table.probe(hash, &first, &second)
        else {
            panic!("both are there");
        };
        assert_eq!(handle.tuple(), Some(first));
        assert!(table.remove(&handle, NOW));
        let Some(Found {
            handle,
            is_first: false,
        }) = table.probe(hash, &first, &second)
        else {
            panic!("the second is still there");
        };
        assert_eq!(handle.tuple(), Some(second));
        assert!(table.remove(&handle, NOW));
        assert!(table.probe(hash, &first, &second).is_none());
    }
}

#[test]
fn a_tuple_and_its_reverse_have_one_place() {
    let mut random = fastrand::Rng::with_seed(3);
    for seed in 0..100 {
        let seed = Seed::from_u64(seed);
        let hash = |tuple: Tuple| BucketPair::new(seed.hash(&tuple), 1366);
        let tuple = crate::common::random_tuple(&mut random);
        assert_eq!(hash(tuple), hash(tuple.reversed()));
        assert_eq!(hash(tuple), hash(tuple.swapped()));
        for flags in [Flags::IN, Flags::SERVICE, Flags::RELATED] {
            let flags = flags.union(Flags(tuple.flags().0 & Flags::IPV6.0));
            assert_eq!(hash(tuple), hash(tuple.with_flags(flags)));
        }
    }
}

#[test]
fn other_ends_ports_zones_and_protocols_have_other_hashes() {
    let tuple = tuple(1);
    let other = [
        // The ports, and not the addresses, exchanged.
        tuple.with_ports(tuple.source_port(), tuple.destination_port()),
        tuple.with_zone(1),
        tuple.with_protocol(17),
        tuple.with_flags(Flags::IPV6),
    ];
    for seed in 0..100 {
        let seed = Seed::from_u64(seed);
        for other in other {
            assert_ne!(seed.hash(&tuple), seed.hash(&other), "{other:?}");
        }
    }
}

#[test]
fn displaced_entries_are_found_and_counted_out_again() {
    let (memory, words) = memory::<true, HostBounds>(3, 11);
    let table = BucketTable::new(memory);
    let mut stored = 0;
    while insert(&table, stored, Worth::Answered, NOW).is_ok() {
        stored += 1;
    }
    check(&table, &words);
    assert!(stored > 2 * SLOTS as u32, "second buckets are used");
    for number in (0..stored).step_by(2) {
        let handle = table
            .find(table.hash(&tuple(number)), &tuple(number))
            .expect("an answered connection stays");
        assert!(table.remove(&handle, NOW));
        if !cfg!(miri) {
            check(&table, &words);
        }
    }
    check(&table, &words);
    // All that is left expires and is replaced by others, whose first sets are others too.
    for number in 1000..1100 {
        let tuple = tuple(number);
        let entry = entry(number, Worth::Unanswered, NOW + 2);
        table
            .insert(table.hash(&tuple), &tuple, &entry, at(NOW + 1))
            .expect("whatever is there has expired or is unanswered");
        if !cfg!(miri) {
            check(&table, &words);
        }
    }
    check(&table, &words);
}
