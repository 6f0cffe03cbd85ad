//! Operations on a single entry, found under its tuple.

use crate::entry::{Entry, EntryFlags};
use crate::rules::Rules;
use crate::table::{EntryHandle, Table};
use crate::tracker::{Instant, ROUNDS, Tracker};
use crate::tuple::{Flags, Tuple};

/// What a node-port query answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePortQuery {
    /// There is such an entry.
    pub found: bool,
    /// Its NAT index, if it is a node-port entry.
    pub rev_nat_index: Option<u16>,
}

impl<'a, R: Rules, T: Table> Tracker<'a, R, T> {
    fn single(&self, tuple: &Tuple) -> Option<T::Handle<'a>> {
        self.table.find(self.table.hash(tuple), tuple)
    }

    /// The entry under this tuple with its flags replaced.
    fn under(&self, tuple: &Tuple, flags: Flags) -> Option<Entry> {
        let tuple = tuple.with_flags(tuple.flags().replaced_by(flags));
        self.single(&tuple)?.entry()
    }

    /// Gives a node-port entry its lifetime again, and reopens it if it was closed. False if
    /// there is no entry, true also if it is not a node-port one.
    #[must_use]
    pub fn keep_alive(&self, tuple: &Tuple, now: Instant) -> bool {
        let Some(handle) = self.single(tuple) else {
            return false;
        };
        for _ in 0..ROUNDS {
            let Some(before) = handle.progress() else {
                return false;
            };
            if !before.entry_flags.contains(EntryFlags::NODE_PORT) {
                return true;
            }
            let mut after = before;
            let timeout = if before.entry_flags.contains(EntryFlags::SEEN_NON_SYN) {
                self.settings.service_tcp
            } else {
                self.settings.service_non_tcp
            };
            after.lifetime = now.seconds.wrapping_add(timeout);
            if !before.alive() {
                after.entry_flags.remove(EntryFlags::CLOSED);
            }
            if handle.advance(&before, &after) {
                break;
            }
        }
        true
    }

    /// Changes the backend of a service's entry. False if there is none.
    pub fn update_backend(&self, tuple: &Tuple, backend: u32) -> bool {
        let Some(handle) = self.single(tuple) else {
            return false;
        };
        if R::BACKEND_IN_RX_BYTES {
            handle.set_rx_bytes(u64::from(backend));
        } else {
            let Some(mut entry) = handle.entry() else {
                return false;
            };
            entry.set_backend(u64::from(backend));
            handle.set_nat_address(entry.nat_address);
        }
        true
    }

    /// Changes the reverse-NAT index of an entry. False if there is none.
    pub fn update_rev_nat_index(&self, tuple: &Tuple, index: u16) -> bool {
        self.single(tuple)
            .map(|handle| handle.set_rev_nat_index(index))
            .is_some()
    }

    /// Changes the mark for direct server return. False if there is no entry.
    pub fn update_dsr(&self, tuple: &Tuple, dsr: bool) -> bool {
        let Some(handle) = self.single(tuple) else {
            return false;
        };
        for _ in 0..ROUNDS {
            let Some(before) = handle.progress() else {
                return false;
            };
            let mut after = before;
            after.entry_flags.set(EntryFlags::DSR, dsr);
            if handle.advance(&before, &after) {
                break;
            }
        }
        true
    }

    /// Whether a packet with this tuple is a reply: there is an entry for the flow coming in.
    #[must_use]
    pub fn is_reply(&self, tuple: &Tuple) -> bool {
        self.under(tuple, Flags::IN).is_some()
    }

    /// Whether there is an entry for the flow going out.
    #[must_use]
    pub fn has_egress_entry(&self, tuple: &Tuple) -> bool {
        self.under(tuple, Flags::OUT).is_some()
    }

    /// Whether there is an entry for the flow going out that has one of these marks.
    #[must_use]
    pub fn has_egress_entry_with(&self, tuple: &Tuple, entry_flags: EntryFlags) -> bool {
        self.under(tuple, Flags::OUT)
            .is_some_and(|entry| entry.progress.entry_flags.intersects(entry_flags))
    }

    /// Whether there is a node-port entry for the flow going out, or with `or_dsr` one for direct
    /// server return.
    #[must_use]
    pub fn node_port_egress(&self, tuple: &Tuple, or_dsr: bool) -> NodePortQuery {
        let entry = self.under(tuple, Flags::OUT);
        let marked =
            |entry_flags| entry.filter(|entry| entry.progress.entry_flags.contains(entry_flags));
        match marked(EntryFlags::NODE_PORT) {
            Some(entry) => NodePortQuery {
                found: true,
                rev_nat_index: Some(entry.rev_nat_index),
            },
            None => NodePortQuery {
                found: or_dsr && marked(EntryFlags::DSR).is_some(),
                rev_nat_index: None,
            },
        }
    }
}
