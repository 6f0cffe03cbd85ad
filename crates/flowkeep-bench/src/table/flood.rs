//! A flood of SYNs from random sources, against a table that is nearly full of idle connections.

use std::time::Instant as Clock;

use anyhow::{Context, Result};
use flowkeep::memory::Region;
use flowkeep_core::packet::tcp;
use flowkeep_core::rules::Default as Rules;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{BucketTable, Statistic, Table};
use flowkeep_core::tracker::{Direction, Request, Status, Tracker};
use flowkeep_core::tuple::Tuple;
use serde::Serialize;

use super::input::{LENGTH, Random, at, key, packet};
use super::ours::{sets_for, table};

const SLOTS: u32 = 65_536;
const IDLE: u32 = 60_000;
/// Connections that somebody opens in the midst of the flood.
const OPENED: u32 = 500;
/// SYNs of the flood between two packets of a handshake: a round trip of a fifth of a millisecond
/// at the flood's million a second.
const BETWEEN: u32 = 200;

/// The outcome.
#[derive(Debug, Serialize)]
pub(super) struct Flood {
    pub(super) slots: u64,
    /// Answered connections before the flood.
    pub(super) idle: u32,
    pub(super) syns: u32,
    /// Of the idle ones, how many are there after it.
    pub(super) survived: u32,
    /// Nanoseconds that a SYN of the flood takes: its look-up and its creation.
    pub(super) ns_a_syn: f64,
    /// SYNs of the flood that got no entry, because both their buckets hold answered connections.
    pub(super) refused: u64,
    /// SYNs of the flood that made room for others of it.
    pub(super) replaced: u64,
    /// Connections that were opened in the midst of the flood.
    pub(super) opened: u32,
    /// Of these, how many were answered in time and are there after it.
    pub(super) established: u32,
    /// Of these, how many found no slot that may be given up.
    pub(super) opened_refused: u32,
}

/// The packets of a flood and of a few connections amid it.
struct Scene<'t> {
    tracker: Tracker<'t, Rules, BucketTable<Region<false>>>,
    number: u64,
}

impl Scene<'_> {
    /// A packet that creates an entry if it is new. False if that is refused.
    fn send(&mut self, tuple: Tuple, tcp_flags: u8, direction: Direction) -> Option<Status> {
        let packet = packet(tuple, tcp_flags);
        let now = at(self.number);
        self.number += 1;
        let request = Request::new(direction, LENGTH, now);
        let verdict = self.tracker.track_packet(&packet, &request);
        verdict.reason.is_none().then_some(verdict.status)
    }

    fn flood(&mut self, syns: u32, random: &mut Random) {
        for _ in 0..syns {
            // Whether there is room for it is seen from the table's counters.
            let _ = self.send(random.tuple(), tcp::SYN, Direction::Egress);
        }
    }
}

/// Runs the flood: `syns` from random sources, and among the last of them a few connections that
/// are answered.
pub(super) fn run(syns: u32, random: &mut Random) -> Result<Flood> {
    eprintln!("flood: {syns} SYNs");
    let settings = Settings::default();
    let table = table::<false>(sets_for(SLOTS), random)?;
    let mut scene = Scene {
        tracker: Tracker::new(&settings, &table),
        number: 0,
    };
    let handshake = [
        (tcp::SYN, Direction::Egress),
        (tcp::SYN | tcp::ACK, Direction::Ingress),
        (tcp::ACK, Direction::Egress),
    ];
    let along = |tuple: Tuple, direction| match direction {
        Direction::Ingress => tuple.swapped(),
        _ => tuple,
    };
    let idle: Vec<Tuple> = (0..IDLE).map(|_| random.tuple()).collect();
    for &tuple in &idle {
        for (flags, direction) in handshake {
            scene
                .send(along(tuple, direction), flags, direction)
                .context("a table with room refuses a connection")?;
        }
    }
    let start = Clock::now();
    scene.flood(syns, random);
    let ns_a_syn = start.elapsed().as_nanos() as f64 / f64::from(syns);

    let statistic = |statistic| table.memory().header().statistic(statistic);
    let refused = statistic(Statistic::Refused);
    let replaced = statistic(Statistic::EvictedUnassured);
    let (mut answered, mut opened_refused) = (Vec::new(), 0);
    for _ in 0..OPENED {
        let tuple = random.tuple();
        let mut known = true;
        for (flags, direction) in handshake {
            match scene.send(along(tuple, direction), flags, direction) {
                None => {
                    opened_refused += 1;
                    known = false;
                    break;
                }
                // The handshake's later packets should find what the first one created.
                Some(Status::New) => known &= flags == tcp::SYN,
                Some(_) => {}
            }
            scene.flood(BETWEEN, random);
        }
        if known {
            answered.push(tuple);
        }
    }
    scene.flood(syns / 10, random);
    let there = |tuples: &[Tuple]| {
        let there = |tuple: &&Tuple| {
            let key = key(**tuple);
            table.find(table.hash(&key), &key).is_some()
        };
        tuples.iter().filter(there).count() as u32
    };
    Ok(Flood {
        slots: table.capacity(),
        idle: IDLE,
        syns,
        survived: there(&idle),
        ns_a_syn,
        refused,
        replaced,
        opened: OPENED,
        established: there(&answered),
        opened_refused,
    })
}
