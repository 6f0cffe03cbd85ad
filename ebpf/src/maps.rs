//! The maps, and the constants that the loader sets.

use aya_ebpf::Global;
use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::{Array, LruHashMap, PerCpuArray, RingBuf};
use aya_ebpf::macros::btf_map;
use flowkeep_abi::{
    BUCKET_HEADER_WORDS, CONFIG_WORDS, FRAGMENTS, FirstFragment, HEADER_WORDS, RECORD_WORDS,
};
use flowkeep_core::Error;
use flowkeep_core::table::Statistic;

use crate::scratch::Scratch;
use crate::watch::Message;

pub(crate) const MMAPABLE: usize = BPF_F_MMAPABLE as usize;

/// The table's header. It describes the table to user space; the programs do not read it.
#[btf_map]
static HEADER: Array<[u64; HEADER_WORDS], 1, MMAPABLE> = Array::new();

/// The bucket headers. The loader sets their number.
#[btf_map]
pub(crate) static BUCKETS: Array<[u64; BUCKET_HEADER_WORDS], 1, MMAPABLE> = Array::new();

/// The table's records. The loader sets their number.
#[btf_map]
pub(crate) static RECORDS: Array<[u64; RECORD_WORDS], 1, MMAPABLE> = Array::new();

/// A [`Config`](flowkeep_abi::Config).
#[btf_map]
pub(crate) static CONFIG: Array<[u64; CONFIG_WORDS], 1, MMAPABLE> = Array::new();

/// What the table counts, by [`Statistic`].
#[btf_map]
pub(crate) static STATISTICS: PerCpuArray<u64, { Statistic::ALL.len() }> = PerCpuArray::new();

/// Packets that were not tracked, by [`Error::index`].
#[btf_map]
pub(crate) static ERRORS: PerCpuArray<u64, { Error::ALL.len() }> = PerCpuArray::new();

/// An [`Event`](flowkeep_abi::Event) a packet that is worth it, while somebody watches. The loader
/// sets the buffer's size.
#[btf_map]
pub(crate) static EVENTS: RingBuf<(), 4096> = RingBuf::new();

/// Events that found no room in the buffer.
#[btf_map]
pub(crate) static LOST: PerCpuArray<u64, 1> = PerCpuArray::new();

/// A processor's working memory.
#[btf_map]
pub(crate) static SCRATCH: PerCpuArray<[u64; size_of::<Scratch>() / 8], 1> = PerCpuArray::new();

/// What a processor tells, before it is sent.
#[btf_map]
pub(crate) static MESSAGE: PerCpuArray<[u64; size_of::<Message>() / 8], 1> = PerCpuArray::new();

/// First fragments, for the later ones.
#[btf_map]
pub(crate) static FIRST_FRAGMENTS: LruHashMap<[u64; 5], FirstFragment, FRAGMENTS> =
    LruHashMap::new();

/// Nanoseconds that the clock shows, if [`CLOCK_IS_SET`].
#[btf_map]
pub(crate) static CLOCK: Array<u64, 1, MMAPABLE> = Array::new();

/// 1 if time stands still until user space changes it: for tests.
#[unsafe(no_mangle)]
pub(crate) static CLOCK_IS_SET: Global<u32> = Global::new(0);

/// Nanoseconds of a jiffy.
#[unsafe(no_mangle)]
pub(crate) static JIFFY: Global<u64> = Global::new(4_000_000);

/// 1 if the processors do not keep the order of loads and stores by themselves.
#[unsafe(no_mangle)]
pub(crate) static WEAKLY_ORDERED: Global<u32> = Global::new(0);
