//! A mapping as words.

use core::ops::Deref;
use std::io;
use std::sync::atomic::AtomicU64;

use flowkeep_core::table::Header;
use memmap2::{MmapMut, MmapRaw};

/// A mapping for reading and writing, as atomic words. Other processes that have it mapped may change
/// them at any time. Bytes after the last whole word are not accessible.
#[derive(Debug)]
pub struct Words(MmapRaw);

impl Words {
    /// The first `bytes` of a file or of a BPF map that can be mapped, shared with other processes.
    ///
    /// If another process shortens the file meanwhile, a later access fails with a signal, as in every
    /// program that maps files. BPF maps keep their size.
    ///
    /// # Errors
    /// The system's error: for example, a BPF map has fewer bytes.
    #[cfg(unix)]
    pub fn shared(file: impl std::os::fd::AsFd, bytes: usize) -> io::Result<Self> {
        use std::os::fd::AsRawFd as _;

        let mut options = memmap2::MmapOptions::new();
        options
            .len(bytes)
            .map_raw(file.as_fd().as_raw_fd())
            .map(Self)
    }

    /// The words as the header of a table; `None` if they are too few.
    #[must_use]
    pub fn header(&self) -> Option<&Header<AtomicU64>> {
        // SAFETY: the mapping is that long, lives as long as `self` and is aligned to a page, as a
        // header is. Any bytes are a valid header of atomics, and are accessed as nothing else.
        (self.0.len() >= size_of::<Header<AtomicU64>>())
            .then(|| unsafe { &*self.0.as_ptr().cast() })
    }

    /// The address of the first one, aligned to a page.
    pub(crate) fn as_mut_ptr(&self) -> *mut AtomicU64 {
        self.0.as_mut_ptr().cast()
    }
}

/// Private memory as words.
impl From<MmapMut> for Words {
    fn from(map: MmapMut) -> Self {
        Self(map.into())
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is that long, lives as long as `self` and is aligned to a page. Any bytes
        // are valid atomics, and are accessed as nothing else.
        unsafe {
            core::slice::from_raw_parts(
                self.0.as_ptr().cast(),
                self.0.len() / size_of::<AtomicU64>(),
            )
        }
    }
}
