//! A process that shares the table and is killed in the middle of a change: `flowkeep delete`,
//! `flowkeep flush` or a sweep, interrupted, or whoever inserts from user space.
//!
//! Each operation is killed before each of its writes, one after the other. Ten seconds and a sweep
//! later all must be as if it had never begun or had been done: every entry that it was not about is
//! there and found, what it was about is there whole or not at all, no lock is held, and the table
//! takes as many entries as it has slots.
//!
//! One that was only stopped, say by Ctrl-Z, goes on one day: a deletion or a sweep. Whatever others
//! have made of its slot by then must not be lost.

use std::collections::BTreeMap;

use flowkeep_core::entry::Entry;
use flowkeep_core::error::Refusal;
use flowkeep_core::table::{
    Bounds, BucketTable, EntryHandle, HostBounds, KernelBounds, SLOTS, Seed, Table,
};
use flowkeep_core::tuple::Tuple;

use crate::common::memory::Owned;
use crate::common::peek::{check_glance, sets_of};
use crate::common::{Worth, at, entry, tuple};
use crate::mortal::{Mortal, killed_before, stopped_before};

const NOW: u32 = 1000;
/// When whoever was killed is known to be: some seconds later.
const LATER: u32 = NOW + 10;
/// Beyond all that happens here.
const LONG: u32 = NOW + 1000;
const SEED: u64 = 5;

type MortalTable<B> = BucketTable<Owned<Mortal, true, B>>;

/// Entries, by their tuples.
type Contents = BTreeMap<Tuple, Entry>;

fn contents<B: Bounds>(table: &MortalTable<B>) -> Contents {
    let mut contents = Contents::new();
    for (_, tuple, entry) in table.iter() {
        assert_eq!(contents.insert(tuple, entry), None, "twice: {tuple:?}");
    }
    contents
}

/// What is done, and what is there before.
trait Operation {
    /// Buckets of the table.
    const BUCKETS: usize;

    /// What is there before.
    fn prepare<B: Bounds>(table: &MortalTable<B>);

    /// What is done, until it is killed.
    fn act<B: Bounds>(table: &MortalTable<B>);
}

/// Tuples whose candidates, of two buckets, are these.
fn tuples(first: u32, second: u32) -> impl Iterator<Item = Tuple> {
    let seed = Seed::from_u64(SEED);
    (0..).map(tuple).filter(move |tuple| {
        let (one, other, _) = sets_of(&seed, 2, tuple);
        (one, other) == (first, second)
    })
}

/// A connection whose entry tells of nothing but its tuple and its worth.
fn entry_of(tuple: &Tuple, worth: Worth, lifetime: u32) -> Entry {
    entry(
        tuple.words()[4] as u32 ^ tuple.words()[0] as u32,
        worth,
        lifetime,
    )
}

fn insert<B: Bounds>(
    table: &MortalTable<B>,
    tuple: &Tuple,
    worth: Worth,
    lifetime: u32,
    now: u32,
) -> Result<(), Refusal> {
    let entry = entry_of(tuple, worth, lifetime);
    table
        .insert(table.hash(tuple), tuple, &entry, at(now))
        .map(|_| ())
}

/// Stores so many connections, for which there is room.
fn fill<B: Bounds>(
    table: &MortalTable<B>,
    tuples: impl Iterator<Item = Tuple>,
    worth: Worth,
    lifetime: u32,
) {
    for tuple in tuples {
        insert(table, &tuple, worth, lifetime, NOW - 1).expect("there is room");
    }
}

fn remove<B: Bounds>(table: &MortalTable<B>, tuple: &Tuple) {
    if let Some(found) = table.find(table.hash(tuple), tuple) {
        table.remove(&found, NOW);
    }
}

/// What is wrong after an operation has been killed, if anything is.
fn wrong_after_a_kill<O: Operation, B: Bounds>(writes: u64) -> Option<Vec<String>> {
    let table = new::<O, B>();
    O::act(&table);
    let done = contents(&table);
    let table = new::<O, B>();
    let before = contents(&table);
    if !killed_before(writes, || O::act(&table)) {
        return None;
    }
    let mut wrong = Vec::new();
    // What was to be stored may be stored at once, elsewhere, or when the lock is known to be left.
    for (tuple, entry) in &done {
        if before.get(tuple) == Some(entry) {
            continue;
        }
        let stored = table
            .insert(table.hash(tuple), tuple, entry, at(NOW))
            .is_ok();
        if stored && table.find(table.hash(tuple), tuple).is_none() {
            wrong.push("what is stored again is hidden".to_owned());
        }
    }
    table.sweep(0, u32::MAX, LATER, |_, _| {});

    let after = contents(&table);
    for (tuple, entry) in &before {
        let (found, is_about) = (after.get(tuple), done.get(tuple) != Some(entry));
        let may_be_gone = is_about || entry.progress.expired(LATER);
        if found.is_none() && !may_be_gone {
            wrong.push("an entry is lost".to_owned());
        }
    }
    for (tuple, entry) in &after {
        if before.get(tuple) != Some(entry) && done.get(tuple) != Some(entry) {
            wrong.push("an entry is there that was never stored".to_owned());
        }
    }
    if after
        .keys()
        .any(|tuple| table.find(table.hash(tuple), tuple).is_none())
    {
        wrong.push("an entry is hidden".to_owned());
    }
    after.keys().for_each(|tuple| check_glance(&table, tuple));

    // As often as it takes to meet the last free slot of either bucket.
    let is_held = (1 << 24..(1 << 24) + 40 * SLOTS as u32).any(|number| {
        let stored = insert(&table, &tuple(number), Worth::Answered, LONG, LATER);
        stored == Err(Refusal::Contended)
    });
    if is_held {
        wrong.push("a lock is held".to_owned());
        return Some(wrong);
    }
    let dead = table.capacity() - contents(&table).len() as u64;
    if dead != 0 {
        wrong.push(format!("{dead} slots are dead"));
    }
    Some(wrong)
}

/// What is wrong after an operation that removes was stopped and has gone on, if anything is.
fn wrong_after_a_stop<O: Operation, B: Bounds>(writes: u64) -> Option<Vec<String>> {
    let table = new::<O, B>();
    let mut stored = Contents::new();
    let meanwhile = || {
        table.sweep(0, u32::MAX, LATER, |_, _| {});
        for number in 1 << 24..(1 << 24) + 4 * SLOTS as u32 {
            let tuple = tuple(number);
            if insert(&table, &tuple, Worth::Answered, LONG, LATER).is_ok() {
                stored.insert(tuple, entry_of(&tuple, Worth::Answered, LONG));
            }
        }
    };
    if !stopped_before(writes, || O::act(&table), meanwhile) {
        return None;
    }
    let mut wrong = Vec::new();
    let after = contents(&table);
    for (tuple, entry) in &stored {
        match after.get(tuple) {
            None => wrong.push("what others have stored is lost".to_owned()),
            Some(found) if found != entry => wrong.push("an entry is changed".to_owned()),
            Some(_) => {}
        }
    }
    if after
        .keys()
        .any(|tuple| table.find(table.hash(tuple), tuple).is_none())
    {
        wrong.push("an entry is hidden".to_owned());
    }
    Some(wrong)
}

fn new<O: Operation, B: Bounds>() -> MortalTable<B> {
    let table = BucketTable::new(Owned::new(O::BUCKETS, SEED));
    O::prepare(&table);
    table
}

fn survives<O: Operation>() {
    let mut all = everywhere(
        "killed, the host's bounds",
        wrong_after_a_kill::<O, HostBounds>,
    );
    all.extend(everywhere(
        "killed, the kernel's bounds",
        wrong_after_a_kill::<O, KernelBounds>,
    ));
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}

fn goes_on<O: Operation>() {
    let all = everywhere("stopped", wrong_after_a_stop::<O, HostBounds>);
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}

/// What is wrong, at whichever write.
fn everywhere(how: &str, wrong: impl Fn(u64) -> Option<Vec<String>>) -> Vec<String> {
    let mut all = Vec::new();
    for writes in 0.. {
        let Some(wrong) = wrong(writes) else {
            assert!(writes > 0, "it writes nothing");
            break;
        };
        let wrong = wrong.into_iter();
        all.extend(wrong.map(|what| format!("before write {writes}, {how}: {what}")));
    }
    all
}

/// An insertion into a free slot, of a tuple whose reverse is there.
struct InsertIntoFree;

impl Operation for InsertIntoFree {
    const BUCKETS: usize = 2;

    fn prepare<B: Bounds>(table: &MortalTable<B>) {
        fill(table, (0..10).map(tuple), Worth::Answered, LONG);
        let reverse = [tuple(100).reversed()].into_iter();
        fill(table, reverse, Worth::Answered, LONG);
    }

    fn act<B: Bounds>(table: &MortalTable<B>) {
        insert(table, &tuple(100), Worth::Unanswered, LONG, NOW).expect("there is room");
    }
}

#[test]
fn an_insertion_into_a_free_slot() {
    survives::<InsertIntoFree>();
}

/// An insertion whose entry goes to its second bucket.
struct InsertDisplaced;

impl Operation for InsertDisplaced {
    const BUCKETS: usize = 2;

    fn prepare<B: Bounds>(table: &MortalTable<B>) {
        fill(table, tuples(0, 0).take(SLOTS), Worth::Answered, LONG);
    }

    fn act<B: Bounds>(table: &MortalTable<B>) {
        let tuple = tuples(0, 1).next().expect("there is no end of them");
        insert(table, &tuple, Worth::Unanswered, LONG, NOW).expect("there is room");
    }
}

#[test]
fn an_insertion_into_the_second_bucket() {
    survives::<InsertDisplaced>();
}

/// An insertion that evicts an entry, which is in its second bucket.
struct InsertEvicting;

impl Operation for InsertEvicting {
    const BUCKETS: usize = 2;

    fn prepare<B: Bounds>(table: &MortalTable<B>) {
        fill(table, tuples(0, 0).take(SLOTS), Worth::Answered, LONG);
        fill(table, tuples(0, 1).take(1), Worth::Unanswered, LONG);
        fill(table, tuples(1, 1).take(SLOTS - 1), Worth::Answered, LONG);
    }

    fn act<B: Bounds>(table: &MortalTable<B>) {
        let tuple = tuples(1, 0).next().expect("there is no end of them");
        insert(table, &tuple, Worth::Unanswered, LONG, NOW).expect("one can go");
    }
}

#[test]
fn an_insertion_that_evicts() {
    survives::<InsertEvicting>();
}

/// An insertion in place of the entry under the same tuple.
struct InsertOverwriting;

impl Operation for InsertOverwriting {
    const BUCKETS: usize = 1;

    fn prepare<B: Bounds>(table: &MortalTable<B>) {
        fill(table, (0..SLOTS as u32).map(tuple), Worth::Answered, LONG);
    }

    fn act<B: Bounds>(table: &MortalTable<B>) {
        insert(table, &tuple(7), Worth::Unanswered, LONG + 1, NOW).expect("it is there");
    }
}

#[test]
fn an_insertion_of_what_is_there() {
    survives::<InsertOverwriting>();
}

/// An insertion into a full bucket many of whose entries have expired.
struct InsertCollecting;

impl Operation for InsertCollecting {
    const BUCKETS: usize = 1;

    fn prepare<B: Bounds>(table: &MortalTable<B>) {
        fill(table, (0..10).map(tuple), Worth::Answered, NOW - 1);
        fill(table, (10..SLOTS as u32).map(tuple), Worth::Answered, LONG);
    }

    fn act<B: Bounds>(table: &MortalTable<B>) {
        insert(table, &tuple(100), Worth::Unanswered, LONG, NOW).expect("some have expired");
    }
}

#[test]
fn an_insertion_that_collects() {
    survives::<InsertCollecting>();
}

/// A flush: of entries at home and displaced ones.
struct Flush;

impl Operation for Flush {
    const BUCKETS: usize = 2;

    fn prepare<B: Bounds>(table: &MortalTable<B>) {
        fill(table, tuples(0, 1).take(SLOTS + 4), Worth::Answered, LONG);
    }

    fn act<B: Bounds>(table: &MortalTable<B>) {
        for tuple in tuples(0, 1).take(SLOTS + 4) {
            remove(table, &tuple);
        }
    }
}

#[test]
fn a_flush() {
    survives::<Flush>();
}

/// A deletion of what was judged, and what follows it.
struct Delete;

impl Operation for Delete {
    const BUCKETS: usize = 1;

    fn prepare<B: Bounds>(table: &MortalTable<B>) {
        fill(table, (0..SLOTS as u32).map(tuple), Worth::Answered, LONG);
    }

    fn act<B: Bounds>(table: &MortalTable<B>) {
        let tuple = tuple(7);
        let found = table.find(table.hash(&tuple), &tuple).expect("it is there");
        let judged = found.progress().expect("it is there");
        assert!(table.remove_unchanged(&found, &judged, NOW));
        insert(table, &tuple, Worth::Unanswered, LONG + 1, NOW).expect("there is room");
    }
}

#[test]
fn a_deletion_and_an_insertion() {
    survives::<Delete>();
}

/// A sweep.
struct Sweep;

impl Operation for Sweep {
    const BUCKETS: usize = 2;

    fn prepare<B: Bounds>(table: &MortalTable<B>) {
        for (number, tuple) in (0..).zip(tuples(0, 1).take(SLOTS + 4)) {
            let lifetime = if number % 3 == 0 { NOW - 1 } else { LONG };
            insert(table, &tuple, Worth::Answered, lifetime, NOW - 1).expect("there is room");
        }
    }

    fn act<B: Bounds>(table: &MortalTable<B>) {
        table.sweep(0, u32::MAX, NOW, |_, _| {});
    }
}

#[test]
fn a_sweep() {
    survives::<Sweep>();
}

#[test]
fn a_flush_that_goes_on() {
    goes_on::<Flush>();
}

#[test]
fn a_sweep_that_goes_on() {
    goes_on::<Sweep>();
}
