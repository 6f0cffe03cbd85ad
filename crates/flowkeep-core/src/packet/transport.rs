//! The transport header: ports, TCP flags, what kind of ICMP.

use super::quote::quoted;
use super::{Bytes, Fragment, Network};
use crate::Error;
use crate::rules::Rules;
use crate::settings::Settings;
use crate::tuple::{Address, Family, Flags, Tuple};

/// IP protocol numbers.
pub mod protocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// TCP flags (RFC 9293, 3.1).
pub mod tcp {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgment field is significant.
    pub const ACK: u8 = 0x10;
}

/// A packet, as far as tracking needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
// In an order without odd places: the kernel's verifier wants what is on the stack aligned.
#[repr(C)]
pub struct Packet {
    /// Its tuple: addresses as they stand, ports crossed; of the flags only
    /// [`Flags::RELATED`] and [`Flags::IPV6`] are set.
    pub tuple: Tuple,
    /// An ICMP error's quoted packet, as the tuple that its own packet had; `None` for everything
    /// else and under rules that do not relate by quotation.
    pub quote: Option<Tuple>,
    /// Length of the IP packet as its header states it, in bytes; 0 where that leaves it open.
    pub length: u32,
    /// Type and code of an ICMP packet that is not an echo; else 0.
    pub icmp: [u8; 2],
    /// The TCP flags; 0 for other protocols and for later fragments.
    pub tcp_flags: u8,
    /// A fragment that is not the first of its packet.
    pub later_fragment: bool,
}

/// Names the packet that a fragment is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FragmentKey {
    /// Destination address.
    pub destination: Address,
    /// Source address.
    pub source: Address,
    /// Identification.
    pub id: u32,
    /// IPv4: the protocol. IPv6: the next header of the fragment header.
    pub protocol: u8,
    /// The addresses' family.
    pub family: Family,
}

impl FragmentKey {
    /// The name of the packet that `network`, with this fragment header, is a part of.
    #[must_use]
    pub const fn new(network: &Network, fragment: &Fragment) -> Self {
        Self {
            destination: network.destination,
            source: network.source,
            id: fragment.id,
            protocol: fragment.protocol,
            family: network.family,
        }
    }

    /// The flags of a tuple of this family.
    #[must_use]
    pub const fn family_flags(&self) -> Flags {
        match self.family {
            Family::V4 => Flags::OUT,
            Family::V6 => Flags::IPV6,
        }
    }
}

/// What later fragments need of the first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FragmentPorts {
    /// Source port, as in the packet.
    pub source: u16,
    /// Destination port, as in the packet.
    pub destination: u16,
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

/// Reads the transport header that `network` leads to.
///
/// # Errors
/// What the header lacks, or why a fragment or a protocol is not tracked.
#[inline(always)]
pub fn transport<R: Rules, B: Bytes + ?Sized>(
    bytes: &B,
    network: &Network,
    settings: &Settings,
    fragments: &mut impl Fragments,
) -> Result<Packet, Error> {
    let packet = Packet {
        tuple: network.tuple(),
        tcp_flags: 0,
        quote: None,
        icmp: [0; 2],
        length: network.length,
        later_fragment: false,
    };
    if let Some(fragment) = network.fragment
        && (!R::FRAGMENTS_AS_WHOLE || fragments_tracked(fragments))
    {
        let network = *network;
        return fragmented::<R, B>(bytes, &network, settings, fragments, packet, fragment.first);
    }
    header::<R, B>(bytes, network, settings, packet)
}

const fn fragments_tracked<F: Fragments>(_: &F) -> bool {
    F::TRACKED
}

/// Tuple and TCP flags of a TCP or UDP packet that is whole: of nearly every packet that there is.
/// For callers in a hurry, who leave the others to [`transport`]; it says the same of these.
///
/// # Errors
/// [`Error::TransportTruncated`].
#[inline(always)]
pub fn tcp_or_udp<B: Bytes + ?Sized>(bytes: &B, network: &Network) -> Result<(Tuple, u8), Error> {
    let at = network.transport;
    let flags = if network.protocol == protocol::TCP {
        tcp_flags(bytes, at)?
    } else {
        0
    };
    Ok((with_ports(bytes, at, network.tuple())?, flags))
}

/// The header of a whole packet, or of a first fragment.
///
/// Takes and returns the packet by value, like all below: what a pointer leads to can't stay in
/// registers.
#[inline(always)]
fn header<R: Rules, B: Bytes + ?Sized>(
    bytes: &B,
    network: &Network,
    settings: &Settings,
    mut packet: Packet,
) -> Result<Packet, Error> {
    let at = network.transport;
    match (network.protocol, network.family) {
        (protocol::TCP | protocol::UDP, _) => {
            (packet.tuple, packet.tcp_flags) = tcp_or_udp(bytes, network)?;
        }
        (protocol::ICMP, Family::V4) => return icmp::<R, B>(bytes, at, packet, &ICMP),
        (protocol::ICMPV6, Family::V6) => return icmp::<R, B>(bytes, at, packet, &ICMPV6),
        (protocol::SCTP, _) if R::OTHER_PROTOCOLS && settings.sctp => {
            packet.tuple = with_ports(bytes, at, packet.tuple)?;
        }
        // ICMP of the other family is one of these.
        _ if R::OTHER_PROTOCOLS && settings.other_protocols => {}
        _ => return Err(Error::UnknownProtocol),
    }
    Ok(packet)
}

/// The flags byte. All of bytes 12 and 13 have to be there, as the specification has it.
#[inline(always)]
fn tcp_flags<B: Bytes + ?Sized>(bytes: &B, at: usize) -> Result<u8, Error> {
    let [_, flags] = bytes.read(at + 12).ok_or(Error::TransportTruncated)?;
    Ok(flags)
}

/// The tuple with the ports, crossed.
#[inline(always)]
fn with_ports<B: Bytes + ?Sized>(bytes: &B, at: usize, tuple: Tuple) -> Result<Tuple, Error> {
    let [s0, s1, d0, d1] = bytes.read(at).ok_or(Error::TransportTruncated)?;
    let (source, destination) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    Ok(tuple.with_ports(source, destination))
}

/// The types of ICMP or ICMPv6 that matter.
struct IcmpTypes {
    echo_request: u8,
    echo_reply: u8,
    errors: &'static [u8],
}

/// RFC 792.
const ICMP: IcmpTypes = IcmpTypes {
    echo_request: 8,
    echo_reply: 0,
    errors: &[3, 11, 12],
};
/// RFC 4443.
const ICMPV6: IcmpTypes = IcmpTypes {
    echo_request: 128,
    echo_reply: 129,
    errors: &[1, 2, 3, 4],
};

/// ICMP: an echo's identifier takes a port's place, an error is marked as related.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
fn icmp<R: Rules, B: Bytes + ?Sized>(
    bytes: &B,
    at: usize,
    mut packet: Packet,
    types: &IcmpTypes,
) -> Result<Packet, Error> {
    let icmp_type = bytes.byte(at).ok_or(Error::TransportTruncated)?;
    let code = bytes.byte(at + 1);
    if R::ICMP_NEEDS_CODE && !packet.tuple.flags().contains(Flags::IPV6) && code.is_none() {
        return Err(Error::TransportTruncated);
    }
    let identifier = || bytes.u16(at + 4).ok_or(Error::TransportTruncated);
    if icmp_type == types.echo_request {
        packet.tuple = packet.tuple.with_ports(identifier()?, 0);
    } else if icmp_type == types.echo_reply {
        packet.tuple = packet.tuple.with_ports(0, identifier()?);
    } else {
        packet.icmp = [icmp_type, code.unwrap_or(0)];
        if types.errors.contains(&icmp_type) {
            let flags = packet.tuple.flags().union(Flags::RELATED);
            packet.tuple = packet.tuple.with_flags(flags);
            if R::RELATE_BY_QUOTE {
                packet.quote = Some(quoted::<R, B>(bytes, at + 8, packet.tuple.family())?);
            }
        }
    }
    Ok(packet)
}

/// A fragment: the first one has the header and is remembered, a later one asks for what the
/// first one had.
// BPF functions take five arguments.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
fn fragmented<R: Rules, B: Bytes + ?Sized>(
    bytes: &B,
    network: &Network,
    settings: &Settings,
    fragments: &mut impl Fragments,
    mut packet: Packet,
    first: bool,
) -> Result<Packet, Error> {
    let Some(fragment) = network.fragment else {
        return Err(Error::NetworkMalformed);
    };
    let key = FragmentKey::new(network, &fragment);
    if R::FRAGMENTS_AS_WHOLE {
        return fragmented_1_8::<R, B>(bytes, network, settings, fragments, packet, key, first);
    }
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
            fragments.record(&key, recorded(&packet));
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
    apply(&mut packet.tuple, ports);
    Ok(packet)
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
    first: bool,
) -> Result<Packet, Error> {
    if !matches!(network.protocol, protocol::TCP | protocol::UDP) || first {
        packet = header::<R, B>(bytes, network, settings, packet)?;
        if matches!(network.protocol, protocol::TCP | protocol::UDP) {
            fragments.record(&key, recorded(&packet));
        }
        return Ok(packet);
    }
    if network.protocol == protocol::TCP {
        packet.tcp_flags = tcp_flags(bytes, network.transport)?;
    }
    // The reference masks its own "not found" here.
    let ports = fragments.ports(&key).ok_or(Error::TransportTruncated)?;
    apply(&mut packet.tuple, ports);
    Ok(packet)
}

/// What is remembered of a first fragment.
const fn recorded(packet: &Packet) -> FragmentPorts {
    FragmentPorts {
        source: packet.tuple.destination_port(),
        destination: packet.tuple.source_port(),
        protocol: packet.tuple.protocol(),
    }
}

/// Gives a later fragment what its first one had.
const fn apply(tuple: &mut Tuple, ports: FragmentPorts) {
    *tuple = tuple
        .with_ports(ports.source, ports.destination)
        .with_protocol(ports.protocol);
}
