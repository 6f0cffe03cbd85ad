//! The table's word as BPF instructions see it.
//!
//! `core::sync::atomic` is of no use on this target: it lacks read-modify-write. Volatile accesses
//! become plain loads and stores of 64 bits, which are single on every processor that runs BPF
//! programs compiled to its own instructions, and the intrinsics become the atomic instructions of
//! BPF (Linux 5.12).

use core::arch::asm;
use core::cell::UnsafeCell;
use core::intrinsics::AtomicOrdering::{AcqRel, Acquire, Relaxed};
use core::intrinsics::{atomic_and, atomic_cxchg, atomic_or, atomic_xadd, atomic_xchg, atomic_xor};

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use flowkeep_core::table;

use crate::maps::WEAKLY_ORDERED;

/// A 64-bit word in a map's memory, which other processors and user space change too.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Word(UnsafeCell<u64>);

// SAFETY: the word is reached through volatile and atomic accesses only.
unsafe impl Sync for Word {}

impl Word {
    pub(crate) const fn new(value: u64) -> Self {
        Self(UnsafeCell::new(value))
    }
}

impl table::Word for Word {
    #[inline(always)]
    fn load(&self) -> u64 {
        // SAFETY: `self` is a valid, aligned word.
        unsafe { self.0.get().read_volatile() }
    }

    /// Out of the compiler's sight: it would turn a comparison of several words without branches
    /// into one branch a word, and the verifier walks every way through them.
    #[inline(always)]
    fn difference(mut word: u64, value: u64) -> u64 {
        // SAFETY: an instruction on two registers.
        unsafe {
            asm!(
                "{0} ^= {1}",
                inout(reg) word,
                in(reg) value,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        word
    }

    #[inline(always)]
    fn opaque(mut value: u64) -> u64 {
        // SAFETY: no instruction, on a register.
        unsafe {
            asm!(
                "/* {0} */",
                inout(reg) value,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        value
    }

    #[inline(always)]
    fn load_acquire(&self) -> u64 {
        let value = self.load();
        Self::fence_acquire();
        value
    }

    #[inline(always)]
    fn store(&self, value: u64) {
        // SAFETY: `self` is a valid, aligned word.
        unsafe { self.0.get().write_volatile(value) }
    }

    #[inline(always)]
    fn store_release(&self, value: u64) {
        Self::fence_release();
        self.store(value);
    }

    #[inline(always)]
    fn exchange(&self, current: u64, new: u64) -> bool {
        // SAFETY: `self` is a valid, aligned word.
        unsafe { atomic_cxchg::<u64, { AcqRel }, { Acquire }>(self.0.get(), current, new).1 }
    }

    #[inline(always)]
    fn add(&self, value: u64) {
        // SAFETY: `self` is a valid, aligned word.
        unsafe { atomic_xadd::<u64, u64, { Relaxed }>(self.0.get(), value) };
    }

    #[inline(always)]
    fn flip(&self, bits: u64) {
        // SAFETY: `self` is a valid, aligned word.
        unsafe { atomic_xor::<u64, u64, { Relaxed }>(self.0.get(), bits) };
    }

    #[inline(always)]
    fn fetch_add(&self, value: u64) -> u64 {
        // SAFETY: `self` is a valid, aligned word.
        //
        // Not relaxed: LLVM 22 then makes `lock +=` of it, which returns nothing, and reads the
        // result all the same.
        unsafe { atomic_xadd::<u64, u64, { AcqRel }>(self.0.get(), value) }
    }

    #[inline(always)]
    fn fetch_or(&self, bits: u64) -> u64 {
        // SAFETY: `self` is a valid, aligned word.
        unsafe { atomic_or::<u64, u64, { AcqRel }>(self.0.get(), bits) }
    }

    #[inline(always)]
    fn mask(&self, bits: u64) {
        // SAFETY: `self` is a valid, aligned word.
        unsafe { atomic_and::<u64, u64, { Relaxed }>(self.0.get(), bits) };
    }

    #[inline(always)]
    fn fence_acquire() {
        fence();
    }

    #[inline(always)]
    fn fence_release() {
        fence();
    }

    /// The clock takes as long as a line from another processor's cache.
    #[inline(always)]
    fn relax() {
        // SAFETY: a helper without arguments.
        unsafe { bpf_ktime_get_ns() };
    }
}

/// What is exchanged for the sake of the order that comes with it.
static FENCE: Word = Word::new(0);

/// BPF has no fence. Where the processor needs one, an atomic exchange is as good: those that
/// return a value are fully ordered. Where it does not, the verifier removes this.
#[inline(always)]
fn fence() {
    // Nor may the compiler reorder. It also keeps it from holding on the stack what can be read
    // again: the words of a key, in a search.
    // SAFETY: no instruction.
    unsafe { asm!("", options(nostack, preserves_flags)) };
    if WEAKLY_ORDERED.load() != 0 {
        // SAFETY: a static word.
        unsafe { atomic_xchg::<u64, { AcqRel }>(FENCE.0.get(), 0) };
    }
}
