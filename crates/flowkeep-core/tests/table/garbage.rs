//! Memory that somebody else has damaged: wrong answers are allowed, panics and endless loops are
//! not.

use std::sync::atomic::Ordering;

use flowkeep_core::error::Refusal;
use flowkeep_core::table::{BucketTable, EntryHandle, Found, HostBounds, Statistic, Table};
use flowkeep_core::tracker::Direction;
use flowkeep_core::tuple::Address;

use crate::common::memory::Owned;
use crate::common::peek::{Peek, Words, check, memory, relaxed};
use crate::common::{Worth, at, entry, tuple};

/// More tries for a lock than the table may make.
const PATIENCE: u64 = (1 << 16) + 1;

fn seeds() -> std::ops::Range<u64> {
    if cfg!(miri) {
        0..2
    } else if cfg!(debug_assertions) {
        0..100
    } else {
        0..2000
    }
}

/// Calls everything that a table can do.
fn exercise<const SHARED: bool>(
    table: &BucketTable<Owned<Peek, SHARED>>,
    random: &mut fastrand::Rng,
) {
    for _ in 0..100 {
        let tuple = tuple(random.u32(..64));
        let hash = table.hash(&tuple);
        table.prefetch(hash);
        table.prefetch_entry(hash);
        let now = at(random.u32(..));
        let worth = Worth::ALL[random.usize(..Worth::ALL.len())];
        let _ = table.insert(hash, &tuple, &entry(1, worth, random.u32(..)), now);
        if let Some(Found { handle, .. }) = table.probe(hash, &tuple, &tuple.reversed()) {
            if let Some(before) = handle.progress() {
                let mut after = before;
                after.lifetime = random.u32(..);
                handle.advance(&before, &after);
            }
            handle.count(Direction::Ingress, 1, 1, now);
            handle.set_rev_nat_index(1);
            handle.set_nat_address(Address::default());
            handle.set_rx_bytes(1);
            let _ = (handle.entry(), handle.tuple());
            table.remove(&handle, 1);
        }
    }
    let _ = (table.iter().count(), table.census(random.u32(..)));
    table.sweep(random.u32(..), random.u32(..), random.u32(..), |_, _| {});
    table.sweep(0, u32::MAX, random.u32(..), |_, _| {});
    for (handle, tuple, _) in table.iter() {
        let _ = table.find(table.hash(&tuple), &tuple);
        table.remove(&handle, 1);
    }
}

fn damage(words: &Words, random: &mut fastrand::Rng, share: u64) {
    for word in words.all() {
        if random.u64(..share) == 0 {
            let value = match random.u8(..4) {
                0 => u64::MAX,
                1 => 1 << random.u32(..64),
                _ => random.u64(..),
            };
            word.store(value, Ordering::Relaxed);
        }
    }
}

fn survives<const SHARED: bool>() {
    for seed in seeds() {
        let mut random = fastrand::Rng::with_seed(seed);
        let buckets = random.usize(1..4);
        let (memory, words) = memory::<SHARED, HostBounds>(buckets, seed);
        let table = BucketTable::new(memory);
        exercise(&table, &mut random);
        let share = [1, 2, 10, 100][random.usize(..4)];
        damage(&words, &mut random, share);
        if random.bool() {
            // Whatever else is broken, insertions get past the lock.
            (0..buckets).for_each(|bucket| _ = words.lock(bucket).fetch_and(!1, Ordering::Relaxed));
        }
        relaxed();
        exercise(&table, &mut random);
        assert!(relaxed() <= 100 * PATIENCE);
    }
}

#[test]
fn shared_garbage_is_survived() {
    survives::<true>();
}

#[test]
fn unshared_garbage_is_survived() {
    survives::<false>();
}

#[test]
fn a_lock_that_nobody_returns_is_taken_over() {
    let (memory, words) = memory::<true, HostBounds>(1, 1);
    let table = BucketTable::new(memory);
    let insert_at = |number, now| {
        table
            .insert(
                table.hash(&tuple(number)),
                &tuple(number),
                &entry(number, Worth::Answered, 60),
                at(now),
            )
            .map(|_| ())
    };
    let insert = |number| insert_at(number, 1);
    insert(1).expect("empty");
    words.lock(0).store(1 << 32 | 1, Ordering::Relaxed);
    relaxed();
    assert_eq!(insert(2), Err(Refusal::Contended));
    let waited = relaxed();
    assert!((1..PATIENCE).contains(&waited), "{waited} tries");
    assert_eq!(table.memory().counted(Statistic::Contended), 1);
    // Readers, touches and removals need no lock.
    let found = table
        .find(table.hash(&tuple(1)), &tuple(1))
        .expect("it is there");
    assert!(table.remove(&found, 1));
    insert_at(2, 10).expect("whoever held the lock is dead");
    check(&table, &words);
}

#[test]
fn tags_that_were_lost_do_not_hide_who_may_be_evicted() {
    let (memory, words) = memory::<true, HostBounds>(1, 1);
    let table = BucketTable::new(memory);
    for number in 0..48 {
        let tuple = tuple(number);
        let entry = entry(number, Worth::Unanswered, 60);
        table
            .insert(table.hash(&tuple), &tuple, &entry, at(1))
            .expect("there is a handle for each");
    }
    // Every slot seems to be free, as if others were just about to take it.
    words
        .all()
        .take(6)
        .for_each(|tags| tags.store(0, Ordering::Relaxed));
    table
        .insert(
            table.hash(&tuple(99)),
            &tuple(99),
            &entry(99, Worth::Unanswered, 60),
            at(1),
        )
        .expect("an unanswered one makes room");
    assert_eq!(table.memory().counted(Statistic::EvictedUnassured), 1);
}

#[test]
fn a_table_without_memory_refuses() {
    let table = BucketTable::new(Owned::<Peek>::new(0, 1));
    let hash = table.hash(&tuple(1));
    let stored = table.insert(hash, &tuple(1), &entry(1, Worth::Answered, 60), at(1));
    assert_eq!(stored.map(|_| ()), Err(Refusal::Full));
    assert!(table.find(hash, &tuple(1)).is_none());
    assert_eq!(table.iter().count(), 0);
}
