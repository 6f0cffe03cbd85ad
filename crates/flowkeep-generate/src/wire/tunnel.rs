//! Tunnels: GRE (RFC 2784) around IPv4, and ESP (RFC 4303).

use std::net::Ipv4Addr;

use super::ip::{self, Addresses};
use super::{protocol, push32, udp};

/// Both ends of the datagram inside.
const INSIDE: Addresses = Addresses::V4 {
    source: Ipv4Addr::new(192, 168, 7, 1),
    destination: Ipv4Addr::new(192, 168, 7, 2),
};

/// Replaces `out` by a GRE packet around a UDP datagram. `inner` is room to work in.
pub(crate) fn write_gre(out: &mut Vec<u8>, inner: &mut Vec<u8>, data: &[u8]) {
    let header = ip::Header {
        addresses: INSIDE,
        protocol: protocol::UDP,
        hops: 64,
        identification: 0,
        extras: ip::Extras {
            dont_fragment: true,
            ..ip::Extras::default()
        },
        fragment: None,
    };
    udp::write(inner, &INSIDE, (4000, 4000), data);
    out.clear();
    // No options, version 0, IPv4.
    out.extend_from_slice(&[0, 0, 0x08, 0x00]);
    ip::append(out, &header, inner);
}

/// Replaces `out` by an ESP packet.
pub(crate) fn write_esp(out: &mut Vec<u8>, association: u32, sequence: u32, ciphertext: &[u8]) {
    out.clear();
    push32(out, association);
    push32(out, sequence);
    out.extend_from_slice(ciphertext);
}
