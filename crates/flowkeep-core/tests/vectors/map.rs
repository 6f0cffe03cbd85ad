//! A table over the standard library's hash map: the plainest there is, to compare with.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use flowkeep_core::entry::{Entry, Progress};
use flowkeep_core::error::Refusal;
use flowkeep_core::table::{EntryHandle, Existing, Found, Stored, Table};
use flowkeep_core::tracker::{Direction, Instant};
use flowkeep_core::tuple::{Address, Tuple};

#[derive(Default)]
pub(crate) struct MapTable {
    entries: RefCell<HashMap<Tuple, Rc<Cell<Entry>>>>,
}

impl MapTable {
    pub(crate) fn dump(&self) -> Vec<(Tuple, Entry)> {
        self.entries
            .borrow()
            .iter()
            .map(|(tuple, entry)| (*tuple, entry.get()))
            .collect()
    }

    pub(crate) fn remove(&self, tuple: &Tuple) {
        self.entries.borrow_mut().remove(tuple);
    }
}

/// Leaks its count on the entry: a test's slots are few.
#[derive(Clone, Copy)]
pub(crate) struct MapSlot<'t>(Tuple, &'t Cell<Entry>);

impl Table for MapTable {
    type Handle<'t> = MapSlot<'t>;
    type Hash = ();

    fn hash(&self, _: &Tuple) {}

    fn find(&self, (): (), tuple: &Tuple) -> Option<MapSlot<'_>> {
        let entry = self.entries.borrow().get(tuple).cloned()?;
        Some(MapSlot(*tuple, Box::leak(Box::new(entry))))
    }

    fn store(
        &self,
        (): (),
        tuple: &Tuple,
        other: &Tuple,
        entry: &Entry,
        existing: Existing,
        now: Instant,
    ) -> Result<Stored<MapSlot<'_>>, Refusal> {
        for (key, is_first) in [(tuple, true), (other, false)] {
            if let Some(handle) = self.find((), key)
                && existing.keeps(handle.1.get().progress.lifetime, now.seconds)
            {
                return Ok(Stored::Found(Found { handle, is_first }));
            }
        }
        self.entries
            .borrow_mut()
            .insert(*tuple, Rc::new(Cell::new(*entry)));
        let handle = self.find((), tuple).expect("just inserted");
        Ok(Stored::Inserted(handle))
    }
}

impl MapSlot<'_> {
    fn change(&self, change: impl FnOnce(&mut Entry)) {
        let mut entry = self.1.get();
        change(&mut entry);
        self.1.set(entry);
    }
}

impl EntryHandle for MapSlot<'_> {
    fn progress(&self) -> Option<Progress> {
        Some(self.1.get().progress)
    }

    fn advance(&self, before: &Progress, after: &Progress) -> bool {
        assert_eq!(Some(*before), self.progress(), "nobody else is here");
        self.change(|entry| entry.progress = *after);
        true
    }

    fn count(&self, direction: Direction, packets: u64, length: u64, now: Instant) -> bool {
        self.change(|entry| {
            let counters = if direction == Direction::Ingress {
                &mut entry.rx
            } else {
                &mut entry.tx
            };
            counters.packets += packets;
            counters.bytes += length;
            entry.last_seen = now.ticks;
        });
        true
    }

    fn tuple(&self) -> Option<Tuple> {
        Some(self.0)
    }

    fn entry(&self) -> Option<Entry> {
        Some(self.1.get())
    }

    fn set_rev_nat_index(&self, index: u16) {
        self.change(|entry| entry.rev_nat_index = index);
    }

    fn set_nat_address(&self, address: Address) {
        self.change(|entry| entry.nat_address = address);
    }

    fn set_rx_bytes(&self, bytes: u64) {
        self.change(|entry| entry.rx.bytes = bytes);
    }
}
