//! A capture file through windows of memory: what is in the page cache is not copied.
//!
//! Copying a capture of 3.7 GB out of the page cache takes 0.5 s, a third of its replay; mapping it
//! takes 0.2 s.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use memmap2::{Mmap, MmapOptions};

use crate::memory::prefetch;

/// Bytes of a window. Larger ones are not faster, and what is mapped counts as the program's
/// memory.
const WINDOW: usize = 1 << 20;
/// Smaller files are as well read.
const WORTHWHILE: u64 = 256 << 10;
/// So far ahead the lines of the file are asked for: its packets are read in order, but most of
/// their lines are not looked at, so that the processor does not see that by itself.
const AHEAD: usize = 12 << 10;
const LINE: usize = 64;

/// A file that nobody changes while it is mapped.
pub(super) struct Windows {
    window: Mmap,
    /// Where in the file the window begins.
    at: u64,
    length: u64,
    /// Given up after the window.
    file: Leased,
}

impl Windows {
    /// `None` where a file can't be mapped, or could be changed meanwhile: then it has to be read.
    pub(super) fn new(file: &File) -> Option<Self> {
        let meta = file.metadata().ok()?;
        if !meta.is_file() || meta.len() < WORTHWHILE {
            return None;
        }
        let file = Leased::new(file.try_clone().ok()?).ok()?;
        // Once the lease is there: before, somebody could still have changed it.
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

    /// Asks for the lines that are to be read when those from `from` to `to` have been.
    #[inline(always)]
    pub(super) fn prefetch(&self, from: usize, to: usize) {
        let start: *const u8 = self.window.as_ptr();
        let mut at = from.next_multiple_of(LINE);
        while at < to {
            prefetch(start.wrapping_add(at + AHEAD));
            at += LINE;
        }
    }

    /// Moves the window to begin at or just before the byte `from` of it, and to hold `missing` bytes
    /// more than are there now, if the file has them: where that byte is then, or nothing if the
    /// window ends with the file.
    ///
    /// # Errors
    /// If the window can't be had, or somebody waits to change the file: then it has to be read on
    /// from [`Self::position`].
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

    /// Where in the file a byte of the window is.
    pub(super) const fn position(&self, index: usize) -> u64 {
        self.at + index as u64
    }

    /// The file, to be read on.
    pub(super) fn into_file(self) -> io::Result<File> {
        self.file.file.try_clone()
    }
}

/// How long a window at `at` is that holds `wanted` bytes at least, if the file has them.
fn window_length(file: u64, at: u64, wanted: usize) -> Option<usize> {
    usize::try_from((file - at).min(WINDOW.max(wanted) as u64)).ok()
}

/// A file under a read lease: as long as it holds, nobody has the file open for writing.
struct Leased {
    file: File,
}

impl Leased {
    fn new(file: File) -> io::Result<Self> {
        // The signal with which the kernel tells that somebody waits: one that is ignored, for
        // nobody has to be interrupted.
        // SAFETY: a number for a descriptor that is open; `fcntl` touches no memory.
        check(unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) })?;
        // SAFETY: as above.
        check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) })?;
        Ok(Self { file })
    }

    /// Whether the lease holds and nobody waits for its end.
    fn is_leased(&self) -> bool {
        // SAFETY: a question about a descriptor that is open; `fcntl` touches no memory.
        unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_GETLEASE) == libc::F_RDLCK }
    }

    fn map(&self, at: u64, length: usize) -> io::Result<Mmap> {
        // SAFETY: nobody changes or shortens the file while it is mapped. Whoever wants to, by
        // opening it for writing or by truncating it, is made to wait by the kernel until the lease
        // is given up or `/proc/sys/fs/lease-break-time` has passed, which is 45 s unless somebody
        // set it to less; a window of 1 MiB is read in under a millisecond, and the lease is looked at
        // before the next one.
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
        // The descriptor may be shared, and whoever waits should not have to wait longer.
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
