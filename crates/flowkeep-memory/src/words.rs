//! A mapping as words.

use core::ops::Deref;
use std::io;
use std::sync::atomic::AtomicU64;

use flowkeep_core::table::Header;
use memmap2::{MmapMut, MmapRaw};

/// A mapping for reading and writing, as atomic words: whoever else has it mapped may change them
/// at any time. What is left of it after the last whole word is not reached.
#[derive(Debug)]
pub struct Words(MmapRaw);

impl Words {
    /// The first `bytes` of a file or of a BPF map that can be mapped, as all see them.
    ///
    /// Somebody who shortens a file meanwhile makes a later access fail with a signal, as for
    /// every program that maps files. BPF maps keep their size.
    ///
    /// # Errors
    /// What the system says: a BPF map with fewer bytes is refused.
    #[cfg(unix)]
    pub fn shared(file: impl std::os::fd::AsFd, bytes: usize) -> io::Result<Self> {
        use std::os::fd::AsRawFd as _;

        let mut options = memmap2::MmapOptions::new();
        options
            .len(bytes)
            .map_raw(file.as_fd().as_raw_fd())
            .map(Self)
    }

    /// The words as the header of a table, if there are as many as a header has.
    #[must_use]
    pub fn header(&self) -> Option<&Header<AtomicU64>> {
        // SAFETY: so long is the mapping, which lives as long as `self` and is aligned to a page,
        // as a header is; any bytes are a valid header of atomics, and both sides of the border
        // reach them as nothing else.
        (self.0.len() >= size_of::<Header<AtomicU64>>())
            .then(|| unsafe { &*self.0.as_ptr().cast() })
    }

    /// The address of the first one, aligned to a page.
    pub(crate) fn as_mut_ptr(&self) -> *mut AtomicU64 {
        self.0.as_mut_ptr().cast()
    }
}

/// Memory of this process alone, as words.
impl From<MmapMut> for Words {
    fn from(map: MmapMut) -> Self {
        Self(map.into())
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: so long is the mapping, which lives as long as `self` and is aligned to a page;
        // any bytes are valid atomics, and are reached as nothing else.
        unsafe {
            core::slice::from_raw_parts(
                self.0.as_ptr().cast(),
                self.0.len() / size_of::<AtomicU64>(),
            )
        }
    }
}
