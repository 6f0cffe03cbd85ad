//! The atomic 64-bit word that everything in the table is made of.
//!
//! There is an implementation for each world that the table lives in: the standard library's atomic here, the
//! BPF instructions in the kernel's crate, the model checker's atomic in the tests.

/// A 64-bit word in shared memory. Loads and stores are relaxed unless their name says otherwise.
pub trait Word {
    /// Relaxed load.
    fn load(&self) -> u64;
    /// The bits in which a word that was loaded is not `value`. See [`Self::opaque`].
    #[inline(always)]
    fn difference(word: u64, value: u64) -> u64 {
        word ^ value
    }
    /// The value itself; a compiler for the kernel is kept from knowing what was computed, and so
    /// from turning a choice without branches into branches, all of which the verifier would walk.
    #[inline(always)]
    fn opaque(value: u64) -> u64 {
        value
    }
    /// Load that later reads can't overtake.
    fn load_acquire(&self) -> u64;
    /// Relaxed store.
    fn store(&self, value: u64);
    /// Store that earlier writes can't fall behind.
    fn store_release(&self, value: u64);
    /// Stores `new` if the word is `current`, with acquire and release ordering. True if it was.
    fn exchange(&self, current: u64, new: u64) -> bool;
    /// Adds, wrapping, relaxed.
    fn add(&self, value: u64);
    /// Adds, wrapping, relaxed. Returns the value before.
    fn fetch_add(&self, value: u64) -> u64;
    /// Flips bits, relaxed; returns nothing.
    fn flip(&self, bits: u64);
    /// Sets bits, relaxed. Returns the value before.
    fn fetch_or(&self, bits: u64) -> u64;
    /// Clears all bits but these, relaxed; returns nothing.
    fn mask(&self, bits: u64);
    /// Later reads can't overtake earlier ones.
    fn fence_acquire();
    /// Earlier writes can't fall behind later ones.
    fn fence_release();
    /// Called between tries for a lock.
    fn relax();
}

#[cfg(target_has_atomic = "64")]
mod host {
    use core::hint::spin_loop;
    use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
    use core::sync::atomic::{AtomicU64, fence};

    impl super::Word for AtomicU64 {
        #[inline(always)]
        fn load(&self) -> u64 {
            self.load(Relaxed)
        }

        #[inline(always)]
        fn load_acquire(&self) -> u64 {
            self.load(Acquire)
        }

        #[inline(always)]
        fn store(&self, value: u64) {
            self.store(value, Relaxed);
        }

        #[inline(always)]
        fn store_release(&self, value: u64) {
            self.store(value, Release);
        }

        #[inline(always)]
        fn exchange(&self, current: u64, new: u64) -> bool {
            self.compare_exchange(current, new, AcqRel, Relaxed).is_ok()
        }

        #[inline(always)]
        fn add(&self, value: u64) {
            self.fetch_add(value, Relaxed);
        }

        #[inline(always)]
        fn fetch_add(&self, value: u64) -> u64 {
            self.fetch_add(value, Relaxed)
        }

        #[inline(always)]
        fn flip(&self, bits: u64) {
            self.fetch_xor(bits, Relaxed);
        }

        #[inline(always)]
        fn fetch_or(&self, bits: u64) -> u64 {
            self.fetch_or(bits, Relaxed)
        }

        #[inline(always)]
        fn mask(&self, bits: u64) {
            self.fetch_and(bits, Relaxed);
        }

        #[inline(always)]
        fn fence_acquire() {
            fence(Acquire);
        }

        #[inline(always)]
        fn fence_release() {
            fence(Release);
        }

        #[inline(always)]
        fn relax() {
            spin_loop();
        }
    }
}
