//! Every connection of a table in shared memory: a saved one, or the kernel's.

use std::collections::BTreeMap;

use flowkeep_core::table::{BucketTable, Memory};

use super::{Connection, ConnectionState, FlowSummary, IcmpErrors, Timestamp, View, ends};
use crate::filter::Filter;

/// How many connections there are, and what packets they came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Packets.
    pub packets: u64,
    /// Their bytes on the wire, link headers included.
    pub bytes: u64,
    /// Time of the earliest packet.
    pub first: Option<Timestamp>,
    /// Time of the latest packet.
    pub last: Option<Timestamp>,
    /// Connections.
    pub connections: u64,
    /// Connections by protocol number and state.
    pub by_protocol_and_state: BTreeMap<(u8, ConnectionState), u64>,
    /// Packets of no connection, by what is wrong with them or why they are not tracked.
    pub errors: Vec<(&'static str, u64)>,
}

impl Summary {
    /// Counts a connection.
    pub(crate) fn count(&mut self, connection: &Connection) {
        self.connections += 1;
        *self
            .by_protocol_and_state
            .entry((connection.protocol, connection.state))
            .or_default() += 1;
    }
}

/// How many entries a table has, by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Connections whose timeout has not passed, by [`ConnectionState`].
    by_state: [u64; ConnectionState::ALL.len()],
    /// Entries whose timeout has passed. Their slots are used again when they are needed.
    pub expired: u64,
    /// Entries that only relate ICMP errors to connections, as Cilium's rules have them.
    pub relating: u64,
}

impl Census {
    /// Connections in a state whose timeout has not passed.
    #[must_use]
    pub const fn count(&self, state: ConnectionState) -> u64 {
        self.by_state[state as usize]
    }

    /// Connections whose timeout has not passed.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.by_state.iter().sum()
    }

    /// Entries whose timeout has not passed.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.connections() + self.relating
    }
}

/// Counts a table's entries at the second `now`. Other processors may use the table meanwhile.
pub(crate) fn census<M: Memory>(table: &BucketTable<M>, now: u32) -> Census {
    let mut census = Census::default();
    for (_, tuple, entry) in table.iter() {
        let flow = FlowSummary::new(&tuple, &entry);
        let count = if flow.lifetime < now {
            &mut census.expired
        } else if flow.is_connection() {
            &mut census.by_state[ConnectionState::of(&flow, false) as usize]
        } else {
            &mut census.relating
        };
        *count += 1;
    }
    census
}

/// Calls `each` for every connection that matches the filter, in the order of their starts, with the
/// ICMP errors about it. With `summarize` the summary counts all connections.
///
/// Other processors may use the table meanwhile: a connection that is created or removed during
/// the call may be missed.
pub(crate) fn for_each<M: Memory>(
    table: &BucketTable<M>,
    view: &View,
    icmp_errors: &IcmpErrors,
    filter: &Filter,
    summarize: bool,
    mut each: impl FnMut(&Connection),
) -> Summary {
    let mut tally = Tally::default();
    // Sixteen bytes a connection: when it began, and where it is.
    let mut order: Vec<(u64, u32)> = Vec::new();
    let memory = table.memory();
    // Records are numbered by 32 bits.
    for index in 0..table.capacity() as u32 {
        if !summarize {
            // Most do not match, and the tuple alone shows it, whether or not it is an entry's.
            let tuple = memory.record(index).map(|record| record.tuple());
            if !tuple.is_some_and(|tuple| filter.matches_ends(tuple.protocol(), ends(&tuple))) {
                continue;
            }
        }
        let Some((_, tuple, entry)) = table.at(index) else {
            continue;
        };
        let flow = FlowSummary::new(&tuple, &entry);
        if !view.shows(&flow) {
            continue;
        }
        let state = view.state(&flow, icmp_errors.about(&flow));
        tally.count(tuple.protocol(), state);
        if filter.matches_state(state) && filter.matches_ends(tuple.protocol(), ends(&tuple)) {
            order.push((entry.created, index));
        }
    }
    order.sort_unstable();
    for (created, index) in order {
        // Another connection may have taken its place.
        let found = table
            .at(index)
            .filter(|(_, _, entry)| entry.created == created);
        if let Some((_, tuple, entry)) = found {
            let errors = icmp_errors.about(&FlowSummary::new(&tuple, &entry));
            if let Some(connection) = view.connection(&tuple, &entry, errors.to_vec()) {
                each(&connection);
            }
        }
    }
    tally.into()
}

/// Connections by protocol and state: an array, as a million of them are counted in 10 ms.
struct Tally {
    by_protocol: Vec<[u64; ConnectionState::ALL.len()]>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            by_protocol: vec![[0; _]; 256],
        }
    }
}

impl Tally {
    fn count(&mut self, protocol: u8, state: ConnectionState) {
        self.by_protocol[usize::from(protocol)][state as usize] += 1;
    }
}

impl From<Tally> for Summary {
    fn from(tally: Tally) -> Self {
        let mut summary = Self::default();
        for (protocol, states) in (0..=u8::MAX).zip(tally.by_protocol) {
            for (state, count) in ConnectionState::ALL.into_iter().zip(states) {
                if count != 0 {
                    let key = (protocol, state);
                    summary.by_protocol_and_state.insert(key, count);
                    summary.connections += count;
                }
            }
        }
        summary
    }
}
