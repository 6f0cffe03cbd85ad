//! What a packet changes about a connection, as far as it is worth an event.

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

impl Change {
    /// Whether a connection begins.
    #[must_use]
    #[inline]
    pub const fn begins(self) -> bool {
        matches!(self, Self::New | Self::Reopened)
    }

    /// What a packet changes, if it changes anything. `reported`: it is worth reporting, and the
    /// connection is not closed; what comes after the close is always reported by the rules, and
    /// changes nothing.
    #[inline(always)]
    pub(super) const fn of(
        status: Status,
        reopened: bool,
        first_reply: bool,
        reported: bool,
        tcp_flags: u8,
    ) -> Option<Self> {
        if matches!(status, Status::Related) {
            Some(Self::Related)
        } else if reopened {
            Some(Self::Reopened)
        } else if tcp_flags & (tcp::FIN | tcp::RST) != 0 {
            Some(Self::Closing)
        } else if first_reply {
            Some(Self::Reply)
        } else if reported {
            Some(Self::Report)
        } else {
            None
        }
    }
}
