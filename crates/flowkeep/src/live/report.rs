//! What `flowkeep stats` says, for people and for programs.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::Style;
use flowkeep_core::table::Statistic;
use serde::Serialize;

use super::{Clock, Mode, Rates, Totals};
use crate::connection::ConnectionState;
use crate::output::{Align, Count, Grid, Rfc3339, TITLE, write_grid};

/// Everything there is to say about a tracker at one moment.
#[derive(Debug)]
pub struct Report<'a> {
    /// The interfaces that are tracked, and how.
    pub interfaces: &'a [(String, Mode)],
    /// What is in the table and what it has counted.
    pub totals: &'a Totals,
    /// What happened a second since the report before.
    pub rates: Option<Rates>,
}

impl Report<'_> {
    /// The states of the connections that have not expired.
    #[must_use]
    pub fn states(&self) -> [(ConnectionState, u64); ConnectionState::ALL.len()] {
        ConnectionState::ALL.map(|state| (state, self.totals.census.count(state)))
    }

    /// What was not tracked, without the table's refusals, which the table counts.
    pub fn errors(&self) -> impl Iterator<Item = (flowkeep_core::Error, u64)> {
        flowkeep_core::Error::ALL
            .into_iter()
            .filter(|error| !matches!(error, flowkeep_core::Error::NotCreated(_)))
            .map(|error| (error, self.totals.error(error)))
    }

    /// Writes it for people.
    ///
    /// # Errors
    /// If writing fails.
    pub fn write(&self, out: &mut dyn Write, color: bool) -> io::Result<()> {
        let title = if color { TITLE } else { Style::new() };
        let totals = self.totals;
        let full = 100.0 * totals.connections() as f64 / totals.capacity.max(1) as f64;
        let mut fact = |name: &str, value: &dyn std::fmt::Display| {
            writeln!(out, "{title}{name:<13}{title:#}{value}")
        };
        let interfaces: Vec<_> = (self.interfaces.iter())
            .map(|(name, mode)| format!("{name} {mode}"))
            .collect();
        if !interfaces.is_empty() {
            fact("interfaces", &interfaces.join(", "))?;
        }
        fact(
            "connections",
            &format_args!(
                "{} of {} ({full:.1} % full)",
                Count(totals.connections()),
                Count(totals.capacity)
            ),
        )?;
        for (state, count) in self.states() {
            fact(&format!("  {state}"), &Count(count))?;
        }
        fact(
            "expired",
            &format_args!(
                "{}, their room not needed yet",
                Count(totals.census.expired)
            ),
        )?;
        if let Some(rates) = self.rates {
            for (name, rate) in [
                ("new/s", rates.created),
                ("evicted/s", rates.evicted),
                ("refused/s", rates.refused),
            ] {
                fact(name, &format_args!("{rate:.1}"))?;
            }
        }
        writeln!(out)?;
        let entries = Statistic::ALL.map(|kind| (kind.name(), totals.statistic(kind)));
        counts(out, "ENTRIES", &entries, title)?;
        let packets: Vec<_> = self
            .errors()
            .filter(|&(_, count)| count != 0)
            .map(|(error, count)| (error.name(), count))
            .collect();
        if !packets.is_empty() {
            writeln!(out)?;
            counts(out, "PACKETS NOT TRACKED", &packets, title)?;
        }
        out.flush()
    }

    /// Writes it as one line of JSON.
    ///
    /// # Errors
    /// If writing fails.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let totals = self.totals;
        let record = Record {
            time: Rfc3339(Clock::now().wall(totals.at)).to_string(),
            interfaces: (self.interfaces.iter())
                .map(|(name, mode)| Attached {
                    name,
                    forward: *mode == Mode::Gateway,
                })
                .collect(),
            capacity: totals.capacity,
            connections: totals.connections(),
            by_state: self
                .states()
                .map(|(state, count)| (state.name(), count))
                .into(),
            expired: totals.census.expired,
            entries: Statistic::ALL
                .map(|kind| (kind.name(), totals.statistic(kind)))
                .into(),
            packets_not_tracked: self.errors().map(|(error, n)| (error.name(), n)).collect(),
            per_second: self.rates.map(|rates| PerSecond {
                new: rates.created,
                evicted: rates.evicted,
                refused: rates.refused,
            }),
        };
        serde_json::to_writer(&mut *out, &record)?;
        out.write_all(b"\n")?;
        out.flush()
    }
}

fn counts(
    out: &mut dyn Write,
    what: &'static str,
    counts: &[(&str, u64)],
    title: Style,
) -> io::Result<()> {
    let mut grid = Grid::new([("COUNT", Align::Right), (what, Align::Left)]);
    let rows: Vec<_> = (counts.iter())
        .map(|&(name, count)| [Count(count).to_string(), name.to_owned()])
        .collect();
    write_grid(out, &mut grid, &rows, title)
}

#[derive(Serialize)]
struct Record<'a> {
    time: String,
    interfaces: Vec<Attached<'a>>,
    capacity: u64,
    connections: u64,
    by_state: BTreeMap<&'static str, u64>,
    expired: u64,
    entries: BTreeMap<&'static str, u64>,
    packets_not_tracked: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<PerSecond>,
}

#[derive(Serialize)]
struct Attached<'a> {
    name: &'a str,
    forward: bool,
}

#[derive(Serialize)]
struct PerSecond {
    new: f64,
    evicted: f64,
    refused: f64,
}
