//! The classic design: see `ebpf/reference`.

use anyhow::{Context, Result};
use aya::maps::{HashMap, MapData};
use aya::programs::ProgramFd;

use super::driver::Driver;
use super::input::Side;
use super::tracker::{Counts, Tracker};

/// The reference's programs, loaded.
pub(in crate::bench) struct Reference {
    forward: ProgramFd,
    reply: ProgramFd,
}

impl Reference {
    /// The programs of the driver's object.
    pub(in crate::bench) fn new(driver: &mut Driver) -> Result<Self> {
        Ok(Self {
            forward: fd(driver, "ref_egress")?,
            reply: fd(driver, "ref_ingress")?,
        })
    }
}

/// A program of the driver's object, by its name.
pub(in crate::bench) fn fd(driver: &mut Driver, name: &str) -> Result<ProgramFd> {
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
        for_each(driver, each)
    }
}

/// Calls `each` with the packets of each TCP connection in the reference's table.
pub(in crate::bench) fn for_each(driver: &Driver, each: &mut dyn FnMut(Counts)) -> Result<()> {
    let map = driver.programs.map("REF_TCP").context("no map REF_TCP")?;
    let map: HashMap<&MapData, [u64; 2], [u64; 7]> = map.try_into()?;
    for entry in map.iter() {
        let (_, [received, _, sent, ..]) = entry?;
        each(Counts { sent, received });
    }
    Ok(())
}
