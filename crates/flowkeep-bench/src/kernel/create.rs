//! Packets that open connections.

use anyhow::Result;
use serde::Serialize;

use super::driver::{Driver, Options};
use super::input::{Frames, Order, Packets, Random, Side};
use super::known::capacity;
use super::ours::Ours;
use super::reference::{Reference, fd};
use super::tracker::{Counts, Tracker, verify};
use crate::statistics::Spread;

/// Nanoseconds above the empty program that the SYN of a new connection takes: looked up in vain,
/// then stored in a table that is empty at first and two thirds full at last.
#[derive(Debug, Serialize)]
pub(super) struct Created {
    pub(super) connections: u32,
    /// Slots of our table, and entries that each of the reference's maps may have.
    pub(super) capacity: u32,
    /// The driver and the empty program.
    pub(super) empty_ns: Spread,
    pub(super) ours_ns: Spread,
    pub(super) reference_ns: Spread,
    /// The reference's by ours, within each round.
    pub(super) times_faster: Spread,
    pub(super) wanted: f64,
}

/// Measures creation, with new tables in each round.
pub(super) fn run(connections: u32, rounds: u32, random: &mut Random) -> Result<Created> {
    eprintln!("{connections} new connections");
    let capacity = capacity(connections);
    let frames = Frames::new()?;
    let options = Options::new(capacity);
    let expected = Counts {
        sent: 1,
        received: 0,
    };
    let mut measured = Vec::new();
    for _ in 0..rounds {
        let mut driver = Driver::new(options, &Packets::random(connections, random))?;
        let empty = fd(&mut driver, "empty")?;
        let trackers: [Box<dyn Tracker>; 2] = [
            Box::new(Ours::new(capacity, None, random)?),
            Box::new(Reference::new(&mut driver)?),
        ];
        let mut ns = [
            driver.run(&empty, &frames.syn, Order::Opening, connections)?,
            0.0,
            0.0,
        ];
        for (at, tracker) in trackers.iter().enumerate() {
            let program = tracker.program(Side::Forward);
            ns[at + 1] = driver.run(program, &frames.syn, Order::Opening, connections)? - ns[0];
            verify(tracker.as_ref(), &driver, connections, expected)?;
        }
        measured.push(ns);
    }
    let spread = |which: usize| Spread::of(measured.iter().map(|ns| ns[which]));
    Ok(Created {
        connections,
        capacity,
        empty_ns: spread(0),
        ours_ns: spread(1),
        reference_ns: spread(2),
        times_faster: Spread::of(measured.iter().map(|[_, ours, reference]| reference / ours)),
        wanted: 2.0,
    })
}
