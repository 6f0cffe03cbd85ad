//! Runs a program in the kernel, each time on a packet of another connection.
//!
//! Test runs show a program one packet, as often as one likes. So what is run is a driver, which
//! writes the next connection's addresses and ports into the packet and goes on to the program by
//! a tail call. What the driver costs is measured with an empty program and subtracted. Our own
//! programs are measured as they are.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, ProgramArray};
use aya::programs::{ProgramFd, SchedClassifier, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};

use super::input::{Ends, Order, Packets};

/// The reference, the empty program and the driver, as `cargo xtask bpf` built them.
static OBJECT: &[u8] = include_bytes_aligned!("../../object/reference.o");

/// Runs of a [warm](Driver::warm) measurement.
pub(crate) const RUNS: u32 = 3;

/// How the object is loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Entries of each of the reference's maps.
    pub(crate) capacity: u32,
    /// Whether the reference counts packets and bytes.
    pub(crate) accounting: bool,
    /// Whether the reference reads all from the packet's first buffer.
    pub(crate) direct: bool,
    /// Whether the reference reads the hardware's clock.
    pub(crate) exact_clock: bool,
}

impl Options {
    /// The reference as it is measured, with maps of so many entries: it counts, and reads the
    /// transport header by a helper as Cilium does, but the clock as Flowkeep does.
    pub(crate) const fn new(capacity: u32) -> Self {
        Self {
            capacity,
            accounting: true,
            direct: false,
            exact_clock: false,
        }
    }
}

/// The driver, and what else is in its object.
pub(crate) struct Driver {
    pub(crate) programs: Ebpf,
    /// Where the packets of each order begin, and where they all end.
    bounds: [u32; 4],
}

impl Driver {
    /// Loads the object, and gives the driver its packets.
    pub(crate) fn new(options: Options, packets: &Packets) -> Result<Self> {
        let mut bounds = [0; 4];
        for (at, order) in packets.0.iter().enumerate() {
            bounds[at + 1] = bounds[at] + order.len() as u32;
        }
        let mut programs = EbpfLoader::new()
            .map_max_entries("PACKETS", bounds[3])
            .map_max_entries("REF_TCP", options.capacity)
            .map_max_entries("REF_ANY", options.capacity)
            .override_global("ACCOUNTING", &u32::from(options.accounting), true)
            .map_max_entries("TOUCHED", options.capacity)
            .override_global("RECORDS", &options.capacity, true)
            .override_global("EXACT_CLOCK", &u32::from(options.exact_clock), true)
            .override_global("DIRECT", &u32::from(options.direct), true)
            .load(OBJECT)
            .context("the kernel refuses the reference")?;
        let map = programs.map_mut("PACKETS").context("no map PACKETS")?;
        let mut array: Array<_, [u8; 16]> = map.try_into()?;
        for (at, ends) in (0..).zip(packets.0.iter().flatten()) {
            array.set(at, Ends::bytes(*ends), 0)?;
        }
        Ok(Self { programs, bounds })
    }

    /// A program of the object, loaded.
    pub(crate) fn program(&mut self, name: &str) -> Result<&mut SchedClassifier> {
        let program = self.programs.program_mut(name).context("no such program")?;
        let program: &mut SchedClassifier = program.try_into()?;
        if program.fd().is_err() {
            program
                .load()
                .with_context(|| format!("the kernel refuses the program {name}"))?;
        }
        Ok(program)
    }

    /// As [`Self::run`], of the last of several, which bring into the caches what the program
    /// before has pushed out.
    pub(crate) fn warm(
        &mut self,
        program: &ProgramFd,
        frame: &[u8],
        order: Order,
        count: u32,
    ) -> Result<f64> {
        for _ in 1..RUNS {
            self.run(program, frame, order, count)?;
        }
        self.run(program, frame, order, count)
    }

    /// Runs a program on `count` packets, each like `frame`, and of the next connection in one of
    /// the orders. The nanoseconds that a packet took, the driver's
    /// included; whole ones, as the kernel tells them.
    pub(crate) fn run(
        &mut self,
        program: &ProgramFd,
        frame: &[u8],
        order: Order,
        count: u32,
    ) -> Result<f64> {
        let (first, end) = (self.bounds[order as usize], self.bounds[order as usize + 1]);
        let map = self.programs.map_mut("COURSE").context("no map COURSE")?;
        let mut course: Array<_, [u32; 4]> = map.try_into()?;
        course.set(0, [first, first, end, 0], 0)?;
        let map = self
            .programs
            .map_mut("MEASURED")
            .context("no map MEASURED")?;
        ProgramArray::try_from(map)?.set(0, program, 0)?;

        let options = TestRunOptions {
            data_in: Some(frame),
            repeat: count,
            ..TestRunOptions::default()
        };
        let result = self.program("drive")?.test_run(options)?;
        ensure!(
            result.return_value == u32::MAX,
            "the program that is measured was not reached, or kept a packet"
        );
        ensure!(
            result.duration < Duration::from_secs(1),
            "a packet took longer than a second"
        );
        Ok(result.duration.as_nanos() as f64)
    }
}
