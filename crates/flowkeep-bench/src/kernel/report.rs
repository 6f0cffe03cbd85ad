//! The results, for people and for machines.

use std::fmt;
use std::fs;

use serde::Serialize;

use super::create::Created;
use super::input::Side;
use super::known::Known;
use super::parts::Part;
use crate::statistics::Spread;

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    seed: u64,
    rounds: u32,
    /// The kernel's release.
    kernel: Option<String>,
    /// The processor's name.
    processor: Option<String>,
    pub(super) known: Vec<Known>,
    pub(super) creation: Vec<Created>,
    /// Where the time goes.
    pub(super) parts: Vec<Part>,
    /// Cache and TLB misses are counted by a processor's own counters, which virtual machines
    /// lack.
    cache_misses: &'static str,
}

impl Report {
    /// Nothing measured yet.
    pub(super) fn new(seed: u64, rounds: u32) -> Self {
        let read = |path| fs::read_to_string(path).ok();
        let processor = read("/proc/cpuinfo").and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        Self {
            seed,
            rounds,
            kernel: read("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            processor,
            known: Vec::new(),
            creation: Vec::new(),
            parts: Vec::new(),
            cache_misses: "not counted: use `perf stat` where the machine has counters",
        }
    }
}

/// One line: two costs and their ratio.
struct Line<'a> {
    what: &'a str,
    connections: u32,
    ours: Spread,
    reference: Spread,
    times: Spread,
    wanted: Option<f64>,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = |spread: Spread, digits| format!("{spread:.digits$}");
        write!(
            f,
            "  {:9} {:>9}  {:22} {:22} {:24}",
            self.what,
            self.connections,
            column(self.ours, 0),
            column(self.reference, 0),
            column(self.times, 2),
        )?;
        match self.wanted {
            Some(wanted) if self.times.median >= wanted => writeln!(f, "{wanted}: met"),
            Some(wanted) => writeln!(f, "{wanted}: missed"),
            None => writeln!(f),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_unknown = |text: &Option<String>| text.as_deref().unwrap_or("?").to_owned();
        writeln!(
            f,
            "Linux {} on {}; seed {}, {} rounds.",
            or_unknown(&self.kernel),
            or_unknown(&self.processor),
            self.seed,
            self.rounds
        )?;
        writeln!(
            f,
            "IPv4 TCP packets of connections in an order of chance, by BPF_PROG_TEST_RUN. \
             Nanoseconds\na packet above an empty program (which, with the driver, takes {}): \
             median (min to max).\n",
            self.known
                .first()
                .map_or_else(String::new, |known| format!("{:.0}", known.empty_ns.median))
        )?;
        writeln!(
            f,
            "  {:9} {:>9}  {:22} {:22} {:24}wanted",
            "packet", "known", "flowkeep", "reference", "times faster"
        )?;
        for known in &self.known {
            let line = Line {
                what: match known.side {
                    Side::Forward => "forward",
                    Side::Reply => "reply",
                },
                connections: known.connections,
                ours: known.ours_ns,
                reference: known.reference_ns,
                times: known.times_faster,
                wanted: known.wanted,
            };
            line.fmt(f)?;
        }
        for created in &self.creation {
            let line = Line {
                what: "new",
                connections: created.connections,
                ours: created.ours_ns,
                reference: created.reference_ns,
                times: created.times_faster,
                wanted: Some(created.wanted),
            };
            line.fmt(f)?;
        }
        writeln!(f, "\nWhere the time goes\n")?;
        writeln!(f, "  {:58} {:>7}  {:18} reply", "what", "known", "forward")?;
        for Part {
            connections,
            what,
            forward_ns,
            reply_ns,
        } in &self.parts
        {
            let forward = format!("{forward_ns:.0}");
            writeln!(
                f,
                "  {what:58} {connections:>7}  {forward:18} {reply_ns:.0}"
            )?;
        }
        Ok(())
    }
}
