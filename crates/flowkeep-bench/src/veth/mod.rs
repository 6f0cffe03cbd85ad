//! `cargo xtask bench veth`: what tracking adds to packets and connections between two hosts.

mod packets;
mod report;
pub(super) mod scene;
mod short;
mod trips;

use anyhow::{Context, Result, bail};
use flowkeep_lab::missing;

use self::report::{Cost, Report, Row};
use self::scene::{Scene, Tracking};
use super::measure;

/// Measure packets and short connections between two namespaces: untracked, tracked by Flowkeep,
/// by the classic design over the kernel's LRU hash maps, and by the kernel's own tracker.
///
/// Needs root, iperf3 and nft. All runs on one processor, so that what tracking adds is added to
/// the time of each packet; give it the processor: `nice -n -20 cargo xtask bench veth`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Rounds, in each of which everybody is measured in turn; medians are shown.
    #[arg(long, value_name = "N", default_value_t = 7,
        value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Seconds that packets are sent for in each measurement.
    #[arg(long, value_name = "S", default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Connections of each measurement.
    #[arg(long, value_name = "N", default_value_t = 15_000,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(short::MOST)))]
    connections: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(missing) = missing(&["iperf3", "nft"]) {
        bail!("{missing}");
    }
    measure::pin().context("cannot stay on one processor")?;
    let scenes = Tracking::ALL.map(|tracking| Scene::new(tracking, SLOTS));
    let mut measured = Vec::new();
    for scene in scenes {
        measured.push((scene?, [const { Vec::new() }; 3]));
    }
    for round in 0..args.rounds {
        eprintln!("round {} of {}", round + 1, args.rounds);
        for (scene, [stream, trips, connections]) in &mut measured {
            let port = FIRST_PORT + round;
            stream.push(packets::run(scene, args.seconds)?);
            trips.push(trips::run(scene, TRIPS_PORT)?);
            connections.push(short::run(scene, port, args.connections)?);
        }
    }
    let mut rows = Vec::new();
    let (_, [free_stream, free_trips, free_connections]) = &measured[0];
    for (scene, [stream, trips, connections]) in &measured {
        scene.verify(u64::from(args.connections) * u64::from(args.rounds))?;
        rows.push(Row {
            tracking: scene.tracking(),
            stream: Cost::new(stream, free_stream),
            trips: Cost::new(trips, free_trips),
            connection: Cost::new(connections, free_connections),
        });
    }
    let report = Report::new(args.rounds, rows);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

/// Slots of each table.
const SLOTS: u32 = 1 << 19;
/// The server's port in the first round, one more in each that follows: the connections of a round
/// are new to everybody.
const FIRST_PORT: u16 = 2000;
/// The server's port for requests and responses.
const TRIPS_PORT: u16 = 1999;

/// What one packet or connection took, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Took {
    /// From beginning to end.
    wall_ns: f64,
    /// Of processors, at both ends.
    cpu_ns: f64,
}
