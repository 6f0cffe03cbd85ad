//! The largest connections, in memory for no more than those.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::connection::Connection;

/// The size of a connection. Both directions count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Bytes of its IP packets.
    Bytes,
    /// Packets.
    Packets,
    /// Time from its first packet to its last.
    Duration,
}

impl Measure {
    fn of(self, connection: &Connection) -> u64 {
        let (sent, received) = (connection.sent, connection.received);
        match self {
            Self::Bytes => sent.bytes.saturating_add(received.bytes),
            Self::Packets => sent.packets.saturating_add(received.packets),
            Self::Duration => connection.end.since(connection.start),
        }
    }
}

/// Keeps the largest of the connections that it is given.
#[derive(Debug)]
pub struct Top {
    measure: Measure,
    limit: usize,
    /// The smallest one is on top.
    kept: BinaryHeap<Ranked>,
}

#[derive(Debug)]
struct Ranked {
    value: u64,
    connection: Connection,
}

impl Ranked {
    /// Of two connections of the same size the earlier one is first, and then their ends decide, so
    /// that the result does not depend on the order of calls.
    fn key(&self) -> impl Ord {
        let c = &self.connection;
        (
            core::cmp::Reverse(self.value),
            c.start,
            c.protocol,
            c.originator,
            c.responder,
        )
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl Top {
    /// Keeps `limit` connections.
    #[must_use]
    pub fn new(limit: usize, measure: Measure) -> Self {
        Self {
            measure,
            limit,
            kept: BinaryHeap::new(),
        }
    }

    /// Keeps a copy of the connection if it is among the largest so far.
    pub fn offer(&mut self, connection: &Connection) {
        let value = self.measure.of(connection);
        let full = self.kept.len() >= self.limit;
        // With a limit of 0 there is nothing on top.
        if full && self.kept.peek().is_none_or(|least| value < least.value) {
            return;
        }
        self.kept.push(Ranked {
            value,
            connection: connection.clone(),
        });
        if full {
            self.kept.pop();
        }
    }

    /// The largest connections, the largest first.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Connection> {
        let sorted = self.kept.into_sorted_vec();
        sorted.into_iter().map(|ranked| ranked.connection).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{Timestamp, Traffic};
    use crate::sample::sample;

    fn connections() -> Vec<Connection> {
        [(5, 1), (9, 2), (9, 3), (1, 4), (7, 5)]
            .into_iter()
            .map(|(packets, start)| Connection {
                sent: Traffic {
                    packets,
                    bytes: 100 - packets,
                },
                start: Timestamp(start),
                ..sample()
            })
            .collect()
    }

    fn starts(limit: usize, measure: Measure, all: &[Connection]) -> Vec<u64> {
        let mut top = Top::new(limit, measure);
        for connection in all {
            top.offer(connection);
        }
        top.into_sorted().iter().map(|c| c.start.0).collect()
    }

    #[test]
    fn the_largest_come_first_and_equals_by_age() {
        let mut all = connections();
        for _ in 0..all.len() {
            all.rotate_left(1);
            assert_eq!(starts(3, Measure::Packets, &all), [2, 3, 5]);
            assert_eq!(starts(1, Measure::Packets, &all), [2]);
            assert_eq!(starts(2, Measure::Bytes, &all), [4, 1]);
            assert_eq!(starts(2, Measure::Duration, &all), [1, 2]);
            assert_eq!(starts(9, Measure::Packets, &all), [2, 3, 5, 1, 4]);
            assert_eq!(starts(0, Measure::Packets, &all), [0; 0]);
        }
    }
}
