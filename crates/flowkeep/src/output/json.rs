//! JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::record::{event_record, full, summary_record};
use super::{Content, Ending, Output};
use crate::connection::{Connection, Event};

/// One object: `{"connections": [...], "summary": {...}}`; with [`Content::Events`] the list is
/// called `events`. Elements are written one a line as they come.
///
/// Nothing is written before the first element or the end, so that a command that fails writes no
/// half of an object.
#[derive(Debug)]
pub struct Json<W> {
    out: W,
    content: Content,
    /// Elements were written.
    begun: bool,
}

impl<W: Write> Json<W> {
    /// Writes to `out`.
    pub const fn new(out: W, content: Content) -> Self {
        Self {
            out,
            content,
            begun: false,
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        match self.content.name() {
            Some(name) => write!(self.out, "{{\"{name}\": ["),
            None => write!(self.out, "{{"),
        }
    }

    fn element(&mut self, element: &impl Serialize) -> io::Result<()> {
        if !std::mem::replace(&mut self.begun, true) {
            self.begin()?;
            self.out.write_all(b"\n")?;
        } else {
            self.out.write_all(b",\n")?;
        }
        Ok(serde_json::to_writer(&mut self.out, element)?)
    }
}

impl<W: Write> Output for Json<W> {
    fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        self.element(&full(connection))
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.element(&event_record(event))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(mut self: Box<Self>, ending: Option<&Ending<'_>>) -> io::Result<()> {
        if !self.begun {
            self.begin()?;
        }
        let has_list = self.content.name().is_some();
        if has_list {
            self.out.write_all(if self.begun { b"\n]" } else { b"]" })?;
        }
        if let Some(ending) = ending {
            let comma = if has_list { ",\n" } else { "" };
            write!(self.out, "{comma}\"summary\": ")?;
            serde_json::to_writer(&mut self.out, &summary_record(ending))?;
        }
        self.out.write_all(b"}\n")?;
        self.out.flush()
    }
}

/// Writes the findings of [`check`](crate::live::check()) as a list.
///
/// # Errors
/// If writing fails.
#[cfg(target_os = "linux")]
pub fn findings(findings: &[crate::live::Finding], out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, findings)?;
    writeln!(out)?;
    out.flush()
}

/// Writes statistics of a live tracker as one line.
///
/// # Errors
/// If writing fails.
#[cfg(target_os = "linux")]
pub fn statistics(statistics: &crate::live::Statistics<'_>, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &live::record(statistics))?;
    out.write_all(b"\n")?;
    out.flush()
}

#[cfg(target_os = "linux")]
mod live {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::super::human::Rfc3339;
    use crate::live::{Mode, Rates, Statistics};

    #[derive(Serialize)]
    pub(super) struct Record<'a> {
        time: String,
        interfaces: Vec<Interface<'a>>,
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
    struct Interface<'a> {
        name: &'a str,
        forward: bool,
    }

    #[derive(Serialize)]
    struct PerSecond {
        new: f64,
        evicted: f64,
        rejected: f64,
    }

    pub(super) fn record<'a>(statistics: &Statistics<'a>) -> Record<'a> {
        let totals = statistics.totals;
        let interfaces = statistics.interfaces.iter();
        Record {
            time: Rfc3339(totals.time).to_string(),
            interfaces: interfaces
                .map(|(name, mode)| Interface {
                    name,
                    forward: *mode == Mode::Gateway,
                })
                .collect(),
            capacity: totals.capacity,
            connections: totals.connections(),
            by_state: totals.by_state().map(|(state, n)| (state.name(), n)).into(),
            expired: totals.census.expired,
            entries: totals.entries().into(),
            packets_not_tracked: totals
                .errors()
                .map(|(error, n)| (error.name(), n))
                .collect(),
            per_second: statistics.rates.map(|rates| {
                let Rates {
                    created,
                    evicted,
                    rejected,
                } = rates;
                PerSecond {
                    new: created,
                    evicted,
                    rejected,
                }
            }),
        }
    }
}
