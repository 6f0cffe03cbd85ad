//! What happens to a connection.

pub use flowkeep_core::tracker::Change;

use super::{Connection, Timestamp};

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A packet changed something about the connection.
    Changed(Change),
    /// The connection's timeout has passed.
    Expired,
    /// A closed or unanswered connection was removed from a full table to store another one.
    Evicted,
    /// The connection was not stored: every entry it could have replaced must stay, or other
    /// processors were faster.
    Rejected,
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
        Self::Rejected,
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
            Self::Rejected => "rejected",
        }
    }
}

impl From<Change> for EventKind {
    fn from(change: Change) -> Self {
        Self::Changed(change)
    }
}

/// One event: what happened, when, and the connection just after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The packet's time; for an expiry, the time at which the timeout passed.
    pub time: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// TCP flags of the packet; 0 for other protocols and for an expiry.
    pub tcp_flags: u8,
    /// The connection just after the event.
    pub connection: Connection,
}
