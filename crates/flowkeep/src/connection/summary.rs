//! What is kept of an entry to describe its connection.

use flowkeep_core::entry::{Counters, Entry, EntryFlags};
use flowkeep_core::tuple::{Flags, Tuple};

use super::TableClock;

/// The part of an entry that describes its connection. A replay keeps one of each connection that
/// has left its table, so it is small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlowSummary {
    pub(crate) tuple: Tuple,
    tx: Counters,
    rx: Counters,
    pub(crate) created: u64,
    pub(super) last_seen: u64,
    pub(crate) lifetime: u32,
    pub(super) entry_flags: EntryFlags,
    tx_flags: u8,
    rx_flags: u8,
}

/// What one side of a connection has sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    pub(super) counters: Counters,
    /// TCP flags, ORed.
    pub(super) tcp_flags: u8,
}

impl FlowSummary {
    #[inline(always)]
    pub(crate) const fn new(tuple: &Tuple, entry: &Entry) -> Self {
        Self {
            tuple: *tuple,
            tx: entry.tx,
            rx: entry.rx,
            created: entry.created,
            last_seen: entry.last_seen,
            lifetime: entry.progress.lifetime,
            entry_flags: entry.progress.entry_flags,
            tx_flags: entry.progress.tx_flags,
            rx_flags: entry.progress.rx_flags,
        }
    }

    /// Whether this is a connection. Under Cilium's rules there are also entries that only relate
    /// ICMP errors to one.
    #[inline(always)]
    pub(crate) const fn is_connection(&self) -> bool {
        !self.tuple.flags().contains(Flags::RELATED)
    }

    /// Whether another connection under the same tuple ended this one, rather than its timeout:
    /// then its lifetime was cut to before its last packet.
    pub(crate) fn is_retired(&self, clock: &TableClock) -> bool {
        self.lifetime < clock.second_of(self.last_seen)
    }

    /// What the originator and the responder have sent.
    #[inline(always)]
    pub(super) const fn sides(&self) -> [Side; 2] {
        let tx = Side {
            counters: self.tx,
            tcp_flags: self.tx_flags,
        };
        let rx = Side {
            counters: self.rx,
            tcp_flags: self.rx_flags,
        };
        if self.tuple.flags().contains(Flags::IN) {
            [rx, tx]
        } else {
            [tx, rx]
        }
    }
}

/// A list that grows without moving what it holds, so that it never needs its memory twice.
#[derive(Debug, Default)]
pub(crate) struct FlowList {
    chunks: Vec<Vec<FlowSummary>>,
}

/// Elements of a chunk: some 100 KiB.
const CHUNK: usize = 1024;

impl FlowList {
    pub(crate) fn push(&mut self, flow: FlowSummary) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(flow),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(flow);
                self.chunks.push(chunk);
            }
        }
    }

    pub(crate) fn extend(&mut self, flows: impl IntoIterator<Item = FlowSummary>) {
        for flow in flows {
            self.push(flow);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &FlowSummary> {
        self.chunks.iter().flatten()
    }

    /// The element at this position of [`Self::iter`].
    pub(crate) fn get(&self, index: usize) -> Option<&FlowSummary> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }
}
