//! TCP segments (RFC 9293).

use super::{checksum, ip::Addresses, protocol, push16, push32, set16};
use crate::script::tcp::SYN;

/// One segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) seq: u32,
    /// 0 without the ACK flag.
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    /// Value and echo of the timestamps option (RFC 7323), if it is in use.
    pub(crate) timestamps: Option<(u32, u32)>,
    pub(crate) data: &'a [u8],
}

/// Length of the header of a segment without SYN.
pub(crate) const fn header_len(timestamps: bool) -> u16 {
    if timestamps { 32 } else { 20 }
}

/// Replaces `out` by the segment.
pub(crate) fn write(out: &mut Vec<u8>, addresses: &Addresses, segment: &Segment<'_>) {
    out.clear();
    push16(out, segment.source);
    push16(out, segment.destination);
    push32(out, segment.seq);
    push32(out, segment.ack);
    out.extend_from_slice(&[0, segment.flags]);
    push16(out, 0xfff0);
    push32(out, 0);
    if segment.flags & SYN != 0 {
        // Maximum segment size 1460, window scale 7.
        out.extend_from_slice(&[2, 4, 0x05, 0xb4, 1, 3, 3, 7]);
    }
    if let Some((value, echo)) = segment.timestamps {
        out.extend_from_slice(&[1, 1, 8, 10]);
        push32(out, value);
        push32(out, echo);
    }
    out[12] = ((out.len() / 4) << 4) as u8;
    out.extend_from_slice(segment.data);
    let sum = checksum::transport(addresses, protocol::TCP, out);
    set16(out, 16, sum);
}
