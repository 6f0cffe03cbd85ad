//! The bytes of a capture that were read and are not parsed yet.

use std::io::{self, ErrorKind, Read};
#[cfg(target_os = "linux")]
use std::io::{Seek, SeekFrom};

#[cfg(target_os = "linux")]
use super::source::{Counting, Progress};
#[cfg(target_os = "linux")]
use super::windows::Windows;

/// The capacity of a new buffer in bytes. From 128 KiB to 1 MiB the speed is the same; with 64 KiB it
/// is lower.
const CAPACITY: usize = 256 * 1024;

/// A window that slides over a stream or a file.
pub(super) struct Buffer {
    backing: Backing,
    start: usize,
    end: usize,
    /// Offset in the stream of the byte at `start`.
    offset: u64,
}

enum Backing {
    Stream {
        source: Box<dyn Read + Send>,
        bytes: Vec<u8>,
    },
    #[cfg(target_os = "linux")]
    File {
        windows: Windows,
        progress: Progress,
    },
}

impl Buffer {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        let bytes = vec![0; CAPACITY];
        Self {
            backing: Backing::Stream { source, bytes },
            start: 0,
            end: 0,
            offset: 0,
        }
    }

    /// A buffer over a mapped file.
    #[cfg(target_os = "linux")]
    pub(super) fn mapped(windows: Windows, progress: Progress) -> Self {
        let end = windows.bytes().len();
        progress.add(end as u64);
        Self {
            backing: Backing::File { windows, progress },
            start: 0,
            end,
            offset: 0,
        }
    }

    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        match &self.backing {
            Backing::Stream { bytes, .. } => bytes,
            #[cfg(target_os = "linux")]
            Backing::File { windows, .. } => windows.bytes(),
        }
    }

    /// The bytes that were read and not consumed yet.
    #[inline]
    pub(super) fn filled(&self) -> &[u8] {
        &self.bytes()[self.start..self.end]
    }

    /// Offset in the stream of the first byte of [`Self::filled`].
    #[inline]
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Consumes and returns the first `count` of the filled bytes. There must be that many.
    #[inline]
    pub(super) fn consume(&mut self, count: usize) -> &[u8] {
        let start = self.start;
        self.start += count;
        self.offset += count as u64;
        #[cfg(target_os = "linux")]
        if let Backing::File { windows, .. } = &self.backing {
            windows.prefetch(start, self.start);
        }
        &self.bytes()[start..self.end][..count]
    }

    /// Reads more bytes, into space for at least `missing`. Returns false at the end of the stream.
    ///
    /// A stream is read once, so that what a pipe has is parsed at once.
    pub(super) fn read_more(&mut self, missing: usize) -> io::Result<bool> {
        #[cfg(target_os = "linux")]
        if let Backing::File { windows, progress } = &mut self.backing {
            match windows.advance(self.start, missing) {
                Ok(Some(start)) => {
                    let before = self.end - self.start;
                    (self.start, self.end) = (start, windows.bytes().len());
                    progress.add((self.end - start - before) as u64);
                    return Ok(true);
                }
                Ok(None) => return Ok(false),
                Err(_) => self.read_instead()?,
            }
        }
        match &mut self.backing {
            Backing::Stream { source, bytes } => {
                bytes.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
                let wanted = self.end + missing;
                if wanted > bytes.len() {
                    bytes.resize(wanted.next_power_of_two(), 0);
                }
                let count = read_once(source, &mut bytes[self.end..])?;
                self.end += count;
                Ok(count > 0)
            }
            #[cfg(target_os = "linux")]
            Backing::File { .. } => Ok(false),
        }
    }

    /// Continues to read a file that can't be mapped any longer.
    #[cfg(target_os = "linux")]
    fn read_instead(&mut self) -> io::Result<()> {
        let nothing = Self::new(Box::new(io::empty()));
        let Self {
            backing,
            start,
            end,
            offset,
        } = std::mem::replace(self, nothing);
        self.offset = offset;
        if let Backing::File { windows, progress } = backing {
            // The rest of the window is read again.
            progress.take_back((end - start) as u64);
            let position = windows.position(start);
            let mut file = windows.into_file()?;
            file.seek(SeekFrom::Start(position))?;
            if let Backing::Stream { source, .. } = &mut self.backing {
                *source = Box::new(Counting::new(file, progress));
            }
        }
        Ok(())
    }
}

fn read_once(source: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(into) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
