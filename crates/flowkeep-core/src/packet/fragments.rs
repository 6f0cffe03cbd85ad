//! Fragments: what the first one has, the later ones are given.

use super::transport::{header, protocol, tcp_flags};
use super::{Bytes, Fragment, Network, Packet};
use crate::Error;
use crate::rules::Rules;
use crate::settings::Settings;
use crate::tuple::{Address, Family, Tuple};

/// Names the packet that a fragment is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FragmentKey {
    /// Destination address.
    pub destination: Address,
    /// Source address.
    pub source: Address,
    /// Identification.
    pub id: u32,
    /// IPv4: the protocol. IPv6: 0, or the next header of the fragment header under rules by which
    /// [fragments have to agree on it](Rules::IPV6_FRAGMENTS_BY_NEXT_HEADER).
    pub protocol: u8,
    /// The addresses' family.
    pub family: Family,
}

impl FragmentKey {
    /// The name of the packet that `network`, with this fragment header, is a part of.
    #[must_use]
    pub const fn new<R: Rules>(network: &Network, fragment: &Fragment) -> Self {
        let by_protocol = match network.family {
            Family::V4 => true,
            Family::V6 => R::IPV6_FRAGMENTS_BY_NEXT_HEADER,
        };
        Self {
            destination: network.destination,
            source: network.source,
            id: fragment.id,
            protocol: if by_protocol { fragment.protocol } else { 0 },
            family: network.family,
        }
    }
}

/// What later fragments need of the first one.
// Aligned, because compilers copy two of its fields as one: the kernel's verifier refuses unaligned
// accesses to the stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C, align(8))]
pub struct FragmentPorts {
    /// Source port, as in the packet.
    pub source: u16,
    /// Destination port, as in the packet.
    pub destination: u16,
    /// Bytes of the packet's payload that the first one had.
    pub length: u16,
    /// Protocol of the transport header.
    pub protocol: u8,
}

/// Where the ports of first fragments are kept for the later ones.
pub trait Fragments {
    /// Whether fragments are tracked at all. If not, nothing is ever asked or recorded.
    const TRACKED: bool = true;
    /// Remembers a first fragment.
    fn record(&mut self, key: &FragmentKey, ports: FragmentPorts);
    /// The ports of a fragment's packet, if its first fragment was recorded.
    fn ports(&mut self, key: &FragmentKey) -> Option<FragmentPorts>;
}

/// Fragments are not tracked.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFragments;

impl Fragments for NoFragments {
    const TRACKED: bool = false;
    fn record(&mut self, _: &FragmentKey, _: FragmentPorts) {}
    fn ports(&mut self, _: &FragmentKey) -> Option<FragmentPorts> {
        None
    }
}

pub(super) const fn fragments_tracked<F: Fragments>(_: &F) -> bool {
    F::TRACKED
}

/// A fragment: the first one has the header and is remembered, a later one asks for what the
/// first one had.
// BPF functions take five arguments.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn fragmented<R: Rules, B: Bytes + ?Sized>(
    bytes: &B,
    network: &Network,
    settings: &Settings,
    fragments: &mut impl Fragments,
    mut packet: Packet,
    fragment: Fragment,
) -> Result<Packet, Error> {
    let key = FragmentKey::new::<R>(network, &fragment);
    if R::FRAGMENTS_AS_WHOLE {
        return fragmented_1_8::<R, B>(bytes, network, settings, fragments, packet, key, &fragment);
    }
    let first = fragment.is_first();
    let atomic = first && !fragment.more;
    let with_ports = R::FRAGMENTS_OF_ANY_PROTOCOL
        || matches!(network.protocol, protocol::TCP | protocol::UDP)
        || network.protocol == protocol::SCTP && settings.sctp;
    if !atomic && !R::FRAGMENTS_OF_ANY_PROTOCOL && own_icmp(network) {
        return Err(Error::IcmpFragment);
    }
    if first {
        packet = header::<R, B>(bytes, network, settings, packet)?;
        if !atomic && with_ports && fragments_tracked(fragments) {
            fragments.record(&key, recorded(&packet, &fragment));
        }
        return Ok(packet);
    }
    packet.later_fragment = true;
    if !with_ports {
        return if settings.other_protocols {
            Ok(packet)
        } else {
            Err(Error::UnknownProtocol)
        };
    }
    if !fragments_tracked(fragments) {
        return Err(Error::FragmentUnsupported);
    }
    let ports = fragments.ports(&key).ok_or(Error::FragmentUnknown)?;
    packet.tuple = later_fragment::<R>(packet.tuple, &fragment, ports)?;
    Ok(packet)
}

/// The tuple of a later fragment, whose IP header and fragment header say these, with what the first
/// one had.
///
/// # Errors
/// [`Error::FragmentOverlap`].
#[inline(always)]
pub fn later_fragment<R: Rules>(
    tuple: Tuple,
    fragment: &Fragment,
    first: FragmentPorts,
) -> Result<Tuple, Error> {
    /// Where TCP's flags are, in units of eight bytes (RFC 3128).
    const FLAGS: u16 = 8;
    if R::REFUSE_OVERLAPS {
        let over_flags = first.protocol == protocol::TCP && fragment.offset == FLAGS;
        // RFC 5722, 4. In IPv4 they may, if a packet was sent again by a path with another MTU.
        let overlaps = matches!(tuple.family(), Family::V6) && fragment.offset < first.length;
        if over_flags || overlaps {
            return Err(Error::FragmentOverlap);
        }
    }
    Ok(tuple
        .with_ports(first.source, first.destination)
        .with_protocol(first.protocol))
}

/// ICMP in IPv4, ICMPv6 in IPv6.
const fn own_icmp(network: &Network) -> bool {
    matches!(
        (network.protocol, network.family),
        (protocol::ICMP, Family::V4) | (protocol::ICMPV6, Family::V6)
    )
}

/// Cilium 1.8 with fragment tracking: only ports are looked after. TCP flags are read from where
/// they would stand, even if that is payload.
fn fragmented_1_8<R: Rules, B: Bytes + ?Sized>(
    bytes: &B,
    network: &Network,
    settings: &Settings,
    fragments: &mut impl Fragments,
    mut packet: Packet,
    key: FragmentKey,
    fragment: &Fragment,
) -> Result<Packet, Error> {
    if !matches!(network.protocol, protocol::TCP | protocol::UDP) || fragment.is_first() {
        packet = header::<R, B>(bytes, network, settings, packet)?;
        if matches!(network.protocol, protocol::TCP | protocol::UDP) {
            fragments.record(&key, recorded(&packet, fragment));
        }
        return Ok(packet);
    }
    if network.protocol == protocol::TCP {
        packet.tcp_flags = tcp_flags(bytes, network.transport)?;
    }
    // The reference masks its own "not found" here.
    let ports = fragments.ports(&key).ok_or(Error::TransportTruncated)?;
    packet.tuple = later_fragment::<R>(packet.tuple, fragment, ports)?;
    Ok(packet)
}

/// What is remembered of a first fragment.
const fn recorded(packet: &Packet, fragment: &Fragment) -> FragmentPorts {
    FragmentPorts {
        source: packet.tuple.destination_port(),
        destination: packet.tuple.source_port(),
        length: fragment.length,
        protocol: packet.tuple.protocol(),
    }
}
