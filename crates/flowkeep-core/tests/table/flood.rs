//! A flood of SYNs churns unanswered slots and nothing else.

use flowkeep_core::packet::{Layout, Packet, tcp};
use flowkeep_core::rules::Default as Rules;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{BucketTable, HostBounds, SLOTS, Table};
use flowkeep_core::tracker::{Direction, Request, Status, Tracker};
use flowkeep_core::tuple::Tuple;

use crate::common::memory::{Owned, plain_table};
use crate::common::peek::sets_of;
use crate::common::{at, random_tuple, tuple};

const SETS: usize = 1366;
const KNOWN: u32 = 60_000;
/// SYNs of the flood a second.
const RATE: u64 = 100_000;
/// One SYN of so many is of somebody who goes on to answer.
const HONEST: u64 = 1_000;

type OwnedTable = BucketTable<Owned<std::sync::atomic::AtomicU64>>;
type FloodTracker<'a> = Tracker<'a, Rules, OwnedTable>;

fn packet(tuple: Tuple, tcp_flags: u8) -> Packet {
    Packet {
        tuple,
        tcp_flags,
        quote: None,
        icmp: [0; 2],
        layout: Layout::default(),
        later_fragment: false,
    }
}

/// Tracks a packet. `None` if it was refused.
fn show(tracker: &FloodTracker<'_>, tuple: Tuple, tcp_flags: u8, now: u32) -> Option<Status> {
    let request = Request::new(Direction::Forwarded, 40, at(now));
    let packet = packet(tuple, tcp_flags);
    let verdict = tracker.track_packet(&packet, &request);
    verdict.reason.is_none().then_some(verdict.status)
}

/// A handshake. False if the table refused the connection.
fn connect(tracker: &FloodTracker<'_>, tuple: Tuple, now: u32) -> bool {
    if show(tracker, tuple, tcp::SYN, now).is_none() {
        return false;
    }
    let answer = show(tracker, tuple.swapped(), tcp::SYN | tcp::ACK, now);
    assert_eq!(answer, Some(Status::Reply));
    let acknowledgment = show(tracker, tuple, tcp::ACK, now);
    assert_eq!(acknowledgment, Some(Status::Established));
    true
}

/// Whether every slot that a tuple may take holds an answered connection.
fn surrounded(table: &OwnedTable, tuple: &Tuple) -> bool {
    let (first, second, _) = sets_of(&table.memory().seed, SETS as u32, tuple);
    let (mut answered, mut slots) = (0, 0);
    for bucket in [first, second] {
        slots += SLOTS;
        answered += table
            .iter()
            .skip_while(|(handle, ..)| handle.index() / (SLOTS as u32) < bucket)
            .take_while(|(handle, ..)| handle.index() / SLOTS as u32 == bucket)
            .filter(|(_, _, entry)| entry.progress.entry_flags.assured())
            .count();
    }
    answered == slots
}

#[test]
#[cfg_attr(miri, ignore = "too many packets for an interpreter")]
fn answered_connections_survive_a_flood_and_new_ones_get_in() {
    let flood = match (std::env::var_os("FLOWKEEP_LONG"), cfg!(debug_assertions)) {
        (Some(_), false) => 10_000_000,
        _ => 500_000,
    };
    let settings = Settings::default();
    let table = plain_table::<HostBounds>(SETS, 1);
    let tracker = FloodTracker::new(&settings, &table);
    for number in 0..KNOWN {
        assert!(connect(&tracker, tuple(number), 1), "connection {number}");
    }

    let mut random = fastrand::Rng::with_seed(1);
    let (mut admitted, mut refused) = (Vec::new(), 0);
    for sent in 0..flood {
        let now = 1 + (sent / RATE) as u32;
        let syn = random_tuple(&mut random);
        show(&tracker, syn, tcp::SYN, now);
        if sent % HONEST == 0 {
            let honest = tuple(KNOWN + (sent / HONEST) as u32);
            if connect(&tracker, honest, now) {
                admitted.push(honest);
            } else {
                assert!(
                    surrounded(&table, &honest),
                    "refused, though there was room"
                );
                refused += 1;
            }
        }
    }
    println!(
        "{flood} SYNs: {} connections got in, {refused} did not",
        admitted.len()
    );
    assert!(!admitted.is_empty());
    let known = (0..KNOWN).map(tuple).chain(admitted);
    for (number, tuple) in known.enumerate() {
        // An entry is stored under what comes first of it, ports as they stand.
        let stored = tuple.swapped();
        let found = table.find(table.hash(&stored), &stored);
        assert!(found.is_some(), "connection {number} was evicted");
    }
}
