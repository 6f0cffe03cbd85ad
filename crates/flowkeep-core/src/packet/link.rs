//! Where in a frame the IP header begins.

use super::Bytes;
use crate::Error;
use crate::tuple::Family;

/// The kind of link header that a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkType {
    /// Ethernet II or 802.3 with LLC/SNAP; VLAN tags (802.1Q, QinQ), provider backbone
    /// (802.1ah), MPLS, PPPoE sessions, Cisco FabricPath and security group tags are stepped
    /// over.
    Ethernet,
    /// None: the packet begins with its IP header (tun, WireGuard).
    RawIp,
    /// Linux cooked capture, version 1.
    LinuxSll,
    /// Linux cooked capture, version 2.
    LinuxSll2,
    /// BSD loopback: the address family in four bytes, in the order of the machine that wrote
    /// them.
    BsdLoopback,
    /// PPP, with or without HDLC framing.
    Ppp,
    /// FDDI, with the addresses in either bit order.
    Fddi,
    /// IEEE 802.11 without a radio header.
    Ieee80211,
    /// IEEE 802.11 behind a radiotap header.
    Radiotap,
    /// Linux netfilter log: the packet is one of several length-typed fields.
    Nflog,
}

/// What the link header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Which IP header follows.
    pub family: Family,
    /// Where it begins, in bytes from the start of the frame.
    pub network: usize,
}

/// How many tags, labels and shims are stepped over. Two VLAN tags and a stack of four labels
/// are in use; the rest is room.
const SHIMS: usize = 8;

mod ethertype {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const IPV6: u16 = 0x86dd;
    pub(super) const VLAN: u16 = 0x8100;
    pub(super) const QINQ: u16 = 0x88a8;
    pub(super) const QINQ_OLD: u16 = 0x9100;
    pub(super) const MPLS: u16 = 0x8847;
    pub(super) const MPLS_MULTICAST: u16 = 0x8848;
    pub(super) const PPPOE_SESSION: u16 = 0x8864;
    pub(super) const BACKBONE: u16 = 0x88e7;
    pub(super) const FABRIC_PATH: u16 = 0x8903;
    pub(super) const CISCO_METADATA: u16 = 0x8909;
    /// Smaller values are an 802.3 length, and an LLC header follows.
    pub(super) const FIRST: u16 = 0x0600;
}

/// Finds the IP header of a frame.
///
/// # Errors
/// [`Error::LinkTruncated`] if the link header is cut short, [`Error::NotIp`] if no IP follows.
#[inline(always)]
pub fn link<B: Bytes + ?Sized>(bytes: &B, link_type: LinkType) -> Result<Link, Error> {
    if link_type == LinkType::Ethernet {
        // The two that nearly every frame has, before anything else.
        match bytes.u16(12) {
            Some(ethertype::IPV4) => {
                return Ok(Link {
                    family: Family::V4,
                    network: 14,
                });
            }
            Some(ethertype::IPV6) => {
                return Ok(Link {
                    family: Family::V6,
                    network: 14,
                });
            }
            _ => {}
        }
    }
    any_link(bytes, link_type)
}

/// Whether an IP header can follow an Ethernet header with this type, however far behind. If not,
/// [`link`] says [`Error::NotIp`].
#[must_use]
#[inline(always)]
pub const fn leads_to_ip(ethertype: u16) -> bool {
    matches!(
        ethertype,
        ethertype::IPV4
            | ethertype::IPV6
            | ethertype::VLAN
            | ethertype::QINQ
            | ethertype::QINQ_OLD
            | ethertype::MPLS
            | ethertype::MPLS_MULTICAST
            | ethertype::PPPOE_SESSION
            | ethertype::BACKBONE
            | ethertype::FABRIC_PATH
            | ethertype::CISCO_METADATA
    ) || ethertype < ethertype::FIRST
}

#[inline(never)]
fn any_link<B: Bytes + ?Sized>(bytes: &B, link_type: LinkType) -> Result<Link, Error> {
    match link_type {
        LinkType::Ethernet => {
            let ethertype = bytes.u16(12).ok_or(Error::LinkTruncated)?;
            shims(bytes, ethertype, 14)
        }
        LinkType::RawIp => by_version(bytes, 0),
        LinkType::LinuxSll => {
            let ethertype = bytes.u16(14).ok_or(Error::LinkTruncated)?;
            shims(bytes, ethertype, 16)
        }
        LinkType::LinuxSll2 => {
            let ethertype = bytes.u16(0).ok_or(Error::LinkTruncated)?;
            shims(bytes, ethertype, 20)
        }
        LinkType::BsdLoopback => bsd_loopback(bytes),
        LinkType::Ppp => ppp(bytes),
        // Frame control, two addresses, then LLC.
        LinkType::Fddi => llc(bytes, 13),
        LinkType::Ieee80211 => ieee80211(bytes, 0),
        LinkType::Radiotap => {
            let [low, high] = bytes.read(2).ok_or(Error::LinkTruncated)?;
            ieee80211(bytes, usize::from(u16::from_le_bytes([low, high])))
        }
        LinkType::Nflog => nflog(bytes),
    }
}

/// Steps over tags, labels and shims until an IP header is announced.
fn shims<B: Bytes + ?Sized>(bytes: &B, mut ethertype: u16, mut at: usize) -> Result<Link, Error> {
    for _ in 0..SHIMS {
        at = B::offset(at);
        match ethertype {
            ethertype::IPV4 => {
                return Ok(Link {
                    family: Family::V4,
                    network: at,
                });
            }
            ethertype::IPV6 => {
                return Ok(Link {
                    family: Family::V6,
                    network: at,
                });
            }
            ethertype::VLAN | ethertype::QINQ | ethertype::QINQ_OLD => {
                ethertype = bytes.u16(at + 2).ok_or(Error::LinkTruncated)?;
                at += 4;
            }
            // RFC 3032: the label with the bottom-of-stack bit is followed by the packet.
            ethertype::MPLS | ethertype::MPLS_MULTICAST => {
                let [_, _, bottom, _] = bytes.read(at).ok_or(Error::LinkTruncated)?;
                at += 4;
                if bottom & 1 != 0 {
                    return mpls_payload(bytes, at);
                }
            }
            // RFC 2516: six bytes, then the PPP protocol.
            ethertype::PPPOE_SESSION => return ppp_protocol(bytes, at + 6),
            // Version, length, a security group tag of four bytes, then what follows it.
            ethertype::CISCO_METADATA => {
                ethertype = bytes.u16(at + 6).ok_or(Error::LinkTruncated)?;
                at += 8;
            }
            // IEEE 802.1ah: a 4-byte service tag, then the customer's whole Ethernet header.
            ethertype::BACKBONE => {
                ethertype = bytes.u16(at + 4 + 12).ok_or(Error::LinkTruncated)?;
                at += 4 + 14;
            }
            // A 2-byte tag, then the customer's whole Ethernet header.
            ethertype::FABRIC_PATH => {
                ethertype = bytes.u16(at + 2 + 12).ok_or(Error::LinkTruncated)?;
                at += 2 + 14;
            }
            length if length < ethertype::FIRST => return llc(bytes, at),
            _ => return Err(Error::NotIp),
        }
    }
    Err(Error::NotIp)
}

/// A label says nothing of what follows it (RFC 3032, 2.2): IP by its version, or Ethernet over
/// MPLS behind its control word (RFC 4448).
fn mpls_payload<B: Bytes + ?Sized>(bytes: &B, at: usize) -> Result<Link, Error> {
    by_version(bytes, at).or_else(|_| {
        let control = bytes.byte(at).ok_or(Error::LinkTruncated)?;
        let ethernet = if control >> 4 == 0 { at + 4 } else { at };
        match bytes.u16(ethernet + 12).ok_or(Error::LinkTruncated)? {
            ethertype::IPV4 => Ok(Link {
                family: Family::V4,
                network: ethernet + 14,
            }),
            ethertype::IPV6 => Ok(Link {
                family: Family::V6,
                network: ethernet + 14,
            }),
            _ => Err(Error::NotIp),
        }
    })
}

/// IP by its version field.
fn by_version<B: Bytes + ?Sized>(bytes: &B, at: usize) -> Result<Link, Error> {
    match bytes.byte(at).ok_or(Error::LinkTruncated)? >> 4 {
        4 => Ok(Link {
            family: Family::V4,
            network: at,
        }),
        6 => Ok(Link {
            family: Family::V6,
            network: at,
        }),
        _ => Err(Error::NotIp),
    }
}

/// IEEE 802.2 LLC with SNAP (RFC 1042), or with the IP service access point.
fn llc<B: Bytes + ?Sized>(bytes: &B, at: usize) -> Result<Link, Error> {
    const SNAP: u8 = 0xaa;
    const IP: u8 = 0x06;
    match bytes.byte(at).ok_or(Error::LinkTruncated)? {
        SNAP => match bytes.u16(at + 6).ok_or(Error::LinkTruncated)? {
            ethertype::IPV4 => Ok(Link {
                family: Family::V4,
                network: at + 8,
            }),
            ethertype::IPV6 => Ok(Link {
                family: Family::V6,
                network: at + 8,
            }),
            _ => Err(Error::NotIp),
        },
        IP => by_version(bytes, at + 3),
        _ => Err(Error::NotIp),
    }
}

/// PPP: HDLC address and control may be there or not (RFC 1662, 3.1).
fn ppp<B: Bytes + ?Sized>(bytes: &B) -> Result<Link, Error> {
    let framed = bytes.u16(0).ok_or(Error::LinkTruncated)? == 0xff03;
    ppp_protocol(bytes, if framed { 2 } else { 0 })
}

/// The PPP protocol field (RFC 1661, 2), which may be compressed to one byte.
fn ppp_protocol<B: Bytes + ?Sized>(bytes: &B, at: usize) -> Result<Link, Error> {
    match bytes.u16(at).ok_or(Error::LinkTruncated)? {
        0x0021 => Ok(Link {
            family: Family::V4,
            network: at + 2,
        }),
        0x0057 => Ok(Link {
            family: Family::V6,
            network: at + 2,
        }),
        compressed => match compressed >> 8 {
            0x21 => Ok(Link {
                family: Family::V4,
                network: at + 1,
            }),
            0x57 => Ok(Link {
                family: Family::V6,
                network: at + 1,
            }),
            _ => Err(Error::NotIp),
        },
    }
}

/// The numbers of AF_INET6 differ: 10 on Linux, 24 on NetBSD and OpenBSD, 28 on FreeBSD, 30 on
/// Darwin. All are small, so the byte order shows itself.
fn bsd_loopback<B: Bytes + ?Sized>(bytes: &B) -> Result<Link, Error> {
    let family: [u8; 4] = bytes.read(0).ok_or(Error::LinkTruncated)?;
    match u32::from_le_bytes(family).min(u32::from_be_bytes(family)) {
        2 => Ok(Link {
            family: Family::V4,
            network: 4,
        }),
        10 | 24 | 28 | 30 => Ok(Link {
            family: Family::V6,
            network: 4,
        }),
        _ => Err(Error::NotIp),
    }
}

/// IEEE 802.11 data frames: a header whose length depends on its flags, then LLC.
fn ieee80211<B: Bytes + ?Sized>(bytes: &B, at: usize) -> Result<Link, Error> {
    const DATA: u8 = 2;
    let [kind, flags] = bytes.read(at).ok_or(Error::LinkTruncated)?;
    let (frame_type, subtype) = (kind >> 2 & 3, kind >> 4);
    let (no_data, quality_of_service) = (subtype & 4 != 0, subtype & 8 != 0);
    let (to_system, from_system) = (flags & 1 != 0, flags & 2 != 0);
    let (protected, order) = (flags & 0x40 != 0, flags & 0x80 != 0);
    if frame_type != DATA || no_data || protected {
        return Err(Error::NotIp);
    }
    let mut length = 24;
    if to_system && from_system {
        length += 6;
    }
    if quality_of_service {
        length += 2;
        // The HT control field comes with the order bit of a frame with quality of service.
        if order {
            length += 4;
        }
    }
    llc(bytes, at + length)
}

/// Netfilter log: a 4-byte header with the family, then fields of (length, type, value) padded
/// to four bytes, in the byte order of the machine that wrote them.
fn nflog<B: Bytes + ?Sized>(bytes: &B) -> Result<Link, Error> {
    const PAYLOAD: u16 = 9;
    /// More fields than the kernel writes before the payload.
    const FIELDS: usize = 24;
    let mut at = 4;
    for _ in 0..FIELDS {
        let [l0, l1, t0, t1] = bytes.read(at).ok_or(Error::LinkTruncated)?;
        // Types are small, so the byte order shows itself.
        let little = t1 == 0;
        let number = if little {
            u16::from_le_bytes
        } else {
            u16::from_be_bytes
        };
        if number([t0, t1]) & 0x7fff == PAYLOAD {
            return by_version(bytes, at + 4);
        }
        let length = usize::from(number([l0, l1])).max(4);
        at += length.next_multiple_of(4);
    }
    Err(Error::NotIp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_lead_to_ip_is_not_ip() {
        // An IPv4 header wherever it is looked for: after each shim, as LLC's, or at once.
        for ethertype in 0..=u16::MAX {
            let mut frame = [0x45; 80];
            frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
            let found = link(frame.as_slice(), LinkType::Ethernet);
            if !leads_to_ip(ethertype) {
                assert_eq!(found, Err(Error::NotIp), "{ethertype:#x}");
            }
        }
        assert!(leads_to_ip(0x8100) && !leads_to_ip(0x0806));
    }
}
