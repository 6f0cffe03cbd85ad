//! CSV (RFC 4180, but lines end with a line feed), with a header line.

use std::io::{self, Write};

use super::record::{flat, time};
use super::{Content, Ending, Output, tcp_flags};
use crate::connection::{Connection, Event};

/// A header line, then a line for each connection or event. CSV cannot hold a summary.
#[derive(Debug)]
pub struct Csv<W: Write> {
    out: ::csv::Writer<W>,
}

const CONNECTION: [&str; 15] = [
    "protocol",
    "originator",
    "originator_port",
    "responder",
    "responder_port",
    "state",
    "expired",
    "packets_sent",
    "bytes_sent",
    "packets_received",
    "bytes_received",
    "icmp_errors",
    "start",
    "end",
    "duration",
];

const EVENT: [&str; 3] = ["time", "event", "tcp_flags"];

impl<W: Write> Csv<W> {
    /// Writes to `out`.
    ///
    /// # Errors
    /// If writing fails.
    pub fn new(out: W, content: Content) -> io::Result<Self> {
        let mut out = ::csv::WriterBuilder::new()
            .has_headers(false)
            .from_writer(out);
        match content {
            Content::Connections => out.write_record(CONNECTION),
            Content::Events => out.write_record(EVENT.iter().chain(&CONNECTION)),
            Content::Summary => Ok(()),
        }
        .map_err(io_error)?;
        Ok(Self { out })
    }
}

impl<W: Write> Output for Csv<W> {
    fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        self.out.serialize(flat(connection)).map_err(io_error)
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        let record = (
            time(event.time),
            event.kind.name(),
            tcp_flags(event.tcp_flags),
            flat(&event.connection),
        );
        self.out.serialize(record).map_err(io_error)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(mut self: Box<Self>, _: Option<&Ending<'_>>) -> io::Result<()> {
        self.out.flush()
    }
}

/// The error of the writer below. csv's own conversion hides its kind, such as a broken pipe.
fn io_error(error: ::csv::Error) -> io::Error {
    match error.into_kind() {
        ::csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
