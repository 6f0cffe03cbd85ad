//! The IP header: addresses, protocol, fragment, and where the transport header begins.

use super::jumbo::jumbo;
use super::transport::protocol;
use super::{Bounded, Bytes, Layout};
use crate::Error;
use crate::rules::Rules;
use crate::tuple::{Address, Family, Flags, Tuple};

/// What the IP header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// IPv4 or IPv6.
    pub family: Family,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Protocol of the transport header. Of a later IPv6 fragment: what the fragment header says.
    pub protocol: u8,
    /// Where the IP header begins, in bytes from the start of the frame.
    pub start: usize,
    /// Where the transport header begins, likewise.
    pub transport: usize,
    /// Where the packet ends by the length that it states, likewise: nothing behind is read.
    /// [`OPEN`] where that is left open, and under rules that do not look.
    pub end: usize,
    /// Length of the IP packet as its header states it, header included, in bytes; 0 where the
    /// header leaves it open (packets that a network card has still to cut).
    pub length: u32,
    /// Bytes of the hop-by-hop options header of a jumbogram that has the length and nothing else;
    /// 0 of other packets. The kernel adds it to merged packets, and takes it out of those that it
    /// cuts: no packet on a wire has it.
    pub jumbo_header: u8,
    /// What the packet is a fragment of, if it is one.
    pub fragment: Option<Fragment>,
}

impl Network {
    /// The tuple of the packet, as far as the IP header tells it: without ports.
    #[must_use]
    #[inline(always)]
    pub const fn tuple(&self) -> Tuple {
        let flags = match self.family {
            Family::V4 => Flags::OUT,
            Family::V6 => Flags::IPV6,
        };
        Tuple::new(self.destination, self.source, 0, 0, self.protocol, flags)
    }

    /// Where the parts of the packet lie.
    #[must_use]
    #[inline(always)]
    pub const fn layout(&self) -> Layout {
        Layout {
            start: self.start,
            transport: self.transport,
            length: self.length,
            protocol: self.protocol,
            jumbo_header: self.jumbo_header,
        }
    }

    /// Whether it is no part of a packet: no fragment, or an atomic one (RFC 6946).
    #[inline(always)]
    pub(super) const fn is_whole(&self) -> bool {
        match self.fragment {
            Some(fragment) => fragment.is_first() && !fragment.more,
            None => true,
        }
    }
}

/// What a fragment's header tells (RFC 791, 3.1; RFC 8200, 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Identification: 16 bits in IPv4, 32 in IPv6.
    pub id: u32,
    /// Where in the packet's payload it begins, in bytes: 0 of the first one.
    pub offset: u16,
    /// Bytes of the packet's payload that it has; 0 where that is not known.
    pub length: u16,
    /// IPv4: the protocol. IPv6: the next header of the fragment header.
    pub protocol: u8,
    /// More fragments follow. If none does after a first one, it is IPv6's atomic fragment
    /// (RFC 6946).
    pub more: bool,
}

impl Fragment {
    /// Whether it is the first one, which has the transport header.
    #[must_use]
    #[inline(always)]
    pub const fn is_first(&self) -> bool {
        self.offset == 0
    }

    /// Whether it ends within the longest packet that fragments can be put together to.
    #[inline(always)]
    const fn fits(&self) -> bool {
        self.offset as u32 + self.length as u32 <= u16::MAX as u32
    }
}

/// The [`Network::end`] of a packet that ends with its frame.
pub const OPEN: usize = usize::MAX;

/// The IPv4 header without options.
pub(super) const IPV4_HEADER: usize = 20;
/// The IPv6 header without extensions.
pub(super) const IPV6_HEADER: usize = 40;

/// The longest IPv6 packet that is no jumbogram.
const LONGEST: u32 = IPV6_HEADER as u32 + u16::MAX as u32;

/// IPv6 next-header numbers that are not a transport (RFC 8200, 4.1, and the IANA registry).
mod next_header {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const NONE: u8 = 59;
    pub(super) const DESTINATION: u8 = 60;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const HIP: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
}

/// Reads the IP header at offset `at` of a frame.
///
/// # Errors
/// [`Error::NetworkTruncated`], [`Error::NetworkMalformed`], [`Error::ExtensionHeaders`], and
/// [`Error::FragmentUnsupported`] under rules that know no IPv6 fragments.
#[inline(always)]
pub fn network<R: Rules, B: Bytes + ?Sized>(
    bytes: &B,
    family: Family,
    at: usize,
) -> Result<Network, Error> {
    match family {
        Family::V4 => ipv4::<R, B>(bytes, at),
        Family::V6 => ipv6::<R, B>(bytes, at),
    }
}

/// Reads the IPv4 header at offset `at` of a frame.
///
/// # Errors
/// As [`network`].
#[inline(always)]
pub fn ipv4<R: Rules, B: Bytes + ?Sized>(bytes: &B, at: usize) -> Result<Network, Error> {
    let header: [u8; IPV4_HEADER] = bytes.read(at).ok_or(Error::NetworkTruncated)?;
    let [
        version_length,
        _,
        l0,
        l1,
        i0,
        i1,
        f0,
        f1,
        _,
        protocol,
        _,
        _,
        s @ ..,
        d0,
        d1,
        d2,
        d3,
    ] = header;
    let header_length = usize::from(version_length & 0xf) * 4;
    let length = u16::from_be_bytes([l0, l1]);
    let mut end = OPEN;
    if R::CHECK_IP_HEADER {
        let malformed = version_length >> 4 != 4
            || header_length < IPV4_HEADER
            || usize::from(length) < header_length && (length != 0 || !bytes.is_offloaded());
        if malformed {
            return Err(Error::NetworkMalformed);
        }
        if length != 0 {
            end = at + usize::from(length);
        }
    }
    let more_offset = u16::from_be_bytes([f0, f1]);
    let (more, offset) = (more_offset & 0x2000 != 0, more_offset << 3);
    let mut fragment = None;
    if more || offset != 0 {
        let part = Fragment {
            id: u32::from(u16::from_be_bytes([i0, i1])),
            offset,
            length: length.saturating_sub(header_length as u16),
            protocol,
            more,
        };
        if R::CHECK_IP_HEADER && !part.fits() {
            return Err(Error::NetworkMalformed);
        }
        fragment = Some(part);
    }
    Ok(Network {
        family: Family::V4,
        source: Address::from_v4(s),
        destination: Address::from_v4([d0, d1, d2, d3]),
        protocol,
        start: at,
        transport: at + header_length,
        end,
        length: u32::from(length),
        jumbo_header: 0,
        fragment,
    })
}

/// Reads the IPv6 header at offset `at` of a frame.
///
/// # Errors
/// As [`network`].
#[inline(always)]
pub fn ipv6<R: Rules, B: Bytes + ?Sized>(bytes: &B, at: usize) -> Result<Network, Error> {
    // The last first, after which the others are known to be there too.
    let destination = bytes.read(at + 24).ok_or(Error::NetworkTruncated)?;
    let source = bytes.read(at + 8).ok_or(Error::NetworkTruncated)?;
    let [version, _, _, _, l0, l1, protocol, _] = bytes.read(at).ok_or(Error::NetworkTruncated)?;
    if R::CHECK_IP_HEADER && version >> 4 != 6 {
        return Err(Error::NetworkMalformed);
    }
    let payload = u16::from_be_bytes([l0, l1]);
    let transport = at + IPV6_HEADER;
    let mut network = Network {
        family: Family::V6,
        source: Address::from_octets(source),
        destination: Address::from_octets(destination),
        protocol,
        start: at,
        transport,
        end: OPEN,
        length: 0,
        jumbo_header: 0,
        fragment: None,
    };
    if payload != 0 {
        network.length = IPV6_HEADER as u32 + u32::from(payload);
        if R::CHECK_IP_HEADER {
            network.end = transport + usize::from(payload);
        }
    } else {
        match without_payload::<R, B>(bytes, protocol, transport) {
            Ok(found) => (network.length, network.jumbo_header) = found,
            Err(error) if R::CHECK_IP_HEADER => return Err(error),
            Err(_) => {}
        }
        if R::CHECK_IP_HEADER && network.length != 0 {
            network.end = at + network.length as usize;
        }
    }
    if is_extension::<R>(protocol) || protocol == next_header::NONE {
        network = extensions::<R, B>(bytes, network)?;
    }
    Ok(network)
}

/// The length of an IPv6 packet that states to have no payload, and [`Network::jumbo_header`].
///
/// With a hop-by-hop options header it is a jumbogram (RFC 2675, 2). A packet that a network card
/// has still to cut leaves its length open. Else there is no payload (RFC 8200, 3).
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
fn without_payload<R: Rules, B: Bytes + ?Sized>(
    bytes: &B,
    protocol: u8,
    transport: usize,
) -> Result<(u32, u8), Error> {
    if protocol == next_header::HOP_BY_HOP {
        if R::IPV6_HEADERS == 0 {
            // It is not followed anyway.
            return Err(Error::ExtensionHeaders);
        }
        let jumbo = jumbo(bytes, transport)?;
        let length = (IPV6_HEADER as u32).saturating_add(jumbo.payload);
        return Ok((length, jumbo.alone));
    }
    // Ethernet's padding may follow a packet that is just its header of 40 bytes: 6 bytes up to the
    // shortest payload of 46, and 4 of a check sequence that was captured too.
    const PADDING: usize = 6 + 4;
    let is_open = bytes.is_offloaded()
        && (matches!(protocol, protocol::TCP | protocol::UDP) || is_extension::<R>(protocol))
        && bytes.u16(transport + PADDING - 1).is_some();
    Ok((if is_open { 0 } else { IPV6_HEADER as u32 }, 0))
}

/// Whether the header is one that may precede the transport and is stepped over.
#[inline]
const fn is_extension<R: Rules>(header: u8) -> bool {
    match header {
        next_header::HOP_BY_HOP
        | next_header::ROUTING
        | next_header::FRAGMENT
        | next_header::DESTINATION => true,
        next_header::AUTHENTICATION => R::STEP_OVER_AUTHENTICATION,
        next_header::MOBILITY | next_header::HIP | next_header::SHIM6 => R::EVERY_EXTENSION_HEADER,
        _ => false,
    }
}

/// Steps over extension headers. The last header looked at has to be the transport's.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
fn extensions<R: Rules, B: Bytes + ?Sized>(
    bytes: &B,
    mut network: Network,
) -> Result<Network, Error> {
    let bytes = &Bounded::new(bytes, network.end);
    let (mut header, mut at) = (network.protocol, network.transport);
    for _ in 0..R::IPV6_HEADERS {
        at = B::offset(at);
        if header == next_header::NONE {
            return Err(Error::ExtensionHeaders);
        }
        if !is_extension::<R>(header) {
            if at > network.end {
                return Err(Error::NetworkTruncated);
            }
            network.protocol = header;
            network.transport = at;
            return Ok(network);
        }
        if header == next_header::FRAGMENT {
            if !R::IPV6_FRAGMENTS {
                return Err(Error::FragmentUnsupported);
            }
            if network.length > LONGEST {
                // RFC 2675, 3: a jumbogram is not cut.
                return Err(Error::NetworkMalformed);
            }
            let [next, _, o0, o1, i0, i1, i2, i3] =
                bytes.read(at).ok_or(Error::NetworkTruncated)?;
            let offset_more = u16::from_be_bytes([o0, o1]);
            at += 8;
            let fragment = Fragment {
                id: u32::from_be_bytes([i0, i1, i2, i3]),
                offset: offset_more & 0xfff8,
                length: match network.end {
                    OPEN => 0,
                    end => (end - at) as u16,
                },
                protocol: next,
                more: offset_more & 1 != 0,
            };
            if R::CHECK_IP_HEADER && !fragment.fits() {
                return Err(Error::NetworkMalformed);
            }
            network.fragment = Some(fragment);
            if !fragment.is_first() && R::CHECK_IP_HEADER {
                // What follows is payload, not headers.
                network.protocol = next;
                network.transport = at;
                return Ok(network);
            }
            header = next;
            continue;
        }
        let [next, length] = bytes.read(at).ok_or(Error::NetworkTruncated)?;
        let sized_by = if R::AH_LENGTH_BY_NEXT_HEADER {
            next
        } else {
            header
        };
        at += if sized_by == next_header::AUTHENTICATION {
            (usize::from(length) + 2) * 4
        } else {
            (usize::from(length) + 1) * 8
        };
        header = next;
    }
    Err(Error::ExtensionHeaders)
}
