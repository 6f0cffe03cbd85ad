//! Connections that are no longer in the table, in as few bytes as they need.

use flowkeep_core::entry::{Counters, Entry, Marks};
use flowkeep_core::tuple::Tuple;

/// What is reported of a connection that has left the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) tuple: Tuple,
    pub(super) tx: Counters,
    pub(super) rx: Counters,
    pub(super) created: u64,
    pub(super) last_seen: u64,
    pub(super) lifetime: u32,
    pub(super) marks: Marks,
    pub(super) tx_flags: u8,
    pub(super) rx_flags: u8,
    pub(super) expired: bool,
}

impl Ended {
    pub(super) const fn new(tuple: &Tuple, entry: &Entry, expired: bool) -> Self {
        Self {
            tuple: *tuple,
            tx: entry.tx,
            rx: entry.rx,
            created: entry.created,
            last_seen: entry.last_seen,
            lifetime: entry.progress.lifetime,
            marks: entry.progress.marks,
            tx_flags: entry.progress.tx_flags,
            rx_flags: entry.progress.rx_flags,
            expired,
        }
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
}
