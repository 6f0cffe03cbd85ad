//! What passes from one step of a call to the next.
//!
//! As in the programs that are shipped: the stack is small, and the verifier walks through a step
//! once, knowing nothing of the ones before.

use aya_ebpf::btf_maps::{Array, PerCpuArray};
use aya_ebpf::macros::btf_map;
use flowkeep_core::cilium::State;
use flowkeep_core::entry::{Entry, Progress as EntryProgress};
use flowkeep_core::tracker::{Instant, Progress};
use flowkeep_core::tuple::Tuple;

use crate::bytes::Piece;
use crate::call::{CALL_WORDS, Call};
use crate::maps::MMAPABLE;

/// A [`Call`].
#[btf_map]
static CALL: Array<[u64; CALL_WORDS], 1, MMAPABLE> = Array::new();

/// A [`Work`].
#[btf_map]
static WORK: PerCpuArray<[u64; size_of::<Work>().div_ceil(8)], 1> = PerCpuArray::new();

/// The call at hand, as far as it has come.
#[repr(C)]
pub(crate) struct Work {
    pub(crate) now: Instant,
    pub(crate) piece: Piece,
    /// The packet's tuple.
    pub(crate) packet: Tuple,
    /// The tuple of the packet that it quotes, if it is an ICMP error and related by that.
    pub(crate) quote: Tuple,
    pub(crate) has_quote: bool,
    /// What an entry is created under.
    pub(crate) tuple: Tuple,
    /// What is searched for.
    pub(crate) first: Tuple,
    pub(crate) second: Tuple,
    /// What the look-up's search found, as [`search`](crate::table) has it.
    pub(crate) found: u64,
    /// What the look-up knows from the steps before.
    pub(crate) progress: Progress,
    /// An entry that was read.
    pub(crate) entry: Entry,
    /// What an entry's progress is, or is to be replaced, and by what.
    pub(crate) before: EntryProgress,
    pub(crate) after: EntryProgress,
    /// The caller's.
    pub(crate) state: State,
    pub(crate) tcp_flags: u8,
}

impl Work {
    /// This processor's.
    #[inline(always)]
    pub(crate) fn get() -> Option<&'static mut Self> {
        // SAFETY: an element is as large and as aligned as this is, nobody else uses this
        // processor's, and what is not plain numbers is written before it is read.
        WORK.get_ptr_mut(0)
            .map(|work| unsafe { &mut *work.cast::<Self>() })
    }
}

/// The call, and the work on it.
#[inline(always)]
pub(crate) fn call() -> Option<(&'static mut Call, &'static mut Work)> {
    // SAFETY: the element is as large and as aligned as a call, any words are one, and user space
    // leaves it alone while a program runs.
    let call = CALL
        .get_ptr_mut(0)
        .map(|call| unsafe { &mut *call.cast::<Call>() })?;
    Some((call, Work::get()?))
}
