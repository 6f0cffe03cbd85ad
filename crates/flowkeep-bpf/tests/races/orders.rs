//! Pairs of packets of one connection: whichever comes first, nothing of the other may be lost.
//!
//! What is right is what the same programs leave when the same two packets come one after the
//! other, in one order or in the other; what those leave is checked by itself.

use flowkeep_core::entry::Entry;

use crate::arena::{Arena, Outcome, difference};
use crate::packets::{ClientNumber, Frame, Packet, View};
use crate::pair::{Pace, race};
use crate::report::{self, Report};

/// Connections that are prepared at a time.
const BATCH: usize = 2_000;
/// Buckets of the table: so many that no connection has to make room for another.
const BUCKETS: u32 = 256;
/// Nanoseconds, about as many as the longest of these programs run.
const SPREAD: u64 = 400;

/// Two packets that come at the same time, and those that came before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) before: &'static [Packet],
    pub(crate) pair: [Packet; 2],
}

/// A scene as somebody sees it.
struct Seen {
    scene: Scene,
    view: View,
    /// What either order leaves.
    right: [Outcome; 2],
}

impl Seen {
    fn new(arena: &mut Arena, scene: Scene, view: View) -> Self {
        let [first, second] = scene.pair;
        let right = [[first, second], [second, first]].map(|order| {
            let client = ClientNumber(0);
            let show = |arena: &Arena, packet: &Packet| {
                arena.show(view.hook(packet.from), &packet.frame(client), 1);
            };
            scene.before.iter().for_each(|packet| show(arena, packet));
            arena.later();
            order.iter().for_each(|packet| show(arena, packet));
            let outcome = arena.outcomes().remove(&client);
            arena.next_batch();
            outcome.unwrap_or_default()
        });
        Self { scene, view, right }
    }

    /// What is wrong with what became of a connection, if anything is.
    fn wrong(&self, outcome: &Outcome) -> Option<String> {
        if self.right.contains(outcome) {
            return None;
        }
        let differences = self
            .right
            .each_ref()
            .map(|right| difference(outcome, right));
        let fewest = differences.into_iter().min_by_key(String::len);
        let [first, second] = self.scene.pair;
        let before = self.scene.before.len();
        Some(format!(
            "{} ({:?}: {first} with {second} after {before} packets)",
            fewest.unwrap_or_default(),
            self.view,
        ))
    }
}

/// Races the pairs of each scene as each view sees them. Each order of a pair has to leave one
/// entry, of which `right` makes sure that it is as it should be.
pub(crate) fn run(what: &'static str, scenes: &[Scene], right: impl Fn(&Scene, View, &Entry)) {
    let _alone = report::alone();
    let Some(mut arena) = Arena::new(BUCKETS) else {
        return;
    };
    let mut seen = Vec::new();
    for &scene in scenes {
        for view in View::ALL {
            let new = Seen::new(&mut arena, scene, view);
            for outcome in &new.right {
                let [(_, entry)] = &outcome[..] else {
                    panic!("one after the other they leave {outcome:?}");
                };
                counts_all(&scene, view, entry);
                right(&scene, view, entry);
            }
            seen.push(new);
        }
    }
    let mut report = Report::new(what);
    let mut left = report::pairs();
    let mut pace = Pace::new(SPREAD);
    while left > 0 {
        let pairs = left.min(BATCH);
        left -= pairs;
        batch(&mut arena, &seen, pairs, &mut pace, &mut report);
    }
    report.finish();
}

/// Every packet is counted, on its sender's side.
fn counts_all(scene: &Scene, view: View, entry: &Entry) {
    let all = || scene.before.iter().chain(&scene.pair);
    let (packets, bytes) = (
        entry.tx.packets + entry.rx.packets,
        entry.tx.bytes + entry.rx.bytes,
    );
    assert_eq!(packets, all().count() as u64, "{scene:?} {view:?}");
    assert_eq!(bytes, all().map(Packet::length).sum::<u64>());
}

fn batch(arena: &mut Arena, seen: &[Seen], pairs: usize, pace: &mut Pace, report: &mut Report) {
    let of = |pair: usize| &seen[pair % seen.len()];
    let client = |pair: usize| ClientNumber(1 + pair);
    for pair in 0..pairs {
        let Seen { scene, view, .. } = of(pair);
        for packet in scene.before {
            arena.show(view.hook(packet.from), &packet.frame(client(pair)), 1);
        }
    }
    arena.later();
    let frames = [0, 1].map(|side| -> Vec<Frame> {
        let frame = |pair| of(pair).scene.pair[side].frame(client(pair));
        (0..pairs).map(frame).collect()
    });
    let sides = [0, 1].map(|side| {
        let (arena, frames) = (&*arena, &frames[side]);
        move |pair: usize| {
            let Seen { scene, view, .. } = of(pair);
            arena.show(view.hook(scene.pair[side].from), &frames[pair], 1)
        }
    });
    let raced = race(arena.processors, pairs, *pace, [&sides[0], &sides[1]]);
    report.overlap.add(raced.overlap);
    pace.shift(raced.later);
    let mut outcomes = arena.outcomes();
    for pair in 0..pairs {
        let outcome = outcomes.remove(&client(pair)).unwrap_or_default();
        if let Some(how) = of(pair).wrong(&outcome) {
            report.lost(how);
        }
    }
    assert!(outcomes.is_empty(), "connections of nobody: {outcomes:?}");
    arena.next_batch();
}
