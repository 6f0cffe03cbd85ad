//! From what is kept of an entry to its connection.

use flowkeep_core::entry::{Counters, Entry};
use flowkeep_core::tuple::Tuple;

use super::summary::Side;
use super::{
    Connection, ConnectionState, FlowSummary, IcmpError, TableClock, Timestamp, Traffic, ends,
};

/// How a table is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// What the table's times mean.
    pub(crate) clock: TableClock,
    /// The second at which it is looked at.
    pub(crate) now: u32,
    /// Whether connections are shown whose timeout has passed.
    pub(crate) expired: bool,
    /// Whether an ICMP error refuses a connection. Not in a live table: most of those who look at
    /// it have not seen the error, and all have to say the same.
    pub(crate) icmp_refuses: bool,
}

impl View {
    /// The connection of an entry; `None` if it is not to be shown.
    pub(crate) fn connection(
        &self,
        tuple: &Tuple,
        entry: &Entry,
        icmp_errors: Vec<IcmpError>,
    ) -> Option<Connection> {
        let flow = FlowSummary::new(tuple, entry);
        self.shows(&flow).then(|| self.describe(&flow, icmp_errors))
    }

    /// Whether a connection is to be shown.
    #[inline(always)]
    pub(super) const fn shows(&self, flow: &FlowSummary) -> bool {
        flow.is_connection() && (self.expired || flow.lifetime >= self.now)
    }

    /// Describes a connection.
    pub(crate) fn describe(&self, flow: &FlowSummary, icmp_errors: Vec<IcmpError>) -> Connection {
        let [originator, responder] = ends(&flow.tuple);
        let [ours, theirs] = flow.sides();
        Connection {
            protocol: flow.tuple.protocol(),
            originator,
            responder,
            state: self.state(flow, &icmp_errors),
            expired: flow.lifetime < self.now && !flow.is_retired(&self.clock),
            originator_flags: ours.tcp_flags,
            responder_flags: theirs.tcp_flags,
            sent: ours.traffic(),
            received: theirs.traffic(),
            start: self.clock.of_tick(flow.created),
            end: self.clock.of_tick(flow.last_seen),
            icmp_errors,
        }
    }

    /// The state of a connection, with the ICMP errors about it.
    #[inline(always)]
    pub(super) fn state(&self, flow: &FlowSummary, icmp_errors: &[IcmpError]) -> ConnectionState {
        let refused = self.icmp_refuses && icmp_errors.iter().any(|error| error.kind().refuses());
        ConnectionState::of(flow, refused)
    }

    /// When the timeout of a connection passes, or passed.
    pub(crate) const fn expiry(&self, lifetime: u32) -> Timestamp {
        self.clock.expiry(lifetime)
    }
}

impl Side {
    const fn traffic(self) -> Traffic {
        let Counters { packets, bytes } = self.counters;
        Traffic { packets, bytes }
    }
}
