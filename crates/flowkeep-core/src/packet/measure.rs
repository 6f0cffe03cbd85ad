//! How many packets and bytes a packet counts as.

use super::transport::{protocol, tcp_header};
use super::{Bytes, tunnel};

/// Where the parts of a packet lie, as its headers say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Layout {
    /// Where the IP header begins, in bytes from the start of the frame.
    pub start: usize,
    /// Where the transport header begins, likewise.
    pub transport: usize,
    /// Length of the IP packet as its header states it, in bytes; 0 where that is left open.
    pub length: u32,
    /// Protocol of the transport header.
    pub protocol: u8,
    /// See [`Network::jumbo_header`](super::Network::jumbo_header).
    pub jumbo_header: u8,
}

/// What a packet's bytes don't tell of the frame that it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of the frame, link header included: on the wire, whatever was captured of it.
    pub length: u32,
    /// Packets that it was merged of, or is still to be cut to (GRO, GSO); 0 if nobody has counted
    /// them.
    pub segments: u32,
    /// Bytes of payload of each of them but the last; 0 if it is one packet.
    pub segment_size: u32,
}

impl Frame {
    /// A frame that is so long and has one packet.
    #[must_use]
    #[inline]
    pub const fn of(length: u32) -> Self {
        Self {
            length,
            segments: 0,
            segment_size: 0,
        }
    }
}

/// What a packet counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// IP packets.
    pub packets: u64,
    /// Bytes of them, headers included.
    pub bytes: u64,
}

/// What a packet counts as, wherever it is met: as what is on the wire before it was merged or after
/// it was cut.
///
/// Its length is what its IP header states, or the rest of the frame where that is left open. A
/// header that states more than the frame has is not believed: what is behind it was never sent.
/// Each of the packets that it was merged of, or is to be cut to, has the headers of the one that
/// there is, up to and with the innermost transport header.
#[inline(always)]
pub fn measure<B: Bytes + ?Sized>(bytes: &B, layout: &Layout, frame: &Frame) -> Counted {
    let rest = u64::from(frame.length).saturating_sub(layout.start as u64);
    let length = match layout.length {
        0 => rest,
        stated => u64::from(stated).min(rest),
    };
    if frame.segment_size == 0 {
        return Counted {
            packets: 1,
            bytes: length,
        };
    }
    // The kernel takes a jumbogram's hop-by-hop options out before it cuts the packet, and adds
    // them after it has merged it (Linux 81fbc812132c, 09f3d1a3a52c).
    let added = u64::from(layout.jumbo_header);
    let payload = payload(bytes, layout, length);
    let headers = (payload.saturating_sub(layout.start) as u64).saturating_sub(added);
    let packets = if frame.segments != 0 {
        u64::from(frame.segments)
    } else {
        // A virtual machine's kernel is not trusted to have counted them.
        let size = u64::from(frame.segment_size);
        let payload = length.saturating_sub(added + headers);
        payload.div_ceil(size).max(1)
    };
    let mut bytes = length;
    if packets > 1 {
        bytes = bytes.saturating_sub(added) + (packets - 1) * headers;
    }
    Counted { packets, bytes }
}

/// Where the payload begins that is shared out to segments, of an IP packet of this length.
#[inline(always)]
fn payload<B: Bytes + ?Sized>(bytes: &B, layout: &Layout, length: u64) -> usize {
    let at = layout.transport;
    let end = layout.start as u64 + length;
    tunnel::payload(bytes, layout.protocol, at, end)
        .unwrap_or_else(|| at + header(bytes, layout.protocol, at))
}

/// Bytes of a transport header that each segment repeats.
#[inline(always)]
pub(super) fn header<B: Bytes + ?Sized>(bytes: &B, protocol: u8, at: usize) -> usize {
    match protocol {
        protocol::TCP => match bytes.read(at + 12) {
            Some([offset, _]) => tcp_header(offset),
            None => 20,
        },
        protocol::UDP => 8,
        protocol::SCTP => 12,
        _ => 0,
    }
}
