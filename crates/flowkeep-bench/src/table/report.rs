//! The results, for people and for machines.

use std::fmt;
use std::fs;

use serde::Serialize;

use super::adversary::Gathering;
use super::flood::Flood;
use super::load::Load;
use super::speed::{Ratio, Speed};
use super::threads::Threads;

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    seed: u64,
    /// The processor's name.
    processor: Option<String>,
    /// Whether the others' memory is in huge pages too.
    huge_pages: bool,
    /// Cache misses are counted by a processor's own counters, which virtual machines lack.
    cache_misses: &'static str,
    pub(super) speed: Speed,
    pub(super) threads: Option<Threads>,
    pub(super) load: Vec<Load>,
    pub(super) flood: Option<Flood>,
    pub(super) adversary: Vec<Gathering>,
}

impl Report {
    /// Nothing measured yet.
    pub(super) fn new(seed: u64, huge_pages: bool) -> Self {
        let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        Self {
            seed,
            processor,
            huge_pages,
            cache_misses: "not counted: use `perf stat` where the machine has counters",
            speed: Speed::default(),
            threads: None,
            load: Vec::new(),
            flood: None,
            adversary: Vec::new(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Seed {}; median (min to max).", self.seed)?;
        self.speed.fmt(f)?;
        if let Some(threads) = &self.threads {
            threads.fmt(f)?;
        }
        if self.load.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nLoad at the first refusal, per cent of the slots\n")?;
        for load in &self.load {
            writeln!(
                f,
                "  {:9} slots, {} tables  {:5.2}  (wanted: {})",
                load.slots, load.tables, load.filled, load.wanted
            )?;
        }
        if let Some(flood) = &self.flood {
            flood.fmt(f)?;
        }
        writeln!(f, "\nTuples by first set: 60,000 in 1366 buckets\n")?;
        for gathering in &self.adversary {
            let Gathering {
                tuples,
                seeds,
                fullest,
                emptiest,
                variance,
            } = gathering;
            writeln!(
                f,
                "  {tuples:30} {seeds} seeds: fullest {fullest:.0}, emptiest {emptiest:.0}, \
                 variance by chance's {variance:.2}"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nLook-ups with their touch on one thread: {} connections, {} look-ups a round, {} \
             rounds\n",
            self.connections, self.lookups_a_round, self.rounds
        )?;
        writeln!(
            f,
            "  one random access to {:.1} MiB: {:.0} ns",
            self.table_bytes as f64 / f64::from(1 << 20),
            self.memory_access_ns
        )?;
        for row in &self.tables {
            writeln!(
                f,
                "  {:18} {:14} {:5.1} million a second, {:.0} ns ({:.0} ns from one access)",
                row.table,
                row.used,
                row.lookups_per_second / 1e6,
                row.ns,
                row.ns.median - self.memory_access_ns.median,
            )?;
        }
        // What was left out has no ratio.
        let measured = |ratio: &&Ratio| ratio.times.median.is_finite() && ratio.times.median > 0.0;
        for Ratio {
            what,
            times,
            wanted,
        } in self.ratios.iter().filter(measured)
        {
            write!(f, "  {what}: {times:.2} times")?;
            match wanted {
                Some(wanted) => writeln!(f, " (wanted: {wanted})")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nTwo threads, look-ups a second by those of one\n")?;
        for (what, scaling) in [
            ("each its own connections", &self.own),
            ("both the same connections", &self.same),
        ] {
            writeln!(
                f,
                "  {what:26} one by one {:.2}, batches of 32 {:.2}",
                scaling.one_by_one, scaling.batches
            )?;
        }
        writeln!(f, "  packets that went uncounted: {}", self.uncounted)
    }
}

impl fmt::Display for Flood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nFlood: {} slots, {} SYNs from random sources, {:.0} ns each",
            self.slots, self.syns, self.ns_a_syn
        )?;
        writeln!(
            f,
            "\n  {} of {} idle connections are there after it (a kernel LRU hash of 16,384 \
             entries loses all of 4,000 to 16,384 keys)",
            self.survived, self.idle
        )?;
        writeln!(
            f,
            "  of {} connections opened amid it {} are established, {} found no handle to be given \
             up",
            self.opened, self.established, self.opened_refused
        )?;
        writeln!(
            f,
            "  SYNs that took another's handle: {}; refused: {}",
            self.replaced, self.refused
        )
    }
}
