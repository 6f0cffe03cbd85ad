//! Tunnels, as far as it takes to find the payload of a packet inside that is still to be cut.
//!
//! The kernel merges and cuts packets of the connections inside: each segment has all headers, the
//! outer ones, the tunnel's and the inner ones.

use super::measure::header;
use super::{Bytes, protocol};
use crate::tuple::Family;

/// IPv4 in IP (RFC 2003).
const IPV4: u8 = 4;
/// IPv6 in IP (RFC 4213, RFC 2473).
const IPV6: u8 = 41;
/// RFC 2784.
const GRE: u8 = 47;

mod ethertype {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const IPV6: u16 = 0x86dd;
    pub(super) const VLAN: u16 = 0x8100;
    pub(super) const ETHERNET: u16 = 0x6558;
}

/// Where the innermost payload begins of a packet whose transport header, of this protocol, is at
/// offset `at`, and which ends at `end`; `None` if there is no packet inside.
#[inline(always)]
pub(super) fn payload<B: Bytes + ?Sized>(
    bytes: &B,
    protocol: u8,
    at: usize,
    end: u64,
) -> Option<usize> {
    let (family, inner) = match protocol {
        protocol::UDP => in_udp(bytes, at + 8)?,
        GRE => in_gre(bytes, at)?,
        IPV4 => (Family::V4, at),
        IPV6 => (Family::V6, at),
        _ => return None,
    };
    let inner = B::offset(inner);
    let (length, protocol, transport) = match family {
        Family::V4 => {
            let [version_length, _, l0, l1, _, _, _, _, _, protocol] = bytes.read(inner)?;
            let length = u64::from(u16::from_be_bytes([l0, l1]));
            let header = usize::from(version_length & 0xf) * 4;
            (version_length >> 4 == 4).then_some((length, protocol, inner + header))?
        }
        Family::V6 => {
            let [version, _, _, _, l0, l1, protocol, _] = bytes.read(inner)?;
            let length = match u16::from_be_bytes([l0, l1]) {
                0 => 0,
                payload => 40 + u64::from(payload),
            };
            (version >> 4 == 6).then_some((length, protocol, inner + 40))?
        }
    };
    // Whatever port a tunnel has: where a packet is inside, it ends where the outer one does, but
    // for one that is longer than it can state. Data that looks like it does not.
    let ends_together = length == 0 || inner as u64 + length == end;
    ends_together.then(|| {
        let transport = B::offset(transport);
        transport + header(bytes, protocol, transport)
    })
}

/// The packet behind a UDP header, whose payload begins at `at`: VXLAN (RFC 7348, 5) and its
/// generic extension, Geneve (RFC 8926, 3.4), or IP at once (foo-over-UDP, bare UDP).
#[inline(always)]
fn in_udp<B: Bytes + ?Sized>(bytes: &B, at: usize) -> Option<(Family, usize)> {
    /// The VXLAN network identifier is valid.
    const VALID: u8 = 0x08;
    /// The last byte of the first word says what follows.
    const GENERIC: u8 = 0x04;
    let [first, _, k0, k1] = bytes.read(at)?;
    match first >> 4 {
        4 => return Some((Family::V4, at)),
        6 => return Some((Family::V6, at)),
        _ => {}
    }
    let kind = u16::from_be_bytes([k0, k1]);
    // Geneve's version is 0, and VXLAN has no kind.
    if first >> 6 == 0 && kind >= ethertype::IPV4 {
        let options = usize::from(first & 0x3f) * 4;
        return by_ethertype(bytes, kind, at + 8 + options);
    }
    match (first & VALID != 0, first & GENERIC != 0, k1) {
        (false, ..) => None,
        (_, true, 1) => Some((Family::V4, at + 8)),
        (_, true, 2) => Some((Family::V6, at + 8)),
        (_, false, _) | (_, _, 3) => in_ethernet(bytes, at + 8),
        _ => None,
    }
}

/// The packet behind a GRE header at `at` (RFC 2784; RFC 2890).
#[inline(always)]
fn in_gre<B: Bytes + ?Sized>(bytes: &B, at: usize) -> Option<(Family, usize)> {
    const CHECKSUM: u8 = 0x80;
    const KEY: u8 = 0x20;
    const SEQUENCE: u8 = 0x10;
    let [flags, version, k0, k1] = bytes.read(at)?;
    if version & 7 != 0 {
        return None;
    }
    let field = |flag| if flags & flag != 0 { 4 } else { 0 };
    let length = 4 + field(CHECKSUM) + field(KEY) + field(SEQUENCE);
    by_ethertype(bytes, u16::from_be_bytes([k0, k1]), at + length)
}

#[inline(always)]
fn by_ethertype<B: Bytes + ?Sized>(bytes: &B, kind: u16, at: usize) -> Option<(Family, usize)> {
    match kind {
        ethertype::IPV4 => Some((Family::V4, at)),
        ethertype::IPV6 => Some((Family::V6, at)),
        ethertype::ETHERNET => in_ethernet(bytes, at),
        _ => None,
    }
}

/// The packet behind an Ethernet header at `at`, which may have a tag.
#[inline(always)]
fn in_ethernet<B: Bytes + ?Sized>(bytes: &B, at: usize) -> Option<(Family, usize)> {
    let at = B::offset(at);
    let (mut kind, mut at) = (bytes.u16(at + 12)?, at + 14);
    if kind == ethertype::VLAN {
        (kind, at) = (bytes.u16(at + 2)?, at + 4);
    }
    match kind {
        ethertype::IPV4 => Some((Family::V4, at)),
        ethertype::IPV6 => Some((Family::V6, at)),
        _ => None,
    }
}
