//! NDJSON: one JSON object a line.

use std::io::{self, Write};

use serde::Serialize;

use super::record::{event_record, full, summary_record};
use super::{Content, Ending, Output};
use crate::connection::{Connection, Event};

/// One object a line for each connection or event, all of the same shape. The summary is written
/// only if it is the whole content.
#[derive(Debug)]
pub struct Ndjson<W> {
    out: W,
    content: Content,
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

    fn finish(mut self: Box<Self>, ending: Option<&Ending<'_>>) -> io::Result<()> {
        if let (Content::Summary, Some(ending)) = (self.content, ending) {
            self.line(&summary_record(ending))?;
        }
        self.out.flush()
    }
}
