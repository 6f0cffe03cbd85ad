//! Two threads on one table.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use flowkeep::memory::Region;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::BucketTable;
use serde::Serialize;

use super::contender::{Contender, Tally};
use super::input::{Connections, Random, Sent};
use super::ours::{Ours, filled};
use crate::statistics::Spread;

/// The outcome.
#[derive(Debug, Serialize)]
pub(super) struct Threads {
    connections: u32,
    lookups_a_thread: usize,
    rounds: u32,
    pub(super) own: Scaling,
    pub(super) same: Scaling,
    /// Packets that went uncounted where both threads touched the same connections.
    pub(super) uncounted: u64,
}

/// What a second thread brings.
#[derive(Debug, Serialize)]
pub(super) struct Scaling {
    /// Times the look-ups a second of one thread, one by one.
    pub(super) one_by_one: Spread,
    /// The same in batches of 32.
    pub(super) batches: Spread,
}

/// Measures one thread, then two that have connections of their own, then two on the same ones.
pub(super) fn run(
    connections: u32,
    lookups: usize,
    rounds: u32,
    random: &mut Random,
) -> Result<Threads> {
    let settings = Settings::default();
    let all = Connections::random(connections, random);
    let table = filled::<true>(&all, &settings, random)?;
    let halves = all.halves();
    let (mut own, mut same) = ([vec![], vec![]], [vec![], vec![]]);
    let mut touched = 0;
    for round in 0..rounds {
        eprintln!("threads: round {} of {rounds}", round + 1);
        let of = halves.each_ref().map(|half| half.packets(lookups, random));
        let shared = [0, 1].map(|_| halves[0].packets(lookups, random));
        for (kind, batch) in [1, 32].into_iter().enumerate() {
            let time = |packets: &[&[Sent]]| seconds(&table, &settings, batch, packets);
            time(&[&of[0], &of[1]])?; // to warm up
            // Each half alone: together, as much work as one thread has for both.
            let one = time(&[&of[0]])? + time(&[&of[1]])?;
            own[kind].push(one / time(&[&of[0], &of[1]])?);
            let one = time(&[&shared[0]])? + time(&[&shared[1]])?;
            same[kind].push(one / time(&[&shared[0], &shared[1]])?);
            touched += 10 * lookups as u64;
        }
    }
    let counted: u64 = table
        .iter()
        .map(|(_, _, entry)| entry.rx.packets + entry.tx.packets)
        .sum();
    let scaling = |[one_by_one, batches]: [Vec<f64>; 2]| Scaling {
        one_by_one: Spread::of(one_by_one),
        batches: Spread::of(batches),
    };
    Ok(Threads {
        connections,
        lookups_a_thread: lookups,
        rounds,
        own: scaling(own),
        same: scaling(same),
        uncounted: touched - counted,
    })
}

/// How long it takes until as many threads as there are streams of packets have looked up theirs.
fn seconds(
    table: &BucketTable<Region<true>>,
    settings: &Settings,
    batch: usize,
    streams: &[&[Sent]],
) -> Result<f64> {
    let barrier = Barrier::new(streams.len() + 1);
    let (elapsed, known) = thread::scope(|scope| {
        let threads: Vec<_> = streams
            .iter()
            .map(|packets| {
                scope.spawn(|| {
                    let mut ours = Ours {
                        table,
                        settings,
                        batch,
                    };
                    barrier.wait();
                    ours.look_up(packets, 0) == Tally::expected(packets)
                })
            })
            .collect();
        barrier.wait();
        let start = Instant::now();
        let known = threads
            .into_iter()
            .all(|thread| thread.join().is_ok_and(|known| known));
        (start.elapsed(), known)
    });
    ensure!(known, "a thread does not know every connection");
    Ok(elapsed.as_secs_f64())
}
