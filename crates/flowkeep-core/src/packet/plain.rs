//! The headers that nearly every packet has, read in one piece.

use super::network::{IPV4_HEADER, IPV6_HEADER};
use super::transport::{TCP_HEADER, UDP_HEADER, protocol, tcp_header};
use super::{Bytes, Layout};
use crate::tuple::{Address, Family, Flags, Tuple};

/// A plain packet: TCP or UDP, whole, behind an IPv4 header without options or an IPv6 header
/// without extensions, of a length that the header states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain {
    /// See [`Packet::tuple`](super::Packet::tuple).
    pub tuple: Tuple,
    /// Where its parts lie.
    pub layout: Layout,
    /// The TCP flags; 0 for UDP.
    pub tcp_flags: u8,
}

/// Reads a plain packet whose IP header is at offset `at` of a frame. `None` of every other packet,
/// and of one that [`transport`](super::transport()) refuses; it says the same of these, under the
/// default rules.
///
/// For callers for whom every instruction counts: in the kernel's programs each look at a packet's
/// bytes takes five for the verifier's sake.
#[inline(always)]
pub fn plain<B: Bytes + ?Sized>(bytes: &B, family: Family, at: usize) -> Option<Plain> {
    match family {
        Family::V4 => {
            let [first, id_fragment, ttl_protocol, source, destination, ports] = bytes.words(at)?;
            let [version_length, _, l0, l1] = first.to_ne_bytes();
            let [_, _, fragment @ ..] = id_fragment.to_ne_bytes();
            let [_, protocol, _, _] = ttl_protocol.to_ne_bytes();
            // More fragments follow, or it is a later one.
            let part = u16::from_ne_bytes(fragment) & u16::from_be(0x3fff);
            if version_length != 0x45 || part != 0 {
                return None;
            }
            let [source, destination] =
                [source, destination].map(|address| Address::from_v4(address.to_ne_bytes()));
            let tuple = Tuple::new(destination, source, 0, 0, protocol, Flags::OUT);
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            with_ports(bytes, at, IPV4_HEADER, length, tuple, ports)
        }
        Family::V6 => {
            let [first, lengths, s0, s1, s2, s3, d0, d1, d2, d3, ports] = bytes.words(at)?;
            let [version, ..] = first.to_ne_bytes();
            let [l0, l1, protocol, _] = lengths.to_ne_bytes();
            let payload = usize::from(u16::from_be_bytes([l0, l1]));
            if version >> 4 != 6 || payload == 0 {
                return None;
            }
            let source = Address::from_halves([s0, s1, s2, s3]);
            let destination = Address::from_halves([d0, d1, d2, d3]);
            let tuple = Tuple::new(destination, source, 0, 0, protocol, Flags::IPV6);
            with_ports(bytes, at, IPV6_HEADER, IPV6_HEADER + payload, tuple, ports)
        }
    }
}

/// The packet, whose IP header has `header` bytes and states `length` for all of it.
#[inline(always)]
fn with_ports<B: Bytes + ?Sized>(
    bytes: &B,
    start: usize,
    header: usize,
    length: usize,
    tuple: Tuple,
    ports: u32,
) -> Option<Plain> {
    let transport = start + header;
    let (tcp_flags, needed) = match tuple.protocol() {
        protocol::TCP => {
            let [[offset, flags, _, _]] = bytes.words(transport + 12)?.map(u32::to_ne_bytes);
            let needed = tcp_header(offset);
            if needed < TCP_HEADER {
                return None;
            }
            (flags, needed)
        }
        protocol::UDP => (0, UDP_HEADER),
        _ => return None,
    };
    if header + needed > length {
        return None;
    }
    let [s0, s1, d0, d1] = ports.to_ne_bytes();
    let (source, destination) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    Some(Plain {
        tuple: tuple.with_ports(source, destination),
        layout: Layout {
            start,
            transport,
            length: length as u32,
            protocol: tuple.protocol(),
            jumbo_header: 0,
        },
        tcp_flags,
    })
}
