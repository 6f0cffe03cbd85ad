//! What a packet changes about a connection, as far as somebody who watches wants to be told.

use super::Status;
use crate::packet::tcp;

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// Its first packet.
    New,
    /// The responder's first packet.
    Reply,
    /// An ICMP error about it.
    Related,
    /// A packet worth reporting: a new TCP flag, or the report interval has passed.
    Report,
    /// A FIN or a RST.
    Closing,
    /// A SYN on a connection that was closing.
    Reopened,
}

/// What a look-up and its packet say of a connection that was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// What the packet is.
    pub status: Status,
    /// The packet begins the connection again.
    pub reopened: bool,
    /// The look-up found the packet worth reporting.
    pub reported: bool,
    /// The packet's TCP flags; 0 for other protocols.
    pub tcp_flags: u8,
    /// The responder has sent nothing before this packet.
    pub first_of_responder: bool,
    /// The connection is not closed in both directions.
    pub alive: bool,
}

impl Change {
    /// What is new, if anything is.
    #[must_use]
    #[inline]
    pub const fn of(seen: &Observation) -> Option<Self> {
        if matches!(seen.status, Status::Related) {
            Some(Self::Related)
        } else if seen.reopened {
            Some(Self::Reopened)
        } else if seen.tcp_flags & (tcp::FIN | tcp::RST) != 0 {
            Some(Self::Closing)
        } else if matches!(seen.status, Status::Reply) && seen.first_of_responder {
            Some(Self::Reply)
        } else if seen.reported && seen.alive {
            // What comes after the close is always reported by the rules, and is nothing new.
            Some(Self::Report)
        } else {
            None
        }
    }
}
