//! IPv4 and IPv6, with options, extension headers and fragments.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{checksum, protocol, push16, push32, set16};

/// A packet's two addresses, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Addresses {
    V4 {
        source: Ipv4Addr,
        destination: Ipv4Addr,
    },
    V6 {
        source: Ipv6Addr,
        destination: Ipv6Addr,
    },
}

impl Addresses {
    /// The sender.
    pub(crate) fn source(&self) -> IpAddr {
        match *self {
            Self::V4 { source, .. } => source.into(),
            Self::V6 { source, .. } => source.into(),
        }
    }

    /// The receiver.
    pub(crate) fn destination(&self) -> IpAddr {
        self.reversed().source()
    }

    /// The same the other way round.
    pub(crate) const fn reversed(self) -> Self {
        match self {
            Self::V4 {
                source,
                destination,
            } => Self::V4 {
                source: destination,
                destination: source,
            },
            Self::V6 {
                source,
                destination,
            } => Self::V6 {
                source: destination,
                destination: source,
            },
        }
    }

    /// True for IPv4.
    pub(crate) const fn is_v4(&self) -> bool {
        matches!(self, Self::V4 { .. })
    }
}

/// What stands in the IP header of a connection's packets beside the usual.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extras {
    /// IPv4: the router alert option (RFC 2113).
    pub(crate) options: bool,
    /// IPv6: a hop-by-hop options header.
    pub(crate) hop_by_hop: bool,
    /// IPv6: a destination options header.
    pub(crate) destination_options: bool,
    /// IPv4: don't fragment.
    pub(crate) dont_fragment: bool,
}

/// The IP header of one packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) addresses: Addresses,
    /// The transport's number.
    pub(crate) protocol: u8,
    /// Time to live, or hop limit.
    pub(crate) hops: u8,
    /// The low half in IPv4; IPv6 has it in fragments only.
    pub(crate) identification: u32,
    pub(crate) extras: Extras,
    /// Offset in bytes and whether more fragments follow, if the packet is one.
    pub(crate) fragment: Option<(u16, bool)>,
}

/// Appends a packet, and returns the length of its headers up to the transport.
pub(crate) fn append(out: &mut Vec<u8>, header: &Header, payload: &[u8]) -> usize {
    let begin = out.len();
    match header.addresses {
        Addresses::V4 {
            source,
            destination,
        } => {
            append_v4(out, header, source, destination, payload.len());
        }
        Addresses::V6 {
            source,
            destination,
        } => {
            append_v6(out, header, source, destination, payload.len());
        }
    }
    let length = out.len() - begin;
    out.extend_from_slice(payload);
    length
}

fn append_v4(
    out: &mut Vec<u8>,
    header: &Header,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    payload: usize,
) {
    let begin = out.len();
    let length = if header.extras.options { 24 } else { 20 };
    out.extend_from_slice(&[0x40 | (length / 4) as u8, 0]);
    push16(out, (length + payload) as u16);
    push16(out, header.identification as u16);
    push16(
        out,
        match header.fragment {
            Some((offset, more)) => (u16::from(more) << 13) | (offset / 8),
            None => u16::from(header.extras.dont_fragment) << 14,
        },
    );
    out.extend_from_slice(&[header.hops, header.protocol, 0, 0]);
    out.extend_from_slice(&source.octets());
    out.extend_from_slice(&destination.octets());
    if header.extras.options {
        // Copied into every fragment, as its highest bit says.
        out.extend_from_slice(&[0x94, 4, 0, 0]);
    }
    let sum = checksum::finish(checksum::sum(&out[begin..]));
    set16(&mut out[begin..], 10, sum);
}

fn append_v6(
    out: &mut Vec<u8>,
    header: &Header,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    payload: usize,
) {
    // In the order of RFC 8200, section 4.1.
    let chain = [
        (header.extras.hop_by_hop, protocol::HOP_BY_HOP),
        (header.fragment.is_some(), protocol::FRAGMENT),
        (
            header.extras.destination_options,
            protocol::DESTINATION_OPTIONS,
        ),
    ];
    let chain: Vec<u8> = chain
        .iter()
        .filter(|(there, _)| *there)
        .map(|(_, next)| *next)
        .collect();
    push32(out, 6 << 28);
    push16(out, (8 * chain.len() + payload) as u16);
    out.extend_from_slice(&[
        chain.first().copied().unwrap_or(header.protocol),
        header.hops,
    ]);
    out.extend_from_slice(&source.octets());
    out.extend_from_slice(&destination.octets());
    for (index, extension) in chain.iter().enumerate() {
        let next = chain.get(index + 1).copied().unwrap_or(header.protocol);
        match (*extension, header.fragment) {
            (protocol::FRAGMENT, Some((offset, more))) => {
                out.extend_from_slice(&[next, 0]);
                push16(out, offset | u16::from(more));
                push32(out, header.identification);
            }
            // One PadN option fills the header's first eight bytes.
            _ => out.extend_from_slice(&[next, 0, 1, 4, 0, 0, 0, 0]),
        }
    }
}
