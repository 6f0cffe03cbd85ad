//! What Flowkeep tells about one connection, and what happened when.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

pub use flowkeep_core::tracker::Change;

/// A point in packet time: nanoseconds since the Unix epoch.
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

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The responder has sent nothing.
    Unanswered,
    /// Both sides have sent.
    Answered,
    /// TCP: one side has sent a FIN.
    Closing,
    /// TCP: both sides have sent a FIN.
    Closed,
    /// TCP: a RST ended it after it was answered.
    Reset,
    /// TCP: the responder answered the SYN with a RST. Any protocol: an ICMP error was the only
    /// answer.
    Refused,
}

impl State {
    /// Every state, in the order of a connection's life.
    pub const ALL: [Self; 6] = [
        Self::Unanswered,
        Self::Answered,
        Self::Closing,
        Self::Closed,
        Self::Reset,
        Self::Refused,
    ];

    /// The state's name in output and in filters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::Answered => "answered",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An ICMP error about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// When it was seen.
    pub time: Timestamp,
    /// Who sent it: an end of the connection or a router on its path.
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
    /// The side that sent first. Port 0 where the protocol has none; an ICMP echo's identifier
    /// stands here.
    pub originator: SocketAddr,
    /// The other side.
    pub responder: SocketAddr,
    /// How far it has come.
    pub state: State,
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

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A packet changed something about it.
    Changed(Change),
    /// Its timeout has passed.
    Expired,
    /// It made room for another: closed or unanswered, in a full table.
    Evicted,
    /// It was not stored: the table is full of connections that must stay, or others were faster.
    Refused,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Changed(Change::New),
        Self::Changed(Change::Reply),
        Self::Changed(Change::Related),
        Self::Changed(Change::Report),
        Self::Changed(Change::Closing),
        Self::Changed(Change::Reopened),
        Self::Expired,
        Self::Evicted,
        Self::Refused,
    ];

    /// The event's name in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Changed(Change::New) => "new",
            Self::Changed(Change::Reply) => "reply",
            Self::Changed(Change::Related) => "related",
            Self::Changed(Change::Report) => "report",
            Self::Changed(Change::Closing) => "closing",
            Self::Changed(Change::Reopened) => "reopened",
            Self::Expired => "expired",
            Self::Evicted => "evicted",
            Self::Refused => "refused",
        }
    }
}

impl From<Change> for EventKind {
    fn from(change: Change) -> Self {
        Self::Changed(change)
    }
}

/// One event: what, when, and the connection as it was just after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When: the packet's time, or for an expiry the time at which the timeout passed.
    pub time: Timestamp,
    /// What.
    pub kind: EventKind,
    /// TCP flags of the packet, 0 for other protocols and for an expiry.
    pub tcp_flags: u8,
    /// The connection just after it.
    pub connection: Connection,
}
