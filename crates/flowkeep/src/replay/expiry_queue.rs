//! Which connections expire next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use flowkeep_core::entry::Entry;
use flowkeep_core::table::{EntryHandle, Table};
use flowkeep_core::tuple::Tuple;

/// Connections by the second at which they would have expired when they were last looked at. One
/// that lives longer by then is put back. A connection that closes is put in once more, because it
/// expires sooner.
#[derive(Debug, Default)]
pub(super) struct ExpiryQueue {
    /// Lifetime, creation, tuple.
    heap: BinaryHeap<Reverse<(u32, u64, Tuple)>>,
}

impl ExpiryQueue {
    /// Puts in a connection that is new, or whose expiry has come nearer.
    pub(super) fn push(&mut self, tuple: &Tuple, entry: &Entry) {
        self.heap
            .push(Reverse((entry.progress.lifetime, entry.created, *tuple)));
    }

    /// Takes out the connection that expired first of those that have expired by `now`.
    pub(super) fn pop<T: Table>(&mut self, table: &T, now: u32) -> Option<(Tuple, Entry)> {
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
            // Another connection under the same tuple was put in by itself.
            if entry.created != created {
                continue;
            }
            if entry.progress.lifetime == lifetime {
                return Some((tuple, entry));
            }
            // Packets have come since, so others may expire before it. Each packet that closes a
            // connection has put it in.
            if entry.progress.alive() {
                self.push(&tuple, &entry);
            }
        }
    }
}
