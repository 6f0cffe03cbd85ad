//! Look-ups a second on one thread, of ours and of others.

use std::time::Instant;

use anyhow::{Result, ensure};
use dashmap::DashMap;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{SLOTS, table_bytes};
use flowkeep_core::tuple::Tuple;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use serde::Serialize;

use super::chase::Chase;
use super::contender::{Contender, Tally};
use super::input::{Connections, Random, Sent};
use super::others::{Keys, Other};
use super::ours::{Ours, filled};
use super::touch::SharedEntry;
use crate::statistics::Spread;

/// Sizes of the measurement.
pub(super) struct Size<'a> {
    pub(super) connections: u32,
    /// Look-ups that a contender is timed over in each round. A quarter as many go before, so
    /// that the caches hold what they can.
    pub(super) lookups: usize,
    pub(super) rounds: u32,
    /// Only contenders whose name and use contain this.
    pub(super) only: &'a str,
}

/// The outcome.
#[derive(Debug, Serialize, Default)]
pub(super) struct Speed {
    pub(super) connections: u32,
    pub(super) lookups_a_round: usize,
    pub(super) rounds: u32,
    /// Bytes of our table.
    pub(super) table_bytes: u64,
    /// Nanoseconds of one random access to as much memory.
    pub(super) memory_access_ns: Spread,
    pub(super) tables: Vec<Row>,
    pub(super) ratios: Vec<Ratio>,
}

/// One contender.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) table: &'static str,
    pub(super) used: &'static str,
    /// Nanoseconds a look-up.
    pub(super) ns: Spread,
    /// Of the median.
    pub(super) lookups_per_second: f64,
}

/// How many times as fast as another one contender is, round by round.
#[derive(Debug, Serialize)]
pub(super) struct Ratio {
    pub(super) what: String,
    pub(super) times: Spread,
    /// At least.
    pub(super) wanted: Option<f64>,
}

/// What a contender is to the ratios.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Plain,
    Batch16,
    Batch32,
    /// Ours, for memory that is shared.
    Shared,
    Two,
    Sorted,
}

struct Entrant<'t> {
    table: &'static str,
    used: &'static str,
    role: Role,
    contender: Box<dyn Contender + 't>,
    /// Nanoseconds a look-up, by round.
    ns: Vec<f64>,
}

/// Measures everybody in turn, round after round.
pub(super) fn run(size: &Size<'_>, random: &mut Random) -> Result<Speed> {
    let settings = Settings::default();
    let connections = Connections::random(size.connections, random);
    let own = filled::<false>(&connections, &settings, random)?;
    let shared = filled::<true>(&connections, &settings, random)?;
    let bytes = table_bytes((own.capacity() / SLOTS as u64) as u32);
    let mut chase = Chase::over(bytes, random);

    let both = [Keys::Two, Keys::Sorted];
    let papayas = both.map(|keys| papaya(keys, &connections, &settings));

    let mut entrants: Vec<Entrant<'_>> = Vec::new();
    for (batch, used, role) in [
        (1, "one by one", Role::Plain),
        (16, "batches of 16", Role::Batch16),
        (32, "batches of 32", Role::Batch32),
    ] {
        let (own, shared) = (
            Ours {
                table: &own,
                settings: &settings,
                batch,
            },
            Ours {
                table: &shared,
                settings: &settings,
                batch,
            },
        );
        entrants.push(entrant("flowkeep", used, role, own));
        entrants.push(entrant("flowkeep, shared", used, Role::Shared, shared));
    }
    for (keys, papaya) in both.into_iter().zip(&papayas) {
        let (used, role) = match keys {
            Keys::Two => ("two look-ups", Role::Two),
            Keys::Sorted => ("sorted key", Role::Sorted),
        };
        let mut hashbrown = HashMap::with_capacity(size.connections as usize);
        hashbrown.extend(keys.entries(&connections, &settings));
        let mut dashmap =
            DashMap::with_capacity_and_hasher(size.connections as usize, RandomState::default());
        dashmap.extend(keys.entries(&connections, &settings));
        let hashbrown = Other::new(hashbrown, keys, &settings);
        let dashmap = Other::new(dashmap, keys, &settings);
        let papaya = Other::new(papaya.pin(), keys, &settings);
        entrants.push(entrant("hashbrown", used, role, hashbrown));
        entrants.push(entrant("dashmap", used, role, dashmap));
        entrants.push(entrant("papaya", used, role, papaya));
    }
    entrants.retain(|entrant| format!("{}, {}", entrant.table, entrant.used).contains(size.only));
    let mut accesses = Vec::new();
    let mut number = 0;
    for round in 0..size.rounds {
        eprintln!("speed: round {} of {}", round + 1, size.rounds);
        let warm = connections.packets(size.lookups / 4, random);
        let packets = connections.packets(size.lookups, random);
        for entrant in &mut entrants {
            entrant.round(&warm, &packets, number)?;
            // Some share a table: time goes on for each of them.
            number += (warm.len() + packets.len()) as u64;
        }
        chase.run(size.lookups / 4);
        accesses.push(chase.run(size.lookups));
    }
    Ok(Speed {
        connections: size.connections,
        lookups_a_round: size.lookups,
        rounds: size.rounds,
        table_bytes: bytes,
        memory_access_ns: Spread::of(accesses),
        ratios: ratios(&entrants),
        tables: entrants.into_iter().map(Row::from).collect(),
    })
}

fn papaya(
    keys: Keys,
    connections: &Connections,
    settings: &Settings,
) -> papaya::HashMap<Tuple, SharedEntry, RandomState> {
    let capacity = connections.count() as usize;
    let map = papaya::HashMap::with_capacity_and_hasher(capacity, RandomState::default());
    let pinned = map.pin();
    for (key, entry) in keys.entries(connections, settings) {
        pinned.insert(key, SharedEntry::new(&entry));
    }
    drop(pinned);
    map
}

fn entrant<'t>(
    table: &'static str,
    used: &'static str,
    role: Role,
    contender: impl Contender + 't,
) -> Entrant<'t> {
    Entrant {
        table,
        used,
        role,
        contender: Box::new(contender),
        ns: Vec::new(),
    }
}

impl Entrant<'_> {
    fn round(&mut self, warm: &[Sent], packets: &[Sent], number: u64) -> Result<()> {
        self.contender.look_up(warm, number);
        let start = Instant::now();
        let tally = self.contender.look_up(packets, number + warm.len() as u64);
        let elapsed = start.elapsed();
        ensure!(
            tally == Tally::expected(packets),
            "{} ({}) does not know every connection",
            self.table,
            self.used
        );
        self.ns
            .push(elapsed.as_nanos() as f64 / packets.len() as f64);
        Ok(())
    }
}

impl From<Entrant<'_>> for Row {
    fn from(entrant: Entrant<'_>) -> Self {
        let ns = Spread::of(entrant.ns);
        Self {
            table: entrant.table,
            used: entrant.used,
            ns,
            lookups_per_second: 1e9 / ns.median,
        }
    }
}

/// Ratios are taken within a round, so that what else the machine does falls on both sides.
fn ratios(entrants: &[Entrant<'_>]) -> Vec<Ratio> {
    let rounds = entrants.first().map_or(0, |entrant| entrant.ns.len());
    // Nanoseconds of the fastest of a role in a round.
    let best = |role: Role, round: usize| {
        entrants
            .iter()
            .filter(|entrant| entrant.role == role)
            .map(|entrant| entrant.ns[round])
            .fold(f64::INFINITY, f64::min)
    };
    let (two, sorted) = ("two look-ups", "a sorted key");
    let mut ratios = Vec::new();
    let mut compare = |what: String, slow: Role, fast: Role, wanted: Option<f64>| {
        let times = Spread::of((0..rounds).map(|round| best(slow, round) / best(fast, round)));
        ratios.push(Ratio {
            what,
            times,
            wanted,
        });
    };
    for (other, role, wanted) in [(two, Role::Two, 2.0), (sorted, Role::Sorted, 1.3)] {
        let to = format!("to the best of others with {other}");
        compare(
            format!("ours one by one {to}"),
            role,
            Role::Plain,
            Some(wanted),
        );
        compare(
            format!("ours in batches of 16 {to}"),
            role,
            Role::Batch16,
            None,
        );
    }
    for (batch, role) in [(16, Role::Batch16), (32, Role::Batch32)] {
        let what = format!("ours in batches of {batch} to one by one");
        compare(what, Role::Plain, role, Some(2.0));
    }
    ratios
}
