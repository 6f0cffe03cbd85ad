//! Connections as people know them, and the one way from a table's entry to them.
//!
//! ```text
//!  tuple + entry ──▶ FlowSummary ──▶ ConnectionState ──▶ Connection ──▶ filter, output
//!  (core's table)    summary         state               describe
//!                       ▲                │
//!   listing: every entry of a table      └──▶ Census: how many there are in each state
//! ```
//!
//! Replay, saved tables and the commands of a live tracker all go this way, so that a state has one
//! meaning wherever it is shown, filtered by or counted.

mod clock;
mod describe;
mod event;
mod icmp_errors;
mod listing;
mod state;
mod summary;

use core::net::{IpAddr, SocketAddr};

pub use self::event::{Change, Event, EventKind};
pub use self::listing::{Census, Summary};
pub use self::state::ConnectionState;
pub(crate) use self::{
    clock::{SECOND, TableClock},
    describe::View,
    icmp_errors::IcmpErrors,
    listing::{census, for_each},
    summary::{FlowList, FlowSummary, ends},
};

/// A point in time: nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Nanoseconds from `earlier` to `self`; 0 if `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Packets and bytes of one direction.
///
/// A packet's bytes are those of its IP packet, header included, as its header states them: what
/// was on the wire, whatever part of it was captured. Link headers and padding do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes of the IP packets.
    pub bytes: u64,
}

/// An ICMP error about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// When it was seen.
    pub time: Timestamp,
    /// The host that sent it: an end of the connection or a router on its path.
    pub sender: IpAddr,
    /// The ICMP or ICMPv6 type, by the connection's address family.
    pub icmp_type: u8,
    /// The code.
    pub code: u8,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// IP protocol number.
    pub protocol: u8,
    /// The side that sent first. The port is 0 if the protocol has none; for an ICMP echo it is
    /// the identifier.
    pub originator: SocketAddr,
    /// The other side.
    pub responder: SocketAddr,
    /// How far it has come.
    pub state: ConnectionState,
    /// True if its timeout passed before the capture ended.
    pub expired: bool,
    /// TCP flags seen from the originator, ORed.
    pub originator_flags: u8,
    /// TCP flags seen from the responder, ORed.
    pub responder_flags: u8,
    /// What the originator sent.
    pub sent: Traffic,
    /// What the responder sent.
    pub received: Traffic,
    /// Time of its first packet.
    pub start: Timestamp,
    /// Time of its last packet.
    pub end: Timestamp,
    /// ICMP errors that quote a packet of this connection, in the order seen. Their packets and
    /// bytes are not part of `sent` and `received`.
    pub icmp_errors: Vec<IcmpError>,
}
