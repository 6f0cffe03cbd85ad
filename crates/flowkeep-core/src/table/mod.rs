//! Where entries live: what the tracker asks of a table, and our own table.
//!
//! The trait is small enough for a BPF map or a `HashMap` in a test. Our own table,
//! [`BucketTable`], is made of these rooms:
//!
//! | module | what |
//! | --- | --- |
//! | `word` | the atomic 64-bit word, with an implementation for each world |
//! | `layout` | bucket headers, records and the table's header, as they lie in memory |
//! | `state_word` | the word that says what a slot is |
//! | `hash` | the keyed symmetric hash, and the buckets of a tuple |
//! | `memory` | what the table asks of whoever owns the memory, and its bounds |
//! | `buckets` | the table, bucket headers, keys; and who may do what at the same time |
//! | `probe`, `bounded_probe` | probing, on a host and for the kernel's verifier |
//! | `home` | the one slot where an entry most likely is |
//! | `record`, `plain_update` | one entry in its slot: reading, updating |
//! | `lock`, `insert` | the lock of a bucket, insertion |
//! | `evict` | who makes room |
//! | `remove` | removal, the expiry sweep, abandoned slots |
//! | `walk` | iteration and counting |

mod bounded_probe;
mod buckets;
mod evict;
mod hash;
mod home;
mod insert;
mod layout;
mod lock;
mod memory;
mod plain_update;
mod probe;
mod record;
mod remove;
mod sighting;
mod state_word;
mod walk;
mod word;

pub use bounded_probe::search;
pub use buckets::{BucketTable, Keys};
pub use evict::{EvictLimit, EvictReason, Evicted, EvictionObserver, least_loss};
pub use hash::{BucketPair, Seed};
pub use insert::search_locked;
pub use layout::{
    BucketHeader, HEADER_BYTES, Header, LAYOUT_VERSION, LayoutError, Record, SLOTS, Statistic,
    table_bytes,
};
pub use lock::{Lock, lock, wait_while_busy};
pub use memory::{Bounds, HostBounds, KernelBounds, Memory, Slices};
pub use plain_update::{PlainUpdate, PlainUpdated};
pub use record::Handle;
pub use remove::Sweep;
pub use sighting::Sighting;
pub use walk::Census;
pub use word::Word;

use crate::entry::{Entry, Progress};
use crate::error::Refusal;
use crate::tracker::{Direction, Instant};
use crate::tuple::{Address, Tuple};

/// What a [`Table::probe`] found.
///
/// Which of the two tuples it is, is as good as random, and known only once the entry has come from
/// memory. So it is a number here, not a variant: a branch on it would be mispredicted half the
/// time and keep the processor from working ahead for all of that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<S> {
    /// The entry.
    pub handle: S,
    /// It is that of the first tuple, which takes precedence; else that of the second, and the
    /// first is not there.
    pub is_first: bool,
}

/// A table of entries, each under a tuple.
///
/// Methods take `&self`: a table is shared between processors, and its implementation says how
/// that is safe.
pub trait Table {
    /// A handle to one entry.
    type Handle<'t>: EntryHandle
    where
        Self: 't;
    /// Where a tuple's entry would be: computed once a packet, the same for a tuple and its
    /// reverse.
    type Hash: Copy;

    /// Where the entry of `tuple` and that of its reverse would be.
    fn hash(&self, tuple: &Tuple) -> Self::Hash;

    /// Looks for `tuple`, which is at `place`.
    fn find(&self, hash: Self::Hash, tuple: &Tuple) -> Option<Self::Handle<'_>>;

    /// Looks for `first` and for `second` in one pass; both are at `place`.
    #[inline]
    fn probe(
        &self,
        hash: Self::Hash,
        first: &Tuple,
        second: &Tuple,
    ) -> Option<Found<Self::Handle<'_>>> {
        let found = |is_first| move |handle| Found { handle, is_first };
        self.find(hash, first)
            .map(found(true))
            .or_else(|| self.find(hash, second).map(found(false)))
    }

    /// As [`Self::probe`], but only where an entry most likely is. What is found is what a probe
    /// would find; `None` says nothing.
    #[inline]
    fn probe_home(
        &self,
        hash: Self::Hash,
        first: &Tuple,
        second: &Tuple,
    ) -> Option<Found<Self::Handle<'_>>> {
        let _ = (hash, first, second);
        None
    }

    /// Stores `entry` under `tuple`. What is there already, under `tuple` or under `other`, which
    /// is that of the other direction and has the same hash, is kept or overwritten as `existing`
    /// says; all in one step.
    ///
    /// # Errors
    /// Why the table refuses. It is then unchanged.
    fn store(
        &self,
        hash: Self::Hash,
        tuple: &Tuple,
        other: &Tuple,
        entry: &Entry,
        existing: Existing,
        now: Instant,
    ) -> Result<Stored<Self::Handle<'_>>, Refusal>;

    /// Stores `entry` under `tuple`, in place of what is there.
    ///
    /// # Errors
    /// As [`Self::store`].
    #[inline]
    fn insert(
        &self,
        hash: Self::Hash,
        tuple: &Tuple,
        entry: &Entry,
        now: Instant,
    ) -> Result<Self::Handle<'_>, Refusal> {
        let other = tuple.swapped();
        match self.store(hash, tuple, &other, entry, Existing::Overwritten, now) {
            Ok(Stored::Inserted(handle) | Stored::Found(Found { handle, .. })) => Ok(handle),
            Err(Refusal::Contended) => Err(self.give_up()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Counts that somebody does not try again after [`Refusal::Contended`], which is returned.
    #[inline]
    fn give_up(&self) -> Refusal {
        Refusal::Contended
    }
}

/// What an insertion does with an entry that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Existing {
    /// It is overwritten, if it is under the same tuple.
    Overwritten,
    /// It is the answer, unless it has expired.
    KeptUnlessExpired,
    /// It is the answer.
    Kept,
}

impl Existing {
    /// Whether an entry with this lifetime is kept.
    #[must_use]
    #[inline(always)]
    pub const fn keeps(self, lifetime: u32, now: u32) -> bool {
        match self {
            Self::Overwritten => false,
            Self::KeptUnlessExpired => lifetime >= now,
            Self::Kept => true,
        }
    }

    /// The first lifetime of an entry that is the answer rather than one in the other direction.
    #[inline(always)]
    const fn oldest(self, now: u32) -> u32 {
        match self {
            Self::KeptUnlessExpired => now,
            Self::Overwritten | Self::Kept => 0,
        }
    }
}

/// What came of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored<S> {
    /// A new entry.
    Inserted(S),
    /// An entry that was there: `is_first` says that it is under the tuple that was to be stored.
    Found(Found<S>),
}

/// A handle to an entry that was found. The entry may go at any time; what is done through the
/// handle then has no effect on whatever took its place, but for what the table's documentation
/// says.
pub trait EntryHandle: Copy {
    /// What packets change; `None` if the entry is gone.
    fn progress(&self) -> Option<Progress>;

    /// Replaces `before` by `after`. False if another processor was faster, or the entry is gone:
    /// then nothing has changed.
    fn advance(&self, before: &Progress, after: &Progress) -> bool;

    /// Updates an entry whose connection goes on as it is, in one step. `None`, and nothing has
    /// changed, if there is more to do or another processor was faster: then [`Self::progress`]
    /// and [`Self::advance`] are the way.
    #[inline(always)]
    fn update(&self, update: &PlainUpdate) -> Option<PlainUpdated> {
        let _ = update;
        None
    }

    /// Counts packets of `length` bytes in all and notes their time: ingress into rx, else into tx.
    /// False if the entry is gone: then they are not counted.
    fn count(&self, direction: Direction, packets: u64, length: u64, now: Instant) -> bool;

    /// All of the entry; `None` if it is gone.
    fn entry(&self) -> Option<Entry>;

    /// The tuple that the entry is stored under; `None` if it is gone.
    fn tuple(&self) -> Option<Tuple>;

    /// Changes the reverse-NAT index.
    fn set_rev_nat_index(&self, index: u16);

    /// Changes the NAT address, or the backend that is kept there.
    fn set_nat_address(&self, address: Address);

    /// Changes the counter of received bytes, where Cilium 1.8 keeps a service's backend.
    fn set_rx_bytes(&self, bytes: u64);
}
