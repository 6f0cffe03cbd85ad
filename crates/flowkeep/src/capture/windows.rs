//! A capture file through mapped windows, so that the page cache is not copied.
//!
//! Copying a capture of 3.7 GB out of the page cache takes 0.5 s, a third of its replay; mapping it
//! takes 0.2 s.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use memmap2::{Mmap, MmapOptions};

use crate::memory::prefetch;

/// Bytes of a window. Larger ones are not faster, and mapped pages count as memory of the process.
const WINDOW: usize = 1 << 20;
/// Smaller files are read as fast.
const WORTHWHILE: u64 = 256 << 10;
/// How far ahead cache lines of the file are prefetched. Packets are read in order, but most of their
/// lines are skipped, so the processor does not prefetch them by itself.
const AHEAD: usize = 12 << 10;
const LINE: usize = 64;

/// A file that no process changes while it is mapped.
pub(super) struct Windows {
    window: Mmap,
    /// The offset of the window in the file.
    at: u64,
    length: u64,
    /// Dropped after the window.
    file: Leased,
}

impl Windows {
    /// `None` if the file can't be mapped, or may be changed meanwhile. Then it has to be read.
    pub(super) fn new(file: &File) -> Option<Self> {
        let meta = file.metadata().ok()?;
        if !meta.is_file() || meta.len() < WORTHWHILE {
            return None;
        }
        let file = Leased::new(file.try_clone().ok()?).ok()?;
        // Before the lease, another process could have changed it.
        let length = file.file.metadata().ok()?.len();
        let window = file.map(0, window_length(length, 0, 0)?).ok()?;
        Some(Self {
            window,
            at: 0,
            length,
            file,
        })
    }

    /// The bytes of the window.
    #[inline(always)]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.window
    }

    /// Prefetches the lines that follow when those from `from` to `to` are read.
    #[inline(always)]
    pub(super) fn prefetch(&self, from: usize, to: usize) {
        let start: *const u8 = self.window.as_ptr();
        let mut at = from.next_multiple_of(LINE);
        while at < to {
            prefetch(start.wrapping_add(at + AHEAD));
            at += LINE;
        }
    }

    /// Moves the window forward, so that it begins at or just before its byte `from` and has `missing`
    /// more bytes than now, if the file has them. Returns the new index of that byte; `None` if the
    /// window already ends with the file.
    ///
    /// # Errors
    /// If the window can't be mapped, or another process waits to change the file. Then the rest has
    /// to be read from [`Self::position`].
    pub(super) fn advance(&mut self, from: usize, missing: usize) -> io::Result<Option<usize>> {
        const PAGE: u64 = 4096;
        if self.at + self.window.len() as u64 >= self.length {
            return Ok(None);
        }
        if !self.file.is_leased() {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        let wanted = self.window.len() - from + missing;
        let position = self.position(from);
        let at = position / PAGE * PAGE;
        let within = (position - at) as usize;
        let length = window_length(self.length, at, wanted + within);
        self.window = self
            .file
            .map(at, length.ok_or(io::ErrorKind::OutOfMemory)?)?;
        self.at = at;
        Ok(Some(within))
    }

    /// The offset in the file of a byte of the window.
    pub(super) const fn position(&self, index: usize) -> u64 {
        self.at + index as u64
    }

    /// The file, to read the rest.
    pub(super) fn into_file(self) -> io::Result<File> {
        self.file.file.try_clone()
    }
}

/// The length of a window at `at` with at least `wanted` bytes, if the file has them.
fn window_length(file: u64, at: u64, wanted: usize) -> Option<usize> {
    usize::try_from((file - at).min(WINDOW.max(wanted) as u64)).ok()
}

/// A file under a read lease: while it holds, no process has the file open for writing.
struct Leased {
    file: File,
}

impl Leased {
    fn new(file: File) -> io::Result<Self> {
        // The kernel signals that another process waits. This signal is ignored by default.
        // SAFETY: a number for a descriptor that is open; `fcntl` touches no memory.
        check(unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) })?;
        // SAFETY: as above.
        check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) })?;
        Ok(Self { file })
    }

    /// Whether the lease holds and no process waits for its end.
    fn is_leased(&self) -> bool {
        // SAFETY: a query for an open descriptor; `fcntl` accesses no memory.
        unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_GETLEASE) == libc::F_RDLCK }
    }

    fn map(&self, at: u64, length: usize) -> io::Result<Mmap> {
        // SAFETY: no process changes or shortens the file while it is mapped. One that opens it for
        // writing or truncates it waits until the lease is released or
        // `/proc/sys/fs/lease-break-time` has passed, which is 45 s by default. A window of 1 MiB is
        // read in less than a millisecond, and the lease is checked before the next one.
        unsafe {
            MmapOptions::new()
                .offset(at)
                .len(length)
                .populate()
                .map(&self.file)
        }
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        // The descriptor may be shared, and a process that waits should not wait longer.
        // SAFETY: as for taking it.
        unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
    }
}

/// Of linux/fcntl.h.
const F_SETSIG: libc::c_int = 10;

fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
