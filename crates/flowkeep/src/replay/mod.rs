//! Tracking the connections of a capture. The packets' times drive the clock.
//!
//! ```
//! use flowkeep::connection::Timestamp;
//! use flowkeep::replay::{Options, Replay};
//! use flowkeep_core::packet::LinkType;
//!
//! // A UDP datagram of 4 bytes from 192.0.2.1:1000 to 192.0.2.2:53, without a link header.
//! let packet = [
//!     0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // IPv4
//!     0x03, 0xe8, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4, // UDP
//! ];
//! let mut replay = Replay::new(Options::default())?;
//! replay.packet(LinkType::RawIp, Timestamp(1_000_000_000), 32, &packet, &mut |_| {});
//! let summary = replay.finish(&mut |_| {}, &mut |connection| {
//!     assert_eq!(connection.originator, "192.0.2.1:1000".parse().unwrap());
//!     assert_eq!(connection.sent.bytes, 32);
//! });
//! assert_eq!(summary.connections, 1);
//! # Ok::<(), flowkeep::memory::MemoryError>(())
//! ```

mod clock;
mod engine;
mod expiry_queue;
mod fragments;
mod growing;
#[cfg(test)]
mod tests;
mod tracking;

use std::path::Path;

use flowkeep_core::packet::LinkType;
pub use flowkeep_core::rules::RuleSet;
use flowkeep_core::rules::{self, Cilium18, Cilium119};

pub use crate::connection::Summary;
use crate::connection::{Connection, Event, Timestamp};
use crate::memory::MemoryError;
use crate::prefix::Prefix;
use engine::{Engine, Replayer};

/// The options of a replay.
#[derive(Clone, Debug)]
pub struct Options {
    /// The rules.
    pub rules: RuleSet,
    /// The addresses whose point of view is used: packets from them are egress, packets to them are
    /// ingress. All other packets, and those between two of them, are seen as a gateway sees them.
    pub local: Vec<Prefix>,
    /// How many connections the table is created for. It grows if there are more.
    pub connections: u32,
    /// Whether there are events. Without them a replay is faster, because it need not notice an expiry
    /// at once.
    pub events: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rules: RuleSet::Default,
            local: Vec::new(),
            connections: 65_536,
            events: false,
        }
    }
}

/// A replay.
pub struct Replay {
    engine: Box<dyn Engine>,
}

impl core::fmt::Debug for Replay {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Replay").finish_non_exhaustive()
    }
}

impl Replay {
    /// Starts a replay.
    ///
    /// # Errors
    /// If there is no memory for the table.
    pub fn new(options: Options) -> Result<Self, MemoryError> {
        let engine: Box<dyn Engine> = match options.rules {
            RuleSet::Cilium18 => Box::new(Replayer::<Cilium18>::new(options)?),
            RuleSet::Cilium119 => Box::new(Replayer::<Cilium119>::new(options)?),
            RuleSet::Default => Box::new(Replayer::<rules::Default>::new(options)?),
        };
        Ok(Self { engine })
    }

    /// Tracks a packet, given its link type, its time, its length on the wire and its captured bytes.
    /// Events come in the order of packet time, and a few packets late.
    pub fn packet(
        &mut self,
        link: LinkType,
        time: Timestamp,
        wire_length: u32,
        data: &[u8],
        on_event: &mut dyn FnMut(Event),
    ) {
        self.engine.packet(link, time, wire_length, data, on_event);
    }

    /// Returns the events of all packets so far without waiting for further packets.
    pub fn flush(&mut self, on_event: &mut dyn FnMut(Event)) {
        self.engine.flush(on_event);
    }

    /// Writes the connections that have not expired to a file, replacing an existing one.
    /// [`SavedTable`](crate::saved::SavedTable) reads it. Call [`Self::flush`] before.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn save(&self, path: &Path) -> Result<(), MemoryError> {
        self.engine.save(path)
    }

    /// Ends the replay, and calls `each` for every connection, in the order of their starts.
    pub fn finish(
        self,
        on_event: &mut dyn FnMut(Event),
        each: &mut dyn FnMut(&Connection),
    ) -> Summary {
        self.engine.finish(on_event, each)
    }
}
