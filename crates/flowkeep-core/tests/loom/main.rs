//! Model checking of the table's concurrency protocol, which `table/sets.rs` states: every
//! interleaving of a few threads' steps, and every store that a relaxed load may see.
//!
//! A model's threads are preempted at most [`PREEMPTIONS`] times, enough for errors of this kind
//! (`LOOM_MAX_PREEMPTIONS` sets another bound). `cargo xtask weaken` takes fences, second looks and
//! compare-and-swaps out of the table, one at a time, and makes sure that a model fails. Run them in
//! release.

#![cfg(not(miri))]

#[path = "../common/mod.rs"]
mod common;
mod fast_path;
mod packets;
mod small;

use std::sync::Arc;

use common::{Worth, at, entry};
use flowkeep_core::entry::{Entry, EntryFlags};
use flowkeep_core::error::Refusal;
use flowkeep_core::table::{Bounds, EntryHandle, Found, Header, Seed, Table};
use flowkeep_core::tracker::Direction;
use flowkeep_core::tuple::Tuple;
use loom::thread::{self, JoinHandle};
use small::{Checked, NOW, SmallTable, find, first_at_home, insert, is, settled, table, tuples};

const PREEMPTIONS: usize = if cfg!(debug_assertions) { 1 } else { 2 };
/// For models whose reader reads all words of a record: each doubles the number of runs.
const PREEMPTIONS_READING_ALL: usize = 1;

fn model(check: impl Fn() + Sync + Send + 'static) {
    model_within(PREEMPTIONS, check);
}

fn model_within(preemptions: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = 20_000;
    builder.check(check);
}

fn spawn<T: 'static, B: Bounds>(
    table: &Arc<SmallTable<B>>,
    run: impl FnOnce(&SmallTable<B>) -> T + 'static,
) -> JoinHandle<T> {
    let table = Arc::clone(table);
    thread::spawn(move || run(&table))
}

fn join<T>(handle: JoinHandle<T>) -> T {
    handle.join().expect("it would have failed the model")
}

/// Two tuples of the only set of a table.
fn pair() -> (Tuple, Tuple) {
    let mut tuples = tuples(1, 0, 0);
    let mut next = || tuples.next().expect("there is no end of them");
    (next(), next())
}

/// Two tuples `a` and `b`, and one made of the addresses of `a` and all else of `b`, all with the
/// same tag.
fn torn() -> (Tuple, Tuple, Tuple) {
    let a = pair().0;
    let hash = |tuple: &Tuple| Seed::from_u64(small::SEED).hash(tuple) as u8;
    let b = tuples(1, 0, 0)
        .skip(1)
        .find(|&b| hash(&mixed(a, b)) == hash(&a))
        .expect("there is no end of them");
    (a, b, mixed(a, b))
}

/// The tuple that is made of the addresses of the one and all else of the other.
fn mixed(a: Tuple, b: Tuple) -> Tuple {
    b.with_addresses(a.destination(), a.source())
}

/// What a reader makes of a handle: the entry, if it is still there.
fn read(table: &SmallTable, tuple: &Tuple) -> Option<Entry> {
    find(table, tuple).and_then(|handle| handle.entry())
}

#[test]
fn no_reader_finds_a_key_made_of_two() {
    let (a, b, torn) = torn();
    model(move || {
        let table = table(1, 1);
        insert(&table, &a, 1, Worth::Unanswered, NOW).expect("empty");
        let reader = spawn(&table, move |table| find(table, &torn).is_some());
        insert(&table, &b, 2, Worth::Unanswered, NOW).expect("an unanswered one makes room");
        assert!(!join(reader), "found what was never stored");
        settled(&table);
    });
}

#[test]
fn what_is_read_under_a_key_was_written_for_its_owner() {
    let (a, b) = pair();
    model_within(PREEMPTIONS_READING_ALL, move || {
        let table = table(1, 1);
        insert(&table, &a, 1, Worth::Unanswered, NOW).expect("empty");
        let reader = spawn(&table, move |table| {
            let Some(Found {
                handle,
                is_first: true,
            }) = table.probe(table.hash(&a), &a, &a.reversed())
            else {
                return;
            };
            if let Some(tuple) = handle.tuple() {
                assert_eq!(tuple, a);
            }
            if let Some(found) = handle.entry() {
                assert_eq!(found, entry(1, Worth::Unanswered, NOW));
            }
        });
        insert(&table, &b, 2, Worth::Unanswered, NOW).expect("an unanswered one makes room");
        join(reader);
        assert_eq!(settled(&table), [(b, entry(2, Worth::Unanswered, NOW))]);
    });
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes a minute; run it in release")]
fn what_is_listed_was_written_for_one_owner() {
    let (a, b) = pair();
    model_within(PREEMPTIONS_READING_ALL, move || {
        let table = table(1, 1);
        insert(&table, &a, 1, Worth::Unanswered, NOW).expect("empty");
        let reader = spawn(&table, move |table| {
            for (_, tuple, found) in table.iter() {
                let number = if tuple == a { 1 } else { 2 };
                assert!(tuple == a || tuple == b);
                assert_eq!(found, entry(number, Worth::Unanswered, NOW));
            }
        });
        insert(&table, &b, 2, Worth::Unanswered, NOW).expect("an unanswered one makes room");
        join(reader);
    });
}

#[test]
fn a_renewal_is_read_whole_or_not_at_all() {
    let (a, _) = pair();
    model_within(PREEMPTIONS_READING_ALL, move || {
        let table = table(1, 1);
        insert(&table, &a, 1, Worth::Answered, NOW).expect("empty");
        let reader = spawn(&table, move |table| {
            if let Some(found) = read(table, &a) {
                let number = found.source_identity;
                assert_eq!(found, entry(number, Worth::Answered, NOW));
            }
        });
        insert(&table, &a, 2, Worth::Answered, NOW).expect("a renewal needs no room");
        join(reader);
        assert_eq!(settled(&table), [(a, entry(2, Worth::Answered, NOW))]);
    });
}

#[test]
fn two_insertions_of_one_tuple_leave_one_entry() {
    let (a, _) = pair();
    model(move || {
        let table = table(1, 2);
        let other = spawn(&table, move |table| {
            insert(table, &a, 1, Worth::Answered, NOW).is_ok()
        });
        let stored = insert(&table, &a, 2, Worth::Answered, NOW).is_ok();
        let either = join(other) || stored;
        let contents = settled(&table);
        assert!(either && contents.len() == 1);
        let (tuple, found) = contents[0];
        assert_eq!(tuple, a);
        assert_eq!(found, entry(found.source_identity, Worth::Answered, NOW));
    });
}

#[test]
fn a_glance_never_passes_over_what_was_seen_to_take_precedence() {
    let a = first_at_home();
    let twin = a.reversed();
    model(move || {
        let table = table(1, 2);
        insert(&table, &a, 1, Worth::Answered, NOW).expect("empty");
        let reader = spawn(&table, move |table| {
            let there = find(table, &twin).is_some();
            let glance = table.probe_home(table.hash(&a), &twin, &a);
            assert!(!there || glance.is_none(), "the first key is there");
        });
        insert(&table, &twin, 2, Worth::Answered, NOW).expect("there is a handle left");
        join(reader);
        assert_eq!(settled(&table).len(), 2);
    });
}

#[test]
fn twins_that_come_at_once_know_of_each_other() {
    let a = first_at_home();
    for twin in [a.reversed(), a.swapped()] {
        model(move || {
            let table = table(1, 2);
            let other = spawn(&table, move |table| {
                insert(table, &twin, 2, Worth::Answered, NOW).is_ok()
            });
            let stored = insert(&table, &a, 1, Worth::Answered, NOW).is_ok();
            let stored = usize::from(stored) + usize::from(join(other));
            assert_eq!(settled(&table).len(), stored);
        });
    }
}

#[test]
fn a_touch_never_takes_a_twin_s_mark_away() {
    let a = first_at_home();
    let twin = a.reversed();
    model(move || {
        let table = table(1, 2);
        insert(&table, &a, 1, Worth::Unanswered, NOW).expect("empty");
        let toucher = spawn(&table, move |table| refresh(table, &a, NOW + 60));
        insert(&table, &twin, 2, Worth::Answered, NOW).expect("there is a handle left");
        join(toucher);
        assert_eq!(settled(&table).len(), 2);
        // As it is stored anew, its twin still has to be known.
        insert(&table, &a, 3, Worth::Answered, NOW).expect("it is there");
        assert_eq!(settled(&table).len(), 2);
    });
}

#[test]
fn two_insertions_from_different_sets_never_share_a_slot() {
    let a = tuples(2, 0, 1).next().expect("there is no end of them");
    let b = tuples(2, 1, 0).next().expect("there is no end of them");
    model(move || {
        let table = table(2, 1);
        // One slot is left, and both may take it.
        let mut resident = tuples(2, 0, 1).skip(1);
        let resident = resident.next().expect("there is no end of them");
        insert(&table, &resident, 9, Worth::Answered, NOW).expect("empty");
        let other = spawn(&table, move |table| {
            insert(table, &b, 2, Worth::Answered, NOW).map(|_| ())
        });
        let stored = insert(&table, &a, 1, Worth::Answered, NOW).map(|_| ());
        let results = [stored, join(other)];
        let contents = settled(&table);
        assert!(contents.contains(&(resident, entry(9, Worth::Answered, NOW))));
        assert_eq!(contents.len(), 2, "one of the two got the handle");
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        // The other one's entry, while it is being written, may be one that can go.
        assert!(
            results
                .iter()
                .any(|result| { matches!(result, Err(Refusal::Full | Refusal::Contended)) })
        );
        for (result, (tuple, number)) in results.into_iter().zip([(a, 1), (b, 2)]) {
            let there = contents.contains(&(tuple, entry(number, Worth::Answered, NOW)));
            assert_eq!(there, result.is_ok());
        }
    });
}

#[test]
fn a_sweep_never_removes_what_was_refreshed() {
    let (a, _) = pair();
    model(move || {
        let table = table(1, 1);
        insert(&table, &a, 1, Worth::Answered, NOW).expect("empty");
        let sweeper = spawn(&table, |table| {
            table.sweep(0, u32::MAX, NOW + 1, |_, _| {}).removed
        });
        let refreshed = refresh(&table, &a, NOW + 60);
        let removed = join(sweeper);
        assert_eq!(removed, u64::from(!refreshed), "one of the two was first");
        let contents = settled(&table);
        assert_eq!(contents.len(), usize::from(refreshed));
        if let [(_, found)] = contents[..] {
            assert!(is(&found, 1));
            assert_eq!(found.progress.lifetime, NOW + 60);
        }
    });
}

/// Refreshes an entry as a look-up does, in one try.
fn refresh(table: &SmallTable, tuple: &Tuple, lifetime: u32) -> bool {
    find(table, tuple).is_some_and(|handle| {
        handle.progress().is_some_and(|before| {
            let mut after = before;
            after.lifetime = lifetime;
            after.entry_flags.insert(EntryFlags::SEEN_NON_SYN);
            after.entry_flags.insert(EntryFlags::REPLIED);
            handle.advance(&before, &after)
        })
    })
}

#[test]
fn an_insertion_never_evicts_what_was_answered_nor_is_it_touched_by_who_came_before() {
    let (a, b) = pair();
    model(move || {
        let table = table(1, 1);
        insert(&table, &a, 1, Worth::Unanswered, NOW).expect("empty");
        let answerer = spawn(&table, move |table| refresh(table, &a, NOW + 60));
        let stored = insert(&table, &b, 2, Worth::Unanswered, NOW).map(|_| ());
        let answered = join(answerer);
        let contents = settled(&table);
        assert_eq!(contents.len(), 1);
        let (tuple, found) = contents[0];
        if answered {
            assert_eq!(stored, Err(Refusal::Full));
            assert!(tuple == a && is(&found, 1));
            assert_eq!(found.progress.lifetime, NOW + 60);
        } else {
            assert_eq!(stored, Ok(()));
            assert_eq!((tuple, found), (b, entry(2, Worth::Unanswered, NOW)));
        }
    });
}

#[test]
fn an_expired_entry_that_is_refreshed_is_not_collected() {
    let (a, b) = pair();
    model(move || {
        let table = table(1, 2);
        // A second earlier, so that the second insertion looks for expired ones.
        let expiring = entry(1, Worth::Answered, NOW - 1);
        table
            .insert(table.hash(&a), &a, &expiring, at(NOW - 1))
            .expect("empty");
        let refresher = spawn(&table, move |table| refresh(table, &a, NOW + 60));
        insert(&table, &b, 2, Worth::Unanswered, NOW).expect("there is a handle left");
        let refreshed = join(refresher);
        let contents = settled(&table);
        assert_eq!(contents.iter().any(|(tuple, _)| *tuple == a), refreshed);
        assert!(contents.contains(&(b, entry(2, Worth::Unanswered, NOW))));
    });
}

#[test]
fn a_late_packet_changes_only_counters_and_what_is_reported() {
    let (a, b) = pair();
    model(move || {
        let table = table(1, 1);
        insert(&table, &a, 1, Worth::Unanswered, NOW).expect("empty");
        let counter = spawn(&table, move |table| {
            if let Some(handle) = find(table, &a) {
                handle.count(Direction::Egress, 1, 100, at(NOW));
            }
        });
        insert(&table, &b, 2, Worth::Unanswered, NOW).expect("an unanswered one makes room");
        join(counter);
        let contents = settled(&table);
        let (tuple, found) = contents[0];
        assert_eq!(tuple, b);
        // In the words that both write the model checker may show what an addition made of the
        // value before the store, which no machine does: `table/handles.rs` and the races in the
        // kernel look at those.
        let mut written = entry(2, Worth::Unanswered, NOW);
        written.progress.tx_flags = found.progress.tx_flags;
        (written.tx, written.last_seen) = (found.tx, found.last_seen);
        assert_eq!(found, written);
    });
}

#[test]
fn an_entry_is_removed_once() {
    let (a, _) = pair();
    model(move || {
        let table = table(1, 1);
        insert(&table, &a, 1, Worth::Answered, NOW).expect("empty");
        let remove = |table: &SmallTable, a: &Tuple| {
            find(table, a).is_some_and(|found| table.remove(&found, NOW))
        };
        let other = spawn(&table, move |table| remove(table, &a));
        let removed = remove(&table, &a);
        assert!(removed != join(other), "exactly one did");
        assert_eq!(settled(&table), []);
    });
}

#[test]
fn a_removal_reaches_only_the_entry_that_was_found() {
    let (a, b) = pair();
    model(move || {
        let table = table(1, 1);
        insert(&table, &a, 1, Worth::Unanswered, NOW).expect("empty");
        let remover = spawn(&table, move |table| {
            find(table, &a).is_some_and(|found| table.remove(&found, NOW))
        });
        let stored = insert(&table, &b, 2, Worth::Answered, NOW).map(|_| ());
        join(remover);
        let contents = settled(&table);
        // The slot that is being freed is neither free nor anybody's to evict, and may be when the
        // inserter comes again.
        assert!(matches!(stored, Ok(()) | Err(Refusal::Contended)));
        let left = stored.map_or(vec![], |()| vec![(b, entry(2, Worth::Answered, NOW))]);
        assert_eq!(contents, left);
    });
}

#[test]
fn an_entry_is_found_while_its_neighbours_come_and_go() {
    let mut tuples = tuples(1, 0, 0);
    let [a, b, c] = std::array::from_fn(|_| tuples.next().expect("there is no end of them"));
    model(move || {
        let table = table(1, 3);
        insert(&table, &c, 3, Worth::Answered, NOW).expect("empty");
        insert(&table, &a, 1, Worth::Answered, NOW).expect("there are slots left");
        let reader = spawn(&table, move |table| read(table, &a));
        let neighbour = find(&table, &c).expect("it is there");
        assert!(table.remove(&neighbour, NOW));
        insert(&table, &b, 2, Worth::Answered, NOW).expect("there are slots left");
        assert_eq!(join(reader), Some(entry(1, Worth::Answered, NOW)));
        assert_eq!(settled(&table).len(), 2);
    });
}

/// A table of two sets with two slots each, full of connections whose first set is the same.
/// Those that are there, and those that are displaced.
fn crowded() -> (Arc<SmallTable>, [Tuple; 2], [Tuple; 2]) {
    let table = table(2, 2);
    for (number, tuple) in (0..4).zip(tuples(2, 0, 1)) {
        insert(&table, &tuple, number, Worth::Answered, NOW).expect("there are slots left");
    }
    let stored: Vec<Tuple> = table.iter().map(|(_, tuple, _)| tuple).collect();
    let [a, b, c, d] = stored[..] else {
        panic!("four were stored");
    };
    (table, [a, b], [c, d])
}

#[test]
fn a_displaced_entry_is_found_while_others_come_and_go() {
    model(|| {
        let (table, [home, _], [a, other]) = crowded();
        let reader = spawn(&table, move |table| read(table, &a).is_some());
        for tuple in [other, home] {
            let neighbour = find(&table, &tuple).expect("it is there");
            assert!(table.remove(&neighbour, NOW));
        }
        assert!(join(reader));
        assert_eq!(settled(&table).len(), 2);
    });
}

#[test]
fn neighbours_that_go_at_once_take_only_their_own_tags_and_counts() {
    model(|| {
        let (table, _, [a, b]) = crowded();
        let remove = |table: &SmallTable, tuple: &Tuple| {
            table.remove(
                &find(table, tuple).expect("only this thread removes it"),
                NOW,
            )
        };
        let other = spawn(&table, move |table| remove(table, &a));
        assert!(remove(&table, &b) && join(other));
        assert_eq!(settled(&table).len(), 2);
    });
}

#[test]
fn displaced_entries_are_counted_however_they_go() {
    let mut tuples = tuples(2, 0, 1);
    let [home, a, b] = std::array::from_fn(|_| tuples.next().expect("there is no end of them"));
    model(move || {
        let table = table(2, 1);
        insert(&table, &home, 0, Worth::Answered, NOW).expect("empty");
        insert(&table, &a, 1, Worth::Unanswered, NOW).expect("there is a handle left");
        let remover = spawn(&table, move |table| {
            find(table, &a).is_some_and(|found| table.remove(&found, NOW))
        });
        let stored = insert(&table, &b, 2, Worth::Unanswered, NOW).is_ok();
        join(remover);
        // Consistent is what this is about; `settled` counts.
        assert_eq!(settled(&table).len(), 1 + usize::from(stored));
    });
}

#[test]
fn displaced_entries_are_counted_when_two_inserters_meet() {
    let mut displaced = tuples(2, 0, 1);
    let [home, a, b] = std::array::from_fn(|_| displaced.next().expect("there is no end of them"));
    let c = tuples(2, 1, 0).next().expect("there is no end of them");
    model(move || {
        let table = table(2, 1);
        insert(&table, &home, 0, Worth::Answered, NOW).expect("empty");
        insert(&table, &a, 1, Worth::Unanswered, NOW).expect("there is a handle left");
        // Both want the slot of `a`: one is displaced there, the other at home.
        let other = spawn(&table, move |table| {
            insert(table, &c, 3, Worth::Answered, NOW).is_ok()
        });
        insert(&table, &b, 2, Worth::Answered, NOW)
            .map(|_| ())
            .unwrap_or_default();
        join(other);
        assert_eq!(settled(&table).len(), 2);
    });
}

#[test]
fn whoever_finds_a_header_finds_all_of_it() {
    let seed = Seed::from_u64(7);
    model(move || {
        let header: Arc<Header<Checked>> = Arc::default();
        let other = Arc::clone(&header);
        let reader = thread::spawn(move || {
            if let Ok((buckets, seed)) = other.read() {
                assert_eq!((buckets, seed), (3, Seed::from_u64(7)));
                assert_eq!(other.ticks_per_second(), 1000);
            }
        });
        header.describe(3, 1000, &seed);
        join(reader);
    });
}
