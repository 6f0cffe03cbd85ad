//! What a live tracker has counted.

use std::fmt;
use std::io::{self, Write};

use anstyle::Style;

use super::TITLE;
use super::grid::{Align, Grid, write_grid};
use crate::live::{Rates, Statistics, Totals};
use crate::output::Count;

/// Writes statistics, with ANSI colours if `color`.
///
/// # Errors
/// If writing fails.
pub fn statistics(statistics: &Statistics<'_>, out: &mut dyn Write, color: bool) -> io::Result<()> {
    let title = if color { TITLE } else { Style::new() };
    let totals = statistics.totals;
    let mut fact =
        |name: &str, value: &dyn fmt::Display| writeln!(out, "{title}{name:<13}{title:#}{value}");
    let interfaces = statistics.interfaces.iter();
    let interfaces: Vec<_> = interfaces
        .map(|(name, mode)| format!("{name} {mode}"))
        .collect();
    if !interfaces.is_empty() {
        fact("interfaces", &interfaces.join(", "))?;
    }
    fact(
        "connections",
        &format_args!(
            "{} of {} ({:.1} % full)",
            Count(totals.connections()),
            Count(totals.capacity),
            100.0 * totals.fill()
        ),
    )?;
    for (state, count) in totals.by_state() {
        fact(&format!("  {state}"), &Count(count))?;
    }
    let expired = Count(totals.census.expired);
    fact(
        "expired",
        &format_args!("{expired}, until their slots are needed"),
    )?;
    if let Some(rates) = statistics.rates {
        for (name, rate) in [
            ("new/s", rates.created),
            ("evicted/s", rates.evicted),
            ("rejected/s", rates.rejected),
        ] {
            fact(name, &format_args!("{rate:.1}"))?;
        }
    }
    writeln!(out)?;
    counts(out, "ENTRIES", &totals.entries(), title)?;
    let packets: Vec<_> = totals
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

/// A line on how a tracker is doing: `1,234 connections, 56 new/s, 7,890 packets/s on eth0, table
/// 0.5 % full: 34 unanswered, 1,200 answered`. What matters least comes last, where a narrow
/// terminal cuts the line.
#[derive(Clone, Copy, Debug)]
pub struct StatusLine<'a> {
    /// What is in the table now.
    pub totals: &'a Totals,
    /// What happened a second meanwhile.
    pub rates: Option<Rates>,
    /// Packets a second, as the interfaces count them.
    pub packets: Option<f64>,
    /// The names of the interfaces.
    pub interfaces: &'a str,
}

impl fmt::Display for StatusLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = self.totals;
        let connections = totals.connections();
        let s = if connections == 1 { "" } else { "s" };
        write!(f, "{} connection{s}", Count(connections))?;
        if let Some(rates) = self.rates {
            write!(f, ", {} new/s", Count(rates.created.round() as u64))?;
        }
        if let Some(packets) = self.packets {
            let packets = Count(packets.round() as u64);
            write!(f, ", {packets} packets/s on {}", self.interfaces)?;
        }
        write!(f, ", table {:.1} % full", 100.0 * totals.fill())?;
        for (count, what) in [
            (totals.evicted(), "evicted"),
            (totals.rejected(), "rejected"),
        ] {
            if count != 0 {
                write!(f, ", {} {what}", Count(count))?;
            }
        }
        let states = totals.by_state().into_iter();
        let mut separator = ": ";
        for (state, count) in states.filter(|&(_, count)| count != 0) {
            write!(f, "{separator}{} {state}", Count(count))?;
            separator = ", ";
        }
        Ok(())
    }
}
