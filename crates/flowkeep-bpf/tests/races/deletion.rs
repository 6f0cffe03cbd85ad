//! A deletion through the mapped table against packets of the connection.
//!
//! It is deleted as `flowkeep delete` does it (the entry as it was judged, which is judged anew if a
//! packet has changed it meanwhile) or as `flowkeep flush` does (whatever it is by now), while a few
//! packets of it come one after the other. A pair may end in these ways, and in no other:
//!
//! | entry | how |
//! | --- | --- |
//! | none | every packet came before the deletion, and went with it |
//! | as the last packets alone leave it, one of them or more | they came after the deletion, and began the connection anew |
//!
//! "As they leave it" is every field but the times of reports. What was deleted is never a part of
//! it, and the deletion says that it has deleted. Over all pairs, as many are removed as were
//! deleted.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use flowkeep_core::table::Statistic;

use crate::arena::{Arena, Outcome, difference};
use crate::packets::{ClientNumber, End, Frame, HANDSHAKE, Packet, View, tcp, udp};
use crate::pair::{Overlap, Pace, race};
use crate::report::{self, Report};
use End::{Client, Server};

/// Buckets of the table: so many that no connection has to make room for another.
const BUCKETS: u32 = 256;
/// Connections that are prepared at a time.
const BATCH: usize = 2_000;
/// Packets that come during a deletion.
const PACKETS: u32 = 4;
/// As long as these take, in nanoseconds.
const SPREAD: u64 = 800;
/// How often `flowkeep delete` judges anew.
const TRIES: usize = 8;

/// A connection, and the packet that comes while it is deleted.
#[derive(Clone, Copy, Debug)]
struct Scene {
    before: &'static [Packet],
    packet: Packet,
}

const SCENES: [Scene; 3] = [
    Scene {
        before: HANDSHAKE,
        packet: tcp(Client, "PA", [1, 1], 100),
    },
    Scene {
        before: HANDSHAKE,
        packet: tcp(Server, "FA", [1, 1], 100),
    },
    Scene {
        before: &[udp(Client, 11), udp(Server, 700)],
        packet: udp(Client, 11),
    },
];

/// A scene as somebody sees it.
struct Seen {
    scene: Scene,
    view: View,
    /// What some of the packets leave alone: one, two and so on.
    begun_anew: Vec<Outcome>,
}

impl Seen {
    fn new(arena: &mut Arena, scene: Scene, view: View) -> Self {
        let client = ClientNumber(0);
        let begun_anew = (1..=PACKETS).map(|packets| {
            arena.later();
            let hook = view.hook(scene.packet.from);
            arena.show(hook, &scene.packet.frame(client), packets);
            let outcome = arena.outcomes().remove(&client).expect("there is room");
            let counted = outcome
                .iter()
                .map(|(_, entry)| entry.tx.packets + entry.rx.packets);
            assert_eq!(counted.collect::<Vec<_>>(), [u64::from(packets)]);
            arena.next_batch();
            outcome
        });
        let begun_anew = begun_anew.collect();
        Self {
            scene,
            view,
            begun_anew,
        }
    }
}

/// Races the pairs.
pub(crate) fn run() {
    let _alone = report::alone();
    let Some(mut arena) = Arena::new(BUCKETS) else {
        return;
    };
    let mut seen = Vec::new();
    for scene in SCENES {
        for view in View::ALL {
            seen.push(Seen::new(&mut arena, scene, view));
        }
    }
    let mut report = Report::new("deletion against update");
    // At first both begin together: a deletion is shorter than a system call.
    let mut pace = Pace::new(SPREAD);
    let mut left = report::pairs();
    while left > 0 {
        let pairs = left.min(BATCH);
        left -= pairs;
        batch(&mut arena, &seen, pairs, &mut pace, &mut report);
    }
    report.finish();
}

/// Deletes the connection that is in this slot. Whether it did.
fn delete(arena: &Arena, index: u32, is_flushed: bool) -> bool {
    let table = arena.kernel().table();
    for _ in 0..TRIES {
        let Some((handle, _, entry)) = table.at(index) else {
            return false;
        };
        if is_flushed {
            return table.remove(&handle, arena.now());
        }
        if table.remove_unchanged(&handle, &entry.progress, arena.now()) {
            return true;
        }
    }
    false
}

fn batch(arena: &mut Arena, seen: &[Seen], pairs: usize, pace: &mut Pace, report: &mut Report) {
    let of = |pair: usize| &seen[pair % seen.len()];
    let client = |pair: usize| ClientNumber(1 + pair);
    let is_flushed = |pair: usize| pair / seen.len() % 2 == 1;
    for pair in 0..pairs {
        let Seen { scene, view, .. } = of(pair);
        for packet in scene.before {
            arena.show(view.hook(packet.from), &packet.frame(client(pair)), 1);
        }
    }
    let mut slots: HashMap<ClientNumber, u32> = HashMap::new();
    for (handle, tuple, _) in arena.kernel().table().iter() {
        let (client, _) = ClientNumber::taken_out(&tuple).expect("all have one");
        assert_eq!(slots.insert(client, handle.index()), None);
    }
    let slots: Vec<u32> = (0..pairs).map(|pair| slots[&client(pair)]).collect();
    arena.later();
    let frame = |pair| of(pair).scene.packet.frame(client(pair));
    let frames: Vec<Frame> = (0..pairs).map(frame).collect();
    let deleted: Vec<AtomicBool> = (0..pairs).map(|_| AtomicBool::new(false)).collect();
    let before = arena.statistic(Statistic::Removed);

    let deletion = |pair: usize| {
        let begun = Instant::now();
        let is_deleted = delete(arena, slots[pair], is_flushed(pair));
        deleted[pair].store(is_deleted, Relaxed);
        begun.elapsed()
    };
    let packets = |pair: usize| {
        let Seen { scene, view, .. } = of(pair);
        arena.show(view.hook(scene.packet.from), &frames[pair], PACKETS)
    };
    race(arena.processors, pairs, *pace, [&deletion, &packets]);

    let removed = arena.statistic(Statistic::Removed) - before;
    let (mut deletions, mut overlapped) = (0, 0);
    let (mut too_early, mut too_late) = (0, 0);
    let mut outcomes = arena.outcomes();
    for (pair, deleted) in deleted.iter().enumerate() {
        let Seen {
            view, begun_anew, ..
        } = of(pair);
        let outcome = outcomes.remove(&client(pair)).unwrap_or_default();
        let how = if is_flushed(pair) {
            "flushed"
        } else {
            "deleted"
        };
        if !deleted.load(Relaxed) {
            report.lost(format!("not {how} ({view:?})"));
            continue;
        }
        deletions += 1;
        if outcome.is_empty() {
            report.fine("deleted after the packets");
            too_late += 1;
            continue;
        }
        match begun_anew.iter().position(|anew| *anew == outcome) {
            Some(packets) if packets + 1 == PACKETS as usize => {
                report.fine("deleted before the packets");
                too_early += 1;
            }
            Some(_) => {
                report.fine("deleted between the packets");
                overlapped += 1;
            }
            None => {
                let differences = begun_anew.iter().map(|anew| difference(&outcome, anew));
                let fewest = differences.min_by_key(String::len).unwrap_or_default();
                report.lost(format!("{how}, and {fewest} ({view:?})"));
            }
        }
    }
    report.overlap.add(Overlap { pairs, overlapped });
    assert!(outcomes.is_empty(), "connections of nobody: {outcomes:?}");
    if !report.has_lost() {
        let miscounted = removed.abs_diff(deletions);
        report.lost_many("removals miscounted", miscounted as usize);
    }
    pace.shift(nearer(too_early, too_late, pairs));
    arena.next_batch();
}

/// How many nanoseconds later deletions have to begin to be as often too early as too late.
fn nearer(too_early: usize, too_late: usize, pairs: usize) -> i64 {
    let difference = too_early as i64 - too_late as i64;
    difference * SPREAD as i64 / pairs as i64
}
