//! What the tracker says of a packet.

use super::{Change, Request};
use crate::Error;
use crate::packet::Packet;
use crate::tuple::Tuple;

/// What a packet is to the connections known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Of no connection that was known.
    New = 0,
    /// Of a known connection, in the direction in which it was created.
    Established = 1,
    /// Of a known connection, against that direction.
    Reply = 2,
    /// An ICMP error about a known connection.
    Related = 3,
    /// Its headers contradict themselves or are cut short: [`Verdict::reason`] says how.
    Invalid = 4,
    /// It is not tracked: [`Verdict::reason`] says why.
    Untracked = 5,
}

/// What the tracker says of a packet, and of the connection that it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Verdict<S> {
    /// What the packet is.
    pub status: Status,
    /// Why it is invalid or untracked.
    pub reason: Option<Error>,
    /// How many bytes of it are worth reporting; `None` leaves the caller's value as it is.
    pub monitor: Option<u32>,
    /// The entry of its connection, unless there is none.
    pub handle: Option<S>,
    /// What the packet changes about its connection, if that is worth an event.
    pub change: Option<Change>,
    /// The packet begins again a connection that was closing.
    pub reopened: bool,
    /// The look-up ended with the reverse direction.
    pub(super) is_reverse: bool,
}

impl<S> Verdict<S> {
    /// Of a packet that has no part in any connection.
    #[must_use]
    #[inline]
    pub const fn refused(reason: Error) -> Self {
        Self {
            status: if reason.is_invalid() {
                Status::Invalid
            } else {
                Status::Untracked
            },
            reason: Some(reason),
            monitor: None,
            handle: None,
            change: None,
            reopened: false,
            is_reverse: false,
        }
    }

    /// The tuple as the look-up of this packet left it: of what was found, or of what a new entry
    /// is created under. Not a field, because most callers have no use for it.
    #[must_use]
    #[inline]
    pub fn tuple(&self, packet: &Packet, request: &Request) -> Tuple {
        match &packet.quote {
            Some(quote) => self.tuple_of_quoted(quote, request),
            None => self.tuple_of(&packet.tuple, request),
        }
    }

    /// As [`Self::tuple`], of an ICMP error that quotes a packet with this tuple.
    #[must_use]
    #[inline(always)]
    pub fn tuple_of_quoted(&self, quote: &Tuple, request: &Request) -> Tuple {
        request.keys_of_quoted(quote)[usize::from(!self.is_reverse)]
    }

    /// As [`Self::tuple`], of a packet with this tuple that quotes none.
    #[must_use]
    #[inline(always)]
    pub fn tuple_of(&self, tuple: &Tuple, request: &Request) -> Tuple {
        request.keys(tuple)[usize::from(!self.is_reverse)]
    }
}
