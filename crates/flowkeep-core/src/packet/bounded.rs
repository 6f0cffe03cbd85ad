//! A packet's bytes up to an end of their own.

use super::Bytes;

/// Bytes that end where the packet ends by its header, or a quotation by the message that has it:
/// what the frame has behind it, as Ethernet's padding, is no part of the packet.
#[derive(Debug)]
pub struct Bounded<'a, B: ?Sized> {
    bytes: &'a B,
    end: usize,
}

impl<B: ?Sized> Clone for Bounded<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: ?Sized> Copy for Bounded<'_, B> {}

impl<'a, B: ?Sized> Bounded<'a, B> {
    /// Those of `bytes` before offset `end`.
    #[inline(always)]
    pub const fn new(bytes: &'a B, end: usize) -> Self {
        Self { bytes, end }
    }
}

impl<B: Bytes + ?Sized> Bytes for Bounded<'_, B> {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        if at + N > self.end {
            return None;
        }
        self.bytes.read(at)
    }

    #[inline(always)]
    fn offset(at: usize) -> usize {
        B::offset(at)
    }

    #[inline(always)]
    fn is_offloaded(&self) -> bool {
        self.bytes.is_offloaded()
    }
}
