//! Writing connections, events, summaries and statistics, for people and for programs. Each format
//! has one module:
//!
//! | format | module | connections, in the order of | summary | events | statistics |
//! | --- | --- | --- | --- | --- | --- |
//! | table | [`table`] | starts | after them | one line each | yes |
//! | JSON | [`json`] | the calls | in the same object | in one object | one object a line |
//! | NDJSON | [`ndjson`] | the calls | only alone | one object a line | |
//! | CSV | [`csv`] | the calls | | one line each | |
//! | OpenMetrics | `prometheus` | | | | yes |
//!
//! All but the table write each connection at once and keep nothing. The table keeps a copy of each,
//! to sort them and to know how wide its columns are. [`human`] has numbers and times for people,
//! `record` the fields that the machine formats share.

pub mod csv;
pub mod human;
pub mod json;
pub mod ndjson;
#[cfg(all(feature = "command", target_os = "linux"))]
pub mod prometheus;
mod record;
pub mod table;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

pub use self::csv::Csv;
pub use self::human::{Bytes, Count};
pub use self::json::Json;
pub use self::ndjson::Ndjson;
pub use self::table::Table;

use crate::connection::{Connection, Event, Summary};

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
    /// The name of the list in JSON, if there is one.
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

    /// Flushes what was written so far.
    ///
    /// # Errors
    /// If writing fails.
    fn flush(&mut self) -> io::Result<()>;

    /// Writes what is left: connections that were kept, closing brackets, and the summary, if there
    /// is one and the format can hold it. Flushes.
    ///
    /// # Errors
    /// If writing fails.
    fn finish(self: Box<Self>, ending: Option<&Ending<'_>>) -> io::Result<()>;
}

/// What the summary is written from.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a> {
    /// What was counted.
    pub summary: &'a Summary,
    /// Connections or events written, after filters.
    pub shown: u64,
    /// How long a replay took; `None` if no packets were read, as from a table.
    pub elapsed: Option<Duration>,
}

impl Ending<'_> {
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

/// TCP flags (RFC 9293, section 3.1), from the lowest bit on: bit, name, and tcpdump's letter.
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
