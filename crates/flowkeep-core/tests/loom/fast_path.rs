//! The look at one slot alone: what it finds is of one owner, who was there all the time.

use flowkeep_core::table::{EntryHandle, Seed, Table};
use flowkeep_core::tuple::Tuple;

use crate::common::peek::slot_of;
use crate::common::{Worth, entry};
use crate::small::{NOW, SEED, first_at_home, insert, settled, table, tuples};
use crate::{PREEMPTIONS_READING_ALL, join, mixed, model, model_within, spawn};

/// As [`torn`](crate::torn), and the tuple that is made of two has the first slot, where the fast
/// path looks.
fn torn_at_home() -> (Tuple, Tuple, Tuple) {
    let seed = Seed::from_u64(SEED);
    let mut tuples = tuples(1, 0, 0);
    let a = tuples.next().expect("there is no end of them");
    let b = tuples.find(|&b| {
        let mixed = mixed(a, b);
        seed.hash(&mixed) as u8 == seed.hash(&a) as u8 && slot_of(&seed, &mixed) == 0
    });
    let b = b.expect("there is no end of them");
    (a, b, mixed(a, b))
}

#[test]
fn the_fast_path_finds_no_key_made_of_two() {
    let (a, b, torn) = torn_at_home();
    for is_first in [true, false] {
        let other = torn.reversed();
        let [first, second] = if is_first {
            [torn, other]
        } else {
            [other, torn]
        };
        model(move || {
            let table = table(1, 1);
            insert(&table, &a, 1, Worth::Unanswered, NOW).expect("empty");
            let reader = spawn(&table, move |table| {
                let found = table.probe_home(table.hash(&torn), &first, &second);
                found.is_some()
            });
            insert(&table, &b, 2, Worth::Unanswered, NOW).expect("an unanswered one makes room");
            assert!(!join(reader), "found what was never stored");
            settled(&table);
        });
    }
}

/// A handle that was made for the next owner of the slot would read that one's entry.
#[test]
fn what_the_fast_path_finds_is_its_owner_s() {
    let a = first_at_home();
    let b = tuples(1, 0, 0).find(|b| *b != a);
    let b = b.expect("there is no end of them");
    model_within(PREEMPTIONS_READING_ALL, move || {
        let table = table(1, 1);
        insert(&table, &a, 1, Worth::Unanswered, NOW).expect("empty");
        let reader = spawn(&table, move |table| {
            let found = table.probe_home(table.hash(&a), &a, &a.reversed());
            if let Some(entry_of_a) = found.and_then(|found| found.handle.entry()) {
                assert_eq!(entry_of_a, entry(1, Worth::Unanswered, NOW));
            }
        });
        insert(&table, &b, 2, Worth::Unanswered, NOW).expect("an unanswered one makes room");
        join(reader);
        assert_eq!(settled(&table), [(b, entry(2, Worth::Unanswered, NOW))]);
    });
}
