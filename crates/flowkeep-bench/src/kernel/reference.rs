//! The classic design: see `ebpf/reference`.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use aya::maps::{HashMap, MapData};
use aya::programs::ProgramFd;

use super::driver::Driver;
use super::input::Side;
use super::tracker::{Counts, Tracker};

/// The reference's programs, loaded.
pub(crate) struct Reference {
    forward: ProgramFd,
    reply: ProgramFd,
}

impl Reference {
    /// The programs of the driver's object.
    pub(crate) fn new(driver: &mut Driver) -> Result<Self> {
        Ok(Self {
            forward: fd(driver, "ref_egress")?,
            reply: fd(driver, "ref_ingress")?,
        })
    }
}

/// A program of the driver's object, by its name.
pub(crate) fn fd(driver: &mut Driver, name: &str) -> Result<ProgramFd> {
    Ok(driver.program(name)?.fd()?.try_clone()?)
}

impl Tracker for Reference {
    fn program(&self, side: Side) -> &ProgramFd {
        match side {
            Side::Forward => &self.forward,
            Side::Reply => &self.reply,
        }
    }

    fn for_each(&self, driver: &Driver, each: &mut dyn FnMut(Counts)) -> Result<()> {
        for_each(driver, &mut |_, counts| each(counts))
    }
}

/// Whom an entry is of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuple {
    pub(crate) addresses: [Ipv4Addr; 2],
    pub(crate) ports: [u16; 2],
}

impl Tuple {
    /// The tuple in a key: destination, source, then the ports as they lie in a packet.
    fn of(key: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, p, q, r, s, ..] = key;
        Self {
            addresses: [[a, b, c, d], [e, f, g, h]].map(Ipv4Addr::from_octets),
            ports: [[p, q], [r, s]].map(u16::from_be_bytes),
        }
    }
}

/// Calls `each` with each TCP connection in the reference's table.
pub(crate) fn for_each(driver: &Driver, each: &mut dyn FnMut(Tuple, Counts)) -> Result<()> {
    let map = driver.programs.map("REF_TCP").context("no map REF_TCP")?;
    let map: HashMap<&MapData, [u8; 16], [u64; 7]> = map.try_into()?;
    for entry in map.iter() {
        let (key, [received, _, sent, ..]) = entry?;
        each(Tuple::of(key), Counts { sent, received });
    }
    Ok(())
}
