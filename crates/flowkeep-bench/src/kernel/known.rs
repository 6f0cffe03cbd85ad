//! Packets of connections that are known.

use anyhow::{Context, Result};
use serde::Serialize;

use super::driver::{Driver, Options, RUNS};
use super::input::{Frames, Order, Packets, Random, Side};
use super::ours::Ours;
use super::parts::{self, Part};
use super::reference::{Reference, fd};
use super::tracker::{Tracker, establish, verify};
use crate::statistics::Spread;

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

/// Entries that tables have for so many connections, which take two thirds of them.
pub(super) const fn capacity(connections: u32) -> u32 {
    const LEAST: u32 = 1 << 16;
    let capacity = connections + connections.div_ceil(2);
    if capacity < LEAST { LEAST } else { capacity }
}

/// Nanoseconds of one round: the empty program, ours, the reference.
type Round = [f64; 3];

/// Measures both directions, and the parts of the way.
pub(super) fn run(size: &Size, random: &mut Random) -> Result<(Vec<Known>, Vec<Part>)> {
    let Size {
        connections,
        packets,
        rounds,
    } = *size;
    eprintln!("packets of {connections} known connections");
    let options = Options::new(capacity(connections));
    let passes = packets.div_ceil(connections);
    let packets = connections
        .checked_mul(passes)
        .context("too many packets")?;
    let ends = Packets::random(connections, random);
    let mut driver = Driver::new(options, &ends)?;
    let mut ours = Ours::new(options.capacity, None, random)?;
    let reference = Reference::new(&mut driver)?;
    let [forward, reply] = measure(
        [&ours, &reference],
        &mut driver,
        connections,
        passes,
        rounds,
    )?;
    let summary = |side, rounds: &[Round]| {
        let spread = |which: usize| Spread::of(rounds.iter().map(|ns| ns[which]));
        Known {
            connections,
            capacity: options.capacity,
            packets,
            side,
            empty_ns: spread(0),
            ours_ns: spread(1),
            reference_ns: spread(2),
            times_faster: Spread::of(rounds.iter().map(|[_, ours, reference]| reference / ours)),
            wanted: wanted(connections, side),
        }
    };
    let known = vec![
        summary(Side::Forward, &forward),
        summary(Side::Reply, &reply),
    ];
    eprintln!("where the time goes");
    let parts = parts::run(&mut ours, driver, options, &ends, packets, rounds)?;
    Ok((known, parts))
}

/// Measures both directions, so many passes through the connections a time.
fn measure(
    trackers: [&dyn Tracker; 2],
    driver: &mut Driver,
    connections: u32,
    passes: u32,
    rounds: u32,
) -> Result<[Vec<Round>; 2]> {
    let frames = Frames::new()?;
    let empty = fd(driver, "empty")?;
    let mut expected = Vec::new();
    for tracker in trackers {
        let counts = establish(tracker, driver, &frames, connections)?;
        verify(tracker, driver, connections, counts)?;
        expected.push(counts);
    }
    let mut run = |program, order| driver.warm(program, &frames.ack, order, connections * passes);
    let mut measured = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (order, measured) in ORDERS.into_iter().zip(&mut measured) {
            let base = run(&empty, order)?;
            let mut round = [base, 0.0, 0.0];
            for (at, (tracker, expected)) in trackers.iter().zip(&mut expected).enumerate() {
                round[at + 1] = run(tracker.program(order.side()), order)? - base;
                let packets = u64::from(RUNS * passes);
                match order.side() {
                    Side::Forward => expected.sent += packets,
                    Side::Reply => expected.received += packets,
                }
            }
            measured.push(round);
        }
    }
    for (tracker, expected) in trackers.into_iter().zip(expected) {
        verify(tracker, driver, connections, expected)?;
    }
    Ok(measured)
}
