//! The open connections, by the time of their next packets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::connection::Connection;

/// Open connections, the one with the next packet first. Those with packets in the same
/// microsecond come in the order in which they were put in.
#[derive(Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    pushed: u64,
}

/// Ordered by time and turn. The connection is boxed, since a heap moves its entries about.
struct Entry {
    time: u64,
    turn: u64,
    connection: Box<Connection>,
}

impl Queue {
    /// Adds a connection with a packet at `time`.
    pub(crate) fn push(&mut self, time: u64, connection: Box<Connection>) {
        self.heap.push(Reverse(Entry {
            time,
            turn: self.pushed,
            connection,
        }));
        self.pushed += 1;
    }

    /// Takes out the connection with the next packet, and tells the time.
    pub(crate) fn pop(&mut self) -> Option<(u64, Box<Connection>)> {
        self.heap
            .pop()
            .map(|Reverse(entry)| (entry.time, entry.connection))
    }

    /// When the next packet comes.
    pub(crate) fn next_time(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse(entry)| entry.time)
    }

    /// How many connections are open.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

impl Entry {
    const fn key(&self) -> (u64, u64) {
        (self.time, self.turn)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}
