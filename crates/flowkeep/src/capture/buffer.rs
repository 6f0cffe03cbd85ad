//! The bytes of a capture that have been read and not yet parsed.

use std::io::{self, ErrorKind, Read};

/// Bytes that a new buffer holds. Between 128 KiB and 1 MiB the size makes no difference to the
/// speed; 64 KiB is slower.
const CAPACITY: usize = 256 * 1024;

/// A window that slides over a stream.
pub(super) struct Buffer {
    source: Box<dyn Read + Send>,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset in the stream of `bytes[start]`.
    offset: u64,
}

impl Buffer {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        Self {
            source,
            bytes: vec![0; CAPACITY],
            start: 0,
            end: 0,
            offset: 0,
        }
    }

    /// What was read and not yet consumed.
    #[inline]
    pub(super) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Offset in the stream of the first byte of [`Self::filled`].
    #[inline]
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the first `count` of the filled bytes out and returns them. There must be so many.
    #[inline]
    pub(super) fn consume(&mut self, count: usize) -> &[u8] {
        let taken = &self.bytes[self.start..self.end][..count];
        self.start += count;
        self.offset += count as u64;
        taken
    }

    /// Reads on, with room for at least `missing` more bytes; false at the end of the stream.
    ///
    /// It asks the source once: a pipe's bytes are worth parsing as they come.
    pub(super) fn read_more(&mut self, missing: usize) -> io::Result<bool> {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let wanted = self.end + missing;
        if wanted > self.bytes.len() {
            self.bytes.resize(wanted.next_power_of_two(), 0);
        }
        loop {
            match self.source.read(&mut self.bytes[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
