//! Noticing in time that connections expire.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use flowkeep_core::entry::Entry;
use flowkeep_core::table::{EntryHandle, Table};
use flowkeep_core::tuple::Tuple;

/// When each connection would expire as far as was known when it was last looked at. One that went
/// off too early is set anew. A connection that closes gets another one, which goes off sooner.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    heap: BinaryHeap<Reverse<(u32, u64, Tuple)>>,
}

impl Alarms {
    /// Sets the alarm of a connection that is new, or whose end has come nearer.
    pub(super) fn set(&mut self, tuple: &Tuple, entry: &Entry) {
        self.heap
            .push(Reverse((entry.progress.lifetime, entry.created, *tuple)));
    }

    /// The next connection that has expired by `now`.
    pub(super) fn next<T: Table>(&mut self, table: &T, now: u32) -> Option<(Tuple, Entry)> {
        loop {
            let Reverse((lifetime, created, tuple)) = *self.heap.peek()?;
            if lifetime >= now {
                return None;
            }
            self.heap.pop();
            let Some(entry) = table
                .find(table.hash(&tuple), &tuple)
                .and_then(|handle| handle.entry())
            else {
                continue;
            };
            // Another connection under the same tuple has its own alarm.
            if entry.created != created {
                continue;
            }
            if entry.progress.expired(now) {
                return Some((tuple, entry));
            }
            // Each packet that closes has set one.
            if entry.progress.alive() {
                self.set(&tuple, &entry);
            }
        }
    }
}
