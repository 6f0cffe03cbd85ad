//! Ethernet II with VLAN tags.

use super::{ip::Addresses, push16};

/// The shortest frame without its check sequence (IEEE 802.3); senders pad up to it.
const SHORTEST: usize = 60;

/// The link that a connection is seen on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// The originator's address.
    pub(crate) originator: [u8; 6],
    /// The address of the gateway that leads to the responder.
    pub(crate) gateway: [u8; 6],
    /// Which tags frames carry.
    pub(crate) tags: Tags,
}

/// VLAN tags.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tags {
    /// None.
    None,
    /// IEEE 802.1Q.
    Single(u16),
    /// IEEE 802.1ad outside, 802.1Q inside.
    Double(u16, u16),
}

/// Begins a frame; the IP packet comes next. Returns the header's length.
pub(crate) fn begin(
    out: &mut Vec<u8>,
    link: &Link,
    outgoing: bool,
    addresses: &Addresses,
) -> usize {
    let (source, destination) = if outgoing {
        (link.originator, link.gateway)
    } else {
        (link.gateway, link.originator)
    };
    out.clear();
    out.extend_from_slice(&destination);
    out.extend_from_slice(&source);
    match link.tags {
        Tags::None => {}
        Tags::Single(vlan) => {
            push16(out, 0x8100);
            push16(out, vlan);
        }
        Tags::Double(outer, inner) => {
            push16(out, 0x88a8);
            push16(out, outer);
            push16(out, 0x8100);
            push16(out, inner);
        }
    }
    push16(out, if addresses.is_v4() { 0x0800 } else { 0x86dd });
    out.len()
}

/// Pads a frame that is too short.
pub(crate) fn finish(out: &mut Vec<u8>) {
    if out.len() < SHORTEST {
        out.resize(SHORTEST, 0);
    }
}
