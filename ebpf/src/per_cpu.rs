//! Counters, one for each processor.

use aya_ebpf::btf_maps::PerCpuArray;

/// Adds one to this processor's counter.
#[inline(always)]
pub(crate) fn increment<const N: usize>(counters: &PerCpuArray<u64, N>, index: u32) {
    if let Some(counter) = counters.get_ptr_mut(index) {
        // SAFETY: the element of this processor, which nobody else changes: programs of one hook
        // do not interrupt each other on a processor, but ingress may interrupt egress, and then
        // one of the two may be lost.
        unsafe { *counter = (*counter).wrapping_add(1) };
    }
}
