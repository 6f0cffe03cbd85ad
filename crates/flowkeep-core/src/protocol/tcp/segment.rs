//! The TCP header (RFC 9293, 3.1), as far as tracking needs it.

use super::Seq;
use crate::packet::Bytes;

/// The flags, all nine.
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u16 = 0x001;
    /// Synchronise sequence numbers.
    pub const SYN: u16 = 0x002;
    /// Reset the connection.
    pub const RST: u16 = 0x004;
    /// Push.
    pub const PSH: u16 = 0x008;
    /// The acknowledgement field is significant.
    pub const ACK: u16 = 0x010;
    /// The urgent pointer is significant.
    pub const URG: u16 = 0x020;
    /// Congestion was experienced (RFC 3168).
    pub const ECE: u16 = 0x040;
    /// The congestion window was reduced (RFC 3168).
    pub const CWR: u16 = 0x080;
    /// Accurate congestion notification (RFC 9768).
    pub const AE: u16 = 0x100;
    /// Those that say what a segment is.
    pub(in super::super) const KIND: u16 = FIN | SYN | RST | ACK;
}

/// A segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
// In an order without odd places: the kernel's verifier wants what is on the stack aligned, and
// no byte of it unset.
#[repr(C)]
pub struct Segment {
    /// Sequence number.
    pub seq: Seq,
    /// Acknowledgement number, whether or not ACK is set.
    pub ack: Seq,
    /// Bytes of data. Of a packet that a network card or the kernel has merged, of all of it.
    pub payload: u32,
    /// How far the highest right edge of its SACK blocks lies above `ack`; 0 if none does.
    pub sacked: u32,
    /// The window field, unscaled.
    pub window: u16,
    /// See [`flag`].
    pub flags: u16,
    /// The window scale option, at most 14 (RFC 7323, 2.3); [`Segment::NO_SCALE`] if there is
    /// none.
    pub scale: u8,
    /// Unused.
    pub reserved: [u8; 3],
}

/// Why a header can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The packet ends before the header does, or the data offset lies within the fixed header.
    Short,
}

/// Length of the fixed header.
const FIXED: usize = 20;
/// Length of the options at most, and so the number of them.
const OPTIONS: usize = 40;
/// What the options of nearly every segment are: two no-operations, then timestamps.
const TIMESTAMPS: [u8; 4] = [1, 1, 8, 10];
const TIMESTAMPS_LENGTH: usize = 12;

mod option {
    pub(super) const END: u8 = 0;
    pub(super) const NO_OPERATION: u8 = 1;
    pub(super) const WINDOW_SCALE: u8 = 3;
    pub(super) const SACK: u8 = 5;
}

impl Segment {
    /// No window scale option.
    pub const NO_SCALE: u8 = 15;

    /// Reads the header at offset `at` of a packet that ends at offset `end` by its IP header.
    ///
    /// Options that are cut off by a capture count as absent.
    ///
    /// # Errors
    /// [`Malformed::Short`].
    #[inline]
    pub fn parse<B: Bytes + ?Sized>(bytes: &B, at: usize, end: usize) -> Result<Self, Malformed> {
        let [seq @ .., a0, a1, a2, a3, offset, flags, w0, w1] =
            bytes.read::<12>(at + 4).ok_or(Malformed::Short)?;
        let header = usize::from(offset >> 4) * 4;
        // The fixed header's last bytes have to be there too.
        if header < FIXED || at + header > end || bytes.u16(at + FIXED - 2).is_none() {
            return Err(Malformed::Short);
        }
        let mut segment = Self {
            seq: Seq(u32::from_be_bytes(seq)),
            ack: Seq(u32::from_be_bytes([a0, a1, a2, a3])),
            payload: (end - at - header) as u32,
            sacked: 0,
            window: u16::from_be_bytes([w0, w1]),
            flags: u16::from(offset & 1) << 8 | u16::from(flags),
            scale: Self::NO_SCALE,
            reserved: [0; 3],
        };
        let usual =
            header == FIXED + TIMESTAMPS_LENGTH && bytes.read(at + FIXED) == Some(TIMESTAMPS);
        if header > FIXED && !usual {
            segment.options(bytes, at + FIXED, at + header);
        }
        Ok(segment)
    }

    /// The number after the last of it: SYN and FIN count one (RFC 9293, 3.4).
    #[must_use]
    #[inline]
    pub const fn end(&self) -> Seq {
        let marks = self.has(flag::SYN) as u32 + self.has(flag::FIN) as u32;
        self.seq.plus(self.payload).plus(marks)
    }

    /// Whether any of `flags` is set.
    #[must_use]
    #[inline]
    pub const fn has(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    fn options<B: Bytes + ?Sized>(&mut self, bytes: &B, mut at: usize, end: usize) {
        let mut sack = (0, 0);
        for _ in 0..OPTIONS {
            at = B::offset(at);
            if at >= end {
                break;
            }
            let kind = bytes.byte(at).unwrap_or(option::END);
            if kind == option::END {
                break;
            }
            if kind == option::NO_OPERATION {
                at += 1;
                continue;
            }
            let length = usize::from(bytes.byte(at + 1).unwrap_or(0));
            if length < 2 || at + length > end {
                break;
            }
            if kind == option::WINDOW_SCALE && length == 3 {
                self.scale = bytes
                    .byte(at + 2)
                    .map_or(Self::NO_SCALE, |scale| scale.min(14));
            } else if kind == option::SACK {
                sack = (at + 2, length - 2);
            }
            at += length;
        }
        self.highest_sack(bytes, sack.0, sack.1);
    }

    /// RFC 2018, 3: up to four blocks. One that lies below the acknowledgement reports a
    /// duplicate (RFC 2883).
    fn highest_sack<B: Bytes + ?Sized>(&mut self, bytes: &B, at: usize, length: usize) {
        for block in 0..4 {
            if 8 * block + 8 > length {
                break;
            }
            let Some(edge) = bytes.read(B::offset(at + 8 * block + 4)) else {
                break;
            };
            let above = Seq(u32::from_be_bytes(edge)).since(self.ack);
            if above < 1 << 31 && above > self.sacked {
                self.sacked = above;
            }
        }
    }
}

#[cfg(test)]
mod tests;
