//! The summary.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::Style;

use super::grid::{Align, Grid, write_grid};
use crate::connection::ConnectionState;
use crate::output::human::{Bytes, Count, Elapsed, Time};
use crate::output::{Content, Ending};
use crate::protocol::Protocol;

/// Writes the counts, connections by protocol and state, errors by kind, and the speed.
pub(super) fn write_summary(
    out: &mut dyn Write,
    ending: &Ending<'_>,
    content: Content,
    title: Style,
) -> io::Result<()> {
    let summary = ending.summary;
    let mut fact = |name: &str, value: &dyn std::fmt::Display| {
        writeln!(out, "{title}{name:<12}{title:#}{value}")
    };
    if ending.elapsed.is_some() {
        fact(
            "packets",
            &format_args!("{}, {}", Count(summary.packets), Bytes(summary.bytes)),
        )?;
    }
    if let (Some(first), Some(last)) = (summary.first, summary.last) {
        fact(
            "time (UTC)",
            &format_args!(
                "{} to {} ({})",
                Time(first),
                Time(last),
                Elapsed(last.since(first))
            ),
        )?;
    }
    let connections = Count(summary.connections);
    match content {
        Content::Connections if ending.shown < summary.connections => fact(
            "connections",
            &format_args!("{connections}, {} shown", Count(ending.shown)),
        )?,
        _ => fact("connections", &connections)?,
    }
    if let (Some(elapsed), Some(rate)) = (ending.elapsed, ending.rate()) {
        let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        fact(
            "replayed in",
            &format_args!("{}, {} packets/s", Elapsed(nanoseconds), Count(rate as u64)),
        )?;
    }
    if !summary.by_protocol_and_state.is_empty() {
        writeln!(out)?;
        write_states(out, &summary.by_protocol_and_state, title)?;
    }
    if !summary.errors.is_empty() {
        writeln!(out)?;
        let mut grid = Grid::new([("PACKETS", Align::Right), ("NOT TRACKED", Align::Left)]);
        let rows: Vec<_> = (summary.errors.iter())
            .map(|&(kind, packets)| [Count(packets).to_string(), kind.to_owned()])
            .collect();
        write_grid(out, &mut grid, &rows, title)?;
    }
    Ok(())
}

/// A row for each protocol, a column for each state.
fn write_states(
    out: &mut dyn Write,
    counts: &BTreeMap<(u8, ConnectionState), u64>,
    title: Style,
) -> io::Result<()> {
    let mut protocols: Vec<u8> = counts.keys().map(|(protocol, _)| *protocol).collect();
    protocols.dedup();
    let mut grid = Grid::new([
        ("PROTO", Align::Left),
        ("UNANSWERED", Align::Right),
        ("HALF-OPEN", Align::Right),
        ("ANSWERED", Align::Right),
        ("CLOSING", Align::Right),
        ("CLOSED", Align::Right),
        ("RESET", Align::Right),
        ("REFUSED", Align::Right),
    ]);
    let rows: Vec<_> = protocols
        .into_iter()
        .map(|protocol| {
            let count = |state| match counts.get(&(protocol, state)) {
                None | Some(0) => "-".to_owned(),
                Some(count) => Count(*count).to_string(),
            };
            let [a, b, c, d, e, f, g] = ConnectionState::ALL.map(count);
            [Protocol(protocol).to_string(), a, b, c, d, e, f, g]
        })
        .collect();
    write_grid(out, &mut grid, &rows, title)
}
