//! Writing connections, events and a summary, for people and for programs.
//!
//! | format | order of connections | summary |
//! | --- | --- | --- |
//! | [`Table`] | by start | at the end |
//! | [`Json`] | as given | in the same object |
//! | [`Ndjson`] | as given | none, or alone |
//! | [`Csv`] | as given | none |
//!
//! All but the table write each connection at once and keep nothing; the table keeps a copy of
//! each, to sort them and to know how wide its columns are.

mod csv;
mod grid;
mod human;
mod json;
mod record;
mod summary;
mod table;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

pub use self::csv::Csv;
pub use self::human::{Bytes, Count};
pub use self::json::{Json, Ndjson};
pub use self::table::Table;

#[cfg(target_os = "linux")]
pub(crate) use self::{
    grid::{Align, Grid},
    human::Rfc3339,
    summary::write_grid,
    table::TITLE,
};

use crate::connection::{Connection, Event};
use crate::replay::Summary;

/// What to write before the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Connections.
    Connections,
    /// Events.
    Events,
    /// Nothing: the summary only.
    Summary,
}

impl Content {
    /// What the elements are called, if there are any.
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Connections => Some("connections"),
            Self::Events => Some("events"),
            Self::Summary => None,
        }
    }
}

/// A format. Call [`Output::connection`] for each connection or [`Output::event`] for each event,
/// as its [`Content`] says, then [`Output::finish`].
pub trait Output {
    /// Writes a connection, or keeps it for later.
    ///
    /// # Errors
    /// If writing fails.
    fn connection(&mut self, connection: &Connection) -> io::Result<()>;

    /// Writes an event.
    ///
    /// # Errors
    /// If writing fails.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// Hands on what was written so far, for a reader who waits for it.
    ///
    /// # Errors
    /// If writing fails.
    fn flush(&mut self) -> io::Result<()>;

    /// Writes what is left: kept connections, closing brackets, the summary if one is given and
    /// the format has a place for it. Flushes.
    ///
    /// # Errors
    /// If writing fails.
    fn finish(self: Box<Self>, report: Option<&Report<'_>>) -> io::Result<()>;
}

/// What there is to say at the end.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// What the replay counted.
    pub summary: &'a Summary,
    /// Connections or events written, after filters.
    pub shown: u64,
    /// How long the replay took; `None` if packets were not what was read, as of a saved table.
    pub elapsed: Option<Duration>,
}

impl Report<'_> {
    /// Packets replayed in a second.
    fn rate(&self) -> Option<f64> {
        let seconds = self.elapsed?.as_secs_f64();
        Some(if seconds > 0.0 {
            self.summary.packets as f64 / seconds
        } else {
            0.0
        })
    }
}

/// TCP flags (RFC 9293 section 3.1), from the lowest bit on: bit, name, and letter as tcpdump has
/// it.
const TCP_FLAGS: [(u8, &str, char); 8] = [
    (0x01, "fin", 'F'),
    (0x02, "syn", 'S'),
    (0x04, "rst", 'R'),
    (0x08, "psh", 'P'),
    (0x10, "ack", '.'),
    (0x20, "urg", 'U'),
    (0x40, "ece", 'E'),
    (0x80, "cwr", 'W'),
];

/// TCP flags as tcpdump's letters: `S.`.
fn tcp_flags(flags: u8) -> String {
    let set = TCP_FLAGS.iter().filter(|(bit, ..)| flags & bit != 0);
    set.map(|(.., letter)| letter).collect()
}
