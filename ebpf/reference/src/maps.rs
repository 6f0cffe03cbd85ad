//! The maps, and the constants that the loader sets.

use aya_ebpf::Global;
use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::{Array, LruHashMap, ProgramArray};
use aya_ebpf::macros::btf_map;

use crate::drive::{Course, Ends};
use crate::entry::{Entry, Tuple};

/// Connections.
pub(crate) type Connections = LruHashMap<Tuple, Entry, 1>;

/// TCP connections. The loader sets their number.
#[btf_map]
pub(crate) static REF_TCP: Connections = LruHashMap::new();

/// Everything else, among it the entries for errors. The loader sets their number.
#[btf_map]
pub(crate) static REF_ANY: Connections = LruHashMap::new();

/// The ends that packets get, one after the other. The loader sets their number.
#[btf_map]
pub(crate) static PACKETS: Array<Ends, 1> = Array::new();

/// Where among them we are.
#[btf_map]
pub(crate) static COURSE: Array<Course, 1> = Array::new();

/// Memory for [`touch`](crate::touch), laid out as Flowkeep's records: two cache lines each. The
/// loader sets their number, which [`RECORDS`] repeats.
#[btf_map]
pub(crate) static TOUCHED: Array<[u64; 16], 1, { BPF_F_MMAPABLE as usize }> = Array::new();

/// The program that is measured.
#[btf_map]
pub(crate) static MEASURED: ProgramArray<1> = ProgramArray::new();

/// Elements of [`TOUCHED`].
#[unsafe(no_mangle)]
pub(crate) static RECORDS: Global<u32> = Global::new(1);

/// 1 if packets and bytes are counted.
#[unsafe(no_mangle)]
pub(crate) static ACCOUNTING: Global<u32> = Global::new(1);

/// 1 if the hardware's clock is read, as Cilium does, 0 if the time of the last tick will do.
#[unsafe(no_mangle)]
pub(crate) static EXACT_CLOCK: Global<u32> = Global::new(0);

/// 1 if the transport header is read from the packet's first buffer, 0 if the kernel is asked to
/// copy it, as Cilium does.
#[unsafe(no_mangle)]
pub(crate) static DIRECT: Global<u32> = Global::new(0);
