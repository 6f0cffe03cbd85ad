//! Where the time goes: packets that take a part of the way, and programs that leave something
//! out.

use anyhow::Result;
use aya::programs::ProgramFd;
use serde::Serialize;

use super::driver::{Driver, Options};
use super::input::{Frames, Order, Packets, Side};
use super::ours::Ours;
use super::reference::{Reference, fd};
use super::tracker::{Tracker, establish};
use crate::statistics::Spread;

/// What a part of the way takes.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    pub(super) connections: u32,
    pub(super) what: &'static str,
    /// Nanoseconds a packet above the empty program, forward.
    pub(super) forward_ns: Spread,
    /// Reply.
    pub(super) reply_ns: Spread,
}

/// One who is measured.
struct Entrant<'a> {
    what: &'static str,
    driver: usize,
    /// For each order.
    programs: [&'a ProgramFd; 2],
    frame: &'a [u8],
    accounting: bool,
}

/// Measures the parts. `packets` of each measurement.
pub(super) fn run(
    ours: &mut Ours,
    driver: Driver,
    options: Options,
    ends: &Packets,
    packets: u32,
    rounds: u32,
) -> Result<Vec<Part>> {
    let frames = Frames::new()?;
    let connections = ends.connections();
    let mut drivers = vec![driver];
    let mut references = Vec::new();
    for options in [
        Options {
            direct: true,
            ..options
        },
        Options {
            exact_clock: true,
            ..options
        },
        Options {
            accounting: false,
            ..options
        },
    ] {
        let mut driver = Driver::new(options, ends)?;
        let reference = Reference::new(&mut driver)?;
        establish(&reference, &mut driver, &frames, connections)?;
        drivers.push(driver);
        references.push(reference);
    }
    let touch = fd(&mut drivers[0], "touch")?;
    let empty = fd(&mut drivers[0], "empty")?;
    let our_programs = [Side::Forward, Side::Reply].map(|side| ours.program(side).try_clone());
    let [ours_forward, ours_reply] = our_programs;
    let (ours_forward, ours_reply) = (ours_forward?, ours_reply?);
    let entrant = |what, driver, programs, frame| Entrant {
        what,
        driver,
        programs,
        frame,
        accounting: true,
    };
    let both = |program| [program, program];
    let own = [&ours_forward, &ours_reply];
    let of =
        |index: usize| [Side::Forward, Side::Reply].map(|side| references[index].program(side));
    let entrants = [
        entrant(
            "memory: a record at random, one line read, one counted on",
            0,
            both(&touch),
            &frames.ack[..],
        ),
        entrant("flowkeep: a packet that is not IP", 0, own, &frames.other),
        entrant(
            "flowkeep: a packet cut after the ports",
            0,
            own,
            &frames.cut,
        ),
        Entrant {
            accounting: false,
            ..entrant("flowkeep: without counters", 0, own, &frames.ack)
        },
        entrant("flowkeep", 0, own, &frames.ack),
        entrant("reference: headers read in place", 1, of(0), &frames.ack),
        entrant(
            "reference: the hardware's clock read",
            2,
            of(1),
            &frames.ack,
        ),
        entrant("reference: without counters", 3, of(2), &frames.ack),
    ];
    let mut measured = vec![[Vec::new(), Vec::new()]; entrants.len()];
    for _ in 0..rounds {
        for (at, order) in [Order::Forward, Order::Reply].into_iter().enumerate() {
            let base = drivers[0].warm(&empty, &frames.ack, order, packets)?;
            for (entrant, ns) in entrants.iter().zip(&mut measured) {
                ours.set_accounting(entrant.accounting);
                let driver = &mut drivers[entrant.driver];
                let program = entrant.programs[at];
                ns[at].push(driver.warm(program, entrant.frame, order, packets)? - base);
            }
        }
    }
    let parts = entrants.iter().zip(measured);
    Ok(parts
        .map(|(entrant, [forward, reply])| Part {
            connections,
            what: entrant.what,
            forward_ns: Spread::of(forward),
            reply_ns: Spread::of(reply),
        })
        .collect())
}
