//! JSON: one object, or one object a line.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::record::{Flags, full, seconds, time};
use super::{Content, Output, Report};
use crate::connection::{Connection, Event};
use crate::protocol::Protocol;

/// One object: `{"connections": [...], "summary": {...}}`, with `events` for `connections` where
/// those are asked for. Elements are written one a line as they come.
#[derive(Debug)]
pub struct Json<W> {
    out: W,
    content: Content,
    empty: bool,
}

/// One object a line for each connection or event, all alike: a summary is written only where
/// it is the whole content.
#[derive(Debug)]
pub struct Ndjson<W> {
    out: W,
    content: Content,
}

#[derive(Serialize)]
struct EventRecord<C> {
    time: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp_flags: Option<Flags>,
    connection: C,
}

fn event_record(event: &Event) -> impl Serialize {
    let tcp = Protocol(event.connection.protocol) == Protocol::TCP;
    EventRecord {
        time: time(event.time),
        event: event.kind.name(),
        tcp_flags: tcp.then_some(Flags(event.tcp_flags)),
        connection: full(&event.connection),
    }
}

#[derive(Serialize)]
struct SummaryRecord<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    packets: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    first: Option<String>,
    last: Option<String>,
    connections: u64,
    by_protocol_and_state: Vec<Cell>,
    errors: BTreeMap<&'a str, u64>,
    shown: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packets_per_second: Option<f64>,
}

#[derive(Serialize)]
struct Cell {
    protocol: String,
    state: &'static str,
    connections: u64,
}

fn summary_record<'a>(report: &Report<'a>) -> SummaryRecord<'a> {
    let summary = report.summary;
    SummaryRecord {
        packets: report.elapsed.map(|_| summary.packets),
        bytes: report.elapsed.map(|_| summary.bytes),
        first: summary.first.map(time),
        last: summary.last.map(time),
        connections: summary.connections,
        by_protocol_and_state: summary
            .by_protocol_and_state
            .iter()
            .map(|(&(protocol, state), &connections)| Cell {
                protocol: Protocol(protocol).to_string(),
                state: state.name(),
                connections,
            })
            .collect(),
        errors: summary.errors.iter().copied().collect(),
        shown: report.shown,
        elapsed: (report.elapsed)
            .map(|elapsed| seconds(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))),
        packets_per_second: report.rate().map(f64::round),
    }
}

impl<W: Write> Json<W> {
    /// Writes to `out`.
    ///
    /// # Errors
    /// If writing fails.
    pub fn new(mut out: W, content: Content) -> io::Result<Self> {
        match content.name() {
            Some(name) => write!(out, "{{\"{name}\": [")?,
            None => write!(out, "{{")?,
        }
        Ok(Self {
            out,
            content,
            empty: true,
        })
    }

    fn element(&mut self, element: &impl Serialize) -> io::Result<()> {
        self.out
            .write_all(if self.empty { b"\n" } else { b",\n" })?;
        self.empty = false;
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

    fn finish(mut self: Box<Self>, report: Option<&Report<'_>>) -> io::Result<()> {
        let list = self.content.name().is_some();
        if list {
            self.out.write_all(if self.empty { b"]" } else { b"\n]" })?;
        }
        if let Some(report) = report {
            let comma = if list { ",\n" } else { "" };
            write!(self.out, "{comma}\"summary\": ")?;
            serde_json::to_writer(&mut self.out, &summary_record(report))?;
        }
        self.out.write_all(b"}\n")?;
        self.out.flush()
    }
}

impl<W: Write> Ndjson<W> {
    /// Writes to `out`.
    pub const fn new(out: W, content: Content) -> Self {
        Self { out, content }
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        self.out.write_all(b"\n")
    }
}

impl<W: Write> Output for Ndjson<W> {
    fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        self.line(&full(connection))
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.line(&event_record(event))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(mut self: Box<Self>, report: Option<&Report<'_>>) -> io::Result<()> {
        if let (Content::Summary, Some(report)) = (self.content, report) {
            self.line(&summary_record(report))?;
        }
        self.out.flush()
    }
}
