//! The tracker: what a packet is to the connections known, and what it does to them.
//!
//! | module | what |
//! | --- | --- |
//! | `front` | from a frame's bytes to a verdict |
//! | `request` | what is asked about a packet |
//! | `steps` | the way of a packet: search, update, create |
//! | `update`, `refresh` | what a packet does to an entry; timeouts and reports |
//! | `create` | a connection's first packet |
//! | `verdict`, `change` | what comes out, and what of it is worth an event |

mod change;
mod create;
mod front;
mod refresh;
mod request;
mod steps;
mod update;
mod verdict;

pub use change::Change;
pub use front::Context;
pub use request::Request;
pub use steps::{Origin, Progress, ROUNDS, Step, Subject};
pub use verdict::{Status, Verdict};

use core::marker::PhantomData;
use core::time::Duration;

use crate::rules::Rules;
use crate::settings::Settings;
use crate::table::Table;
use crate::tuple::Flags;

/// A point in time, as the caller's clock has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// Whole seconds on a clock that never goes back, modulo 2^32: timeouts and reports.
    pub seconds: u32,
    /// The same clock in finer ticks of the caller's choice: when entries began and were last
    /// seen.
    pub ticks: u64,
}

/// The time since the clock began, in ticks of a nanosecond.
impl From<Duration> for Instant {
    #[inline]
    fn from(time: Duration) -> Self {
        Self {
            seconds: time.as_secs() as u32,
            ticks: time.as_nanos() as u64,
        }
    }
}

/// The direction of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The packet leaves the tracked endpoint.
    Egress,
    /// The packet arrives at the tracked endpoint.
    Ingress,
    /// The packet is addressed to a load-balanced service and has not been translated yet.
    Service,
    /// The packet passes by: the tracker stands between the ends, and the originator is whoever
    /// sends first. Entries are kept as if the originator were the tracked endpoint: its packets
    /// count as egress, the responder's as ingress.
    Forwarded,
}

impl Direction {
    /// The flags under which the reverse direction is looked up.
    #[inline]
    pub(crate) const fn reverse_flags(self) -> Flags {
        match self {
            Self::Egress => Flags::IN,
            Self::Ingress | Self::Forwarded => Flags::OUT,
            Self::Service => Flags::SERVICE,
        }
    }

    /// The direction as the entry sees it whose reverse tuple a packet has, or else whose own.
    #[inline(always)]
    pub(crate) const fn of_entry(self, is_reverse: bool) -> Self {
        match self {
            Self::Forwarded if is_reverse => Self::Ingress,
            Self::Forwarded => Self::Egress,
            direction => direction,
        }
    }

    /// Whether a packet of this direction counts into rx; else into tx.
    #[inline]
    pub(crate) const fn is_ingress(self) -> bool {
        matches!(self, Self::Ingress)
    }

    #[inline]
    pub(crate) const fn is_service(self) -> bool {
        matches!(self, Self::Service)
    }
}

/// A tracker over a table: no state of its own.
#[derive(Clone, Copy, Debug)]
pub struct Tracker<'a, R, T> {
    /// Timeouts and the like.
    pub settings: &'a Settings,
    /// Where the entries are.
    pub table: &'a T,
    rules: PhantomData<R>,
}

impl<'a, R: Rules, T: Table> Tracker<'a, R, T> {
    /// A tracker under the rules `R`.
    #[must_use]
    #[inline]
    pub const fn new(settings: &'a Settings, table: &'a T) -> Self {
        Self {
            settings,
            table,
            rules: PhantomData,
        }
    }
}
