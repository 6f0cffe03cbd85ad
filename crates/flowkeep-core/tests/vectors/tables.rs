//! The tables that the vectors are replayed over.

use std::cell::Cell;
use std::sync::atomic::AtomicU64;

use flowkeep_core::entry::Entry;
use flowkeep_core::error::Refusal;
use flowkeep_core::table::{Bounds, BucketTable, Existing, Found, Stored, Table};
use flowkeep_core::tracker::Instant;
use flowkeep_core::tuple::Tuple;

use super::map::MapTable;
use super::memory::Owned;

/// A table that a scenario can look into, and whose inserts can be made to fail.
pub(crate) trait Inspected: Table {
    fn dump(&self) -> Vec<(Tuple, Entry)>;
    fn remove(&self, tuple: &Tuple);
}

impl Inspected for MapTable {
    fn dump(&self) -> Vec<(Tuple, Entry)> {
        Self::dump(self)
    }

    fn remove(&self, tuple: &Tuple) {
        Self::remove(self, tuple);
    }
}

/// Our own table.
pub(crate) type OwnTable<B> = BucketTable<Owned<AtomicU64, true, B>>;

impl<B: Bounds> Inspected for OwnTable<B> {
    fn dump(&self) -> Vec<(Tuple, Entry)> {
        self.iter()
            .map(|(_, tuple, entry)| (tuple, entry))
            .collect()
    }

    fn remove(&self, tuple: &Tuple) {
        let handle = self
            .find(self.hash(tuple), tuple)
            .expect("it was just listed");
        assert!(Self::remove(self, &handle, 0), "nobody else is here");
    }
}

/// Makes the n-th insert from now on fail, once.
pub(crate) struct Failing<T> {
    pub(crate) table: T,
    pub(crate) countdown: Cell<u32>,
    pub(crate) error: Cell<i32>,
}

impl<T> Failing<T> {
    pub(crate) const fn new(table: T) -> Self {
        Self {
            table,
            countdown: Cell::new(0),
            error: Cell::new(0),
        }
    }
}

impl<T: Table> Table for Failing<T> {
    type Handle<'t>
        = T::Handle<'t>
    where
        Self: 't;
    type Hash = T::Hash;

    fn hash(&self, tuple: &Tuple) -> T::Hash {
        self.table.hash(tuple)
    }

    fn find(&self, hash: T::Hash, tuple: &Tuple) -> Option<T::Handle<'_>> {
        self.table.find(hash, tuple)
    }

    fn probe(&self, hash: T::Hash, first: &Tuple, second: &Tuple) -> Option<Found<T::Handle<'_>>> {
        self.table.probe(hash, first, second)
    }

    fn store(
        &self,
        hash: T::Hash,
        tuple: &Tuple,
        other: &Tuple,
        entry: &Entry,
        existing: Existing,
        now: Instant,
    ) -> Result<Stored<T::Handle<'_>>, Refusal> {
        let left = self.countdown.get();
        self.countdown.set(left.saturating_sub(1));
        if left == 1 {
            return Err(Refusal::Other(self.error.get()));
        }
        self.table.store(hash, tuple, other, entry, existing, now)
    }
}
