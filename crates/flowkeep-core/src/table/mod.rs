//! Where entries live: what the tracker asks of a table, and our own table.
//!
//! The trait is small enough for a BPF map or a `HashMap` in a test. Our own table,
//! [`BucketTable`], is made of these rooms:
//!
//! | room | what |
//! | --- | --- |
//! | `word` | the atomic 64-bit word, with a twin for each world |
//! | `layout` | set heads, records and the header, as they lie in memory |
//! | `hash` | the keyed symmetric hash, and the places of a tuple |
//! | `memory` | what the table asks of whoever owns the memory |
//! | `sets` | the table, and the head of a set |
//! | `probe` | probing; `verified` in its place in the kernel |
//! | `glance` | the one slot where an entry most likely is, and who may be elsewhere |
//! | `record` | one entry in its slot: reading, touching |
//! | `insert` | insertion, removal and who makes room |
//! | `renewal` | the short way of packets whose connection goes on as it is |
//! | `walk` | iteration, counting and the expiry sweep |

mod buckets;
mod hash;
mod home;
mod insert;
mod layout;
mod memory;
#[cfg_attr(target_arch = "bpf", path = "bounded_probe.rs")]
mod probe;
mod record;
mod renewal;
mod walk;
mod word;

pub use buckets::{BucketTable, Keys};
pub use hash::{BucketPair, Seed};
#[cfg(target_arch = "bpf")]
pub use insert::expendable_record;
pub use insert::{EvictLimit, EvictReason, Evicted, EvictionObserver};
pub use layout::{
    BucketHeader, HEADER_BYTES, Header, LAYOUT_VERSION, LayoutError, Record, SLOTS, Statistic,
    table_bytes,
};
pub use memory::{Memory, Slices};
#[cfg(target_arch = "bpf")]
pub use probe::{Sighting, search, search_and_flag_reverse};
pub use record::Handle;
pub use renewal::Renewal;
pub use walk::{Census, Sweep};
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

    /// As [`Self::probe`], but at a glance: only where an entry most likely is. What is found is what
    /// a probe would find; `None` says nothing.
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

    /// Stores `entry` under `tuple`, in place of what is there.
    ///
    /// # Errors
    /// Why the table refuses. It is then unchanged.
    fn insert(
        &self,
        hash: Self::Hash,
        tuple: &Tuple,
        entry: &Entry,
        now: Instant,
    ) -> Result<Self::Handle<'_>, Refusal>;
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

    /// Whether [`Self::renew`] is worth a try.
    const RENEWS: bool = false;

    /// Touches an entry whose connection goes on as it is, in one step. Whether a report is due;
    /// `None`, and nothing has changed, if there is more to do or another processor was faster:
    /// then [`Self::progress`] and [`Self::advance`] are the way.
    #[inline(always)]
    fn renew(&self, renewal: &Renewal) -> Option<bool> {
        let _ = renewal;
        None
    }

    /// Counts packets of `length` bytes in all and notes their time: ingress into rx, else into tx.
    fn count(&self, direction: Direction, packets: u64, length: u64, now: Instant);

    /// All of the entry; `None` if it is gone.
    fn entry(&self) -> Option<Entry>;

    /// Changes the reverse-NAT index.
    fn set_rev_nat_index(&self, index: u16);

    /// Changes the NAT address, or the backend that is kept there.
    fn set_nat_address(&self, address: Address);

    /// Changes the counter of received bytes, where Cilium 1.8 keeps a service's backend.
    fn set_rx_bytes(&self, bytes: u64);
}
