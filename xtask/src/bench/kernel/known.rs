//! Packets of connections that are known.

use anyhow::{Context, Result};
use serde::Serialize;

use super::driver::{Driver, Options};
use super::input::{Frames, Order, Packets, Random, Side};
use super::ours::Ours;
use super::reference::{Reference, fd};
use super::tracker::{Tracker, establish, verify};
use crate::bench::statistics::Spread;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) connections: u32,
    /// Of each measurement, at least.
    pub(super) packets: u32,
    pub(super) rounds: u32,
}

/// Nanoseconds that a packet takes. All but `empty` are what is above the empty program.
#[derive(Debug, Serialize)]
pub(super) struct Known {
    pub(super) connections: u32,
    /// Slots of our table, and entries that the reference's map may have.
    pub(super) capacity: u32,
    /// Packets of each measurement.
    pub(super) packets: u32,
    pub(super) side: Side,
    /// The driver and the empty program.
    pub(super) empty_ns: Spread,
    pub(super) ours_ns: Spread,
    pub(super) reference_ns: Spread,
    /// The reference's by ours, within each round.
    pub(super) times_faster: Spread,
    pub(super) wanted: Option<f64>,
}

/// What is measured.
const ORDERS: [Order; 2] = [Order::Forward, Order::Reply];

/// What is wanted: times faster than the reference.
const fn wanted(connections: u32, side: Side) -> Option<f64> {
    match (connections, side) {
        (1 | 65_536, Side::Forward) => Some(3.0),
        (1 | 65_536, Side::Reply) => Some(2.0),
        (524_288, Side::Forward) => Some(2.5),
        (524_288, Side::Reply) => Some(1.7),
        _ => None,
    }
}

/// Entries that tables have for so many connections.
pub(super) const fn capacity(connections: u32) -> u32 {
    const LEAST: u32 = 1 << 16;
    let twice = 2 * connections;
    if twice < LEAST { LEAST } else { twice }
}

/// Measures both directions.
pub(super) fn run(size: &Size, random: &mut Random) -> Result<[Known; 2]> {
    let Size {
        connections,
        packets,
        rounds,
    } = *size;
    eprintln!("packets of {connections} known connections");
    let capacity = capacity(connections);
    let frames = Frames::new()?;
    let passes = packets.div_ceil(connections);
    let packets = connections
        .checked_mul(passes)
        .context("too many packets")?;
    let options = Options {
        capacity,
        accounting: true,
        direct: false,
    };
    let mut driver = Driver::new(options, &Packets::random(connections, random))?;
    let empty = fd(&mut driver, "empty")?;
    let trackers: [Box<dyn Tracker>; 2] = [
        Box::new(Ours::new(capacity, random)?),
        Box::new(Reference::new(&mut driver)?),
    ];
    let mut expected = Vec::new();
    for tracker in &trackers {
        let counts = establish(tracker.as_ref(), &mut driver, &frames, connections)?;
        verify(tracker.as_ref(), &driver, connections, counts)?;
        expected.push(counts);
    }
    let mut measured = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (order, measured) in ORDERS.into_iter().zip(&mut measured) {
            let mut ns = [driver.run(&empty, &frames.ack, order, packets)?, 0.0, 0.0];
            for (at, (tracker, expected)) in trackers.iter().zip(&mut expected).enumerate() {
                let program = tracker.program(order.side());
                ns[at + 1] = driver.run(program, &frames.ack, order, packets)? - ns[0];
                match order.side() {
                    Side::Forward => expected.sent += u64::from(passes),
                    Side::Reply => expected.received += u64::from(passes),
                }
            }
            measured.push(ns);
        }
    }
    for (tracker, expected) in trackers.iter().zip(expected) {
        verify(tracker.as_ref(), &driver, connections, expected)?;
    }
    let [forward, reply] = measured;
    Ok(
        [(Side::Forward, forward), (Side::Reply, reply)].map(|(side, rounds)| {
            let spread = |which: usize| Spread::of(rounds.iter().map(|ns| ns[which]));
            Known {
                connections,
                capacity,
                packets,
                side,
                empty_ns: spread(0),
                ours_ns: spread(1),
                reference_ns: spread(2),
                times_faster: Spread::of(
                    rounds.iter().map(|[_, ours, reference]| reference / ours),
                ),
                wanted: wanted(connections, side),
            }
        }),
    )
}
