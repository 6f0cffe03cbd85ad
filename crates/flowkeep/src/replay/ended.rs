//! Connections that are no longer in the table, in as few bytes as they need.

use flowkeep_core::entry::{Counters, Entry, EntryFlags};
use flowkeep_core::tuple::Tuple;

use super::describe::SECOND;

/// What is reported of a connection that has left the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(super) tuple: Tuple,
    pub(super) tx: Counters,
    pub(super) rx: Counters,
    pub(super) created: u64,
    pub(super) last_seen: u64,
    pub(super) lifetime: u32,
    pub(super) entry_flags: EntryFlags,
    pub(super) tx_flags: u8,
    pub(super) rx_flags: u8,
}

impl Ended {
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
}

impl Ended {
    /// Brings its times to nanoseconds.
    pub(crate) fn set_times(&mut self, nanoseconds: impl Fn(u64) -> u64) {
        self.created = nanoseconds(self.created);
        self.last_seen = nanoseconds(self.last_seen);
    }

    /// Whether the connection was ended by another that began under its tuple, not by its
    /// timeout: then its lifetime was cut to before its last packet.
    pub(crate) const fn is_retired(&self) -> bool {
        (self.lifetime as u64) < self.last_seen / SECOND
    }

    /// Whether its timeout has passed by `now`.
    pub(super) const fn is_expired(&self, now: u32) -> bool {
        self.lifetime < now && !self.is_retired()
    }
}

/// A list that grows without moving what it holds, so that it never takes its room twice.
#[derive(Debug, Default)]
pub(super) struct EndedList {
    chunks: Vec<Vec<Ended>>,
}

/// Records of a chunk: some 100 KiB.
const CHUNK: usize = 1024;

impl EndedList {
    pub(super) fn push(&mut self, ended: Ended) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(ended),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(ended);
                self.chunks.push(chunk);
            }
        }
    }

    pub(super) fn extend(&mut self, list: impl IntoIterator<Item = Ended>) {
        for ended in list {
            self.push(ended);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Ended> {
        self.chunks.iter().flatten()
    }

    /// The connection at this position of [`Self::iter`].
    pub(super) fn get(&self, index: usize) -> Option<&Ended> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }
}
