//! The transport header: ports and TCP flags.

use super::fragments::{fragmented, fragments_tracked};
use super::icmp::{ICMP, ICMPV6, icmp};
use super::{Bounded, Bytes, Fragments, Layout, Network};
use crate::Error;
use crate::rules::Rules;
use crate::settings::Settings;
use crate::tuple::{Family, Tuple};

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
    /// [`Flags::RELATED`](crate::tuple::Flags::RELATED) and
    /// [`Flags::IPV6`](crate::tuple::Flags::IPV6) are set.
    pub tuple: Tuple,
    /// An ICMP error's quoted packet, as the tuple that its own packet had; `None` for everything
    /// else and under rules that do not relate by quotation.
    pub quote: Option<Tuple>,
    /// Where its parts lie, for [`measure`](super::measure()).
    pub layout: Layout,
    /// Type and code of an ICMP packet that is not an echo; else 0.
    pub icmp: [u8; 2],
    /// The TCP flags; 0 for other protocols and for later fragments.
    pub tcp_flags: u8,
    /// A fragment that is not the first of its packet.
    pub later_fragment: bool,
}

impl Packet {
    /// What the IP header tells of it.
    #[inline(always)]
    pub(super) const fn of(network: &Network) -> Self {
        Self {
            tuple: network.tuple(),
            tcp_flags: 0,
            quote: None,
            icmp: [0; 2],
            layout: network.layout(),
            later_fragment: false,
        }
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
    // Written out: of what a function returns, compilers put parts at odd places of the stack, which
    // the kernel's verifier refuses.
    let packet = Packet {
        tuple: network.tuple(),
        tcp_flags: 0,
        quote: None,
        icmp: [0; 2],
        layout: network.layout(),
        later_fragment: false,
    };
    if let Some(fragment) = network.fragment
        && (!R::FRAGMENTS_AS_WHOLE || fragments_tracked(fragments))
    {
        let network = *network;
        return fragmented::<R, B>(bytes, &network, settings, fragments, packet, fragment);
    }
    header::<R, B>(bytes, network, settings, packet)
}

/// Tuple and TCP flags of a TCP or UDP packet that is whole: of nearly every packet that there is.
/// For callers in a hurry, who leave the others to [`transport`]; it says the same of these.
///
/// # Errors
/// [`Error::TransportTruncated`], [`Error::TransportMalformed`].
#[inline(always)]
pub fn tcp_or_udp<R: Rules, B: Bytes + ?Sized>(
    bytes: &B,
    network: &Network,
) -> Result<(Tuple, u8), Error> {
    let at = network.transport;
    let mut tcp_flags = 0;
    if network.protocol == protocol::TCP {
        let [offset, flags] = bytes.read(at + 12).ok_or(Error::TransportTruncated)?;
        tcp_flags = flags;
        if R::CHECK_TRANSPORT_HEADER {
            let header = tcp_header(offset);
            // Options may be in the second fragment: IPv4's header and this one may be longer than
            // the shortest fragment.
            let (shortest, needed) = if network.is_whole() {
                (TCP_HEADER, header)
            } else {
                (TCP_FLAGS, TCP_FLAGS)
            };
            if header < TCP_HEADER || at + needed > network.end {
                return Err(if at + shortest > network.end {
                    Error::TransportTruncated
                } else {
                    Error::TransportMalformed
                });
            }
        }
    } else if R::CHECK_TRANSPORT_HEADER && at + UDP_HEADER > network.end {
        return Err(Error::TransportTruncated);
    }
    Ok((with_ports(bytes, at, network.tuple())?, tcp_flags))
}

/// Bytes of a TCP header, by the byte that has its data offset.
#[inline(always)]
pub(super) const fn tcp_header(offset: u8) -> usize {
    (offset >> 4) as usize * 4
}

/// The UDP header (RFC 768).
pub(super) const UDP_HEADER: usize = 8;
/// The TCP header without options (RFC 9293, 3.1).
pub(super) const TCP_HEADER: usize = 20;
/// What of it a first fragment has to have (RFC 1858, 3).
const TCP_FLAGS: usize = 14;
/// The SCTP common header (RFC 9260, 3.1).
const SCTP_HEADER: usize = 12;

/// The header of a whole packet, or of a first fragment.
///
/// Takes and returns the packet by value, like all below: what a pointer leads to can't stay in
/// registers.
#[inline(always)]
pub(super) fn header<R: Rules, B: Bytes + ?Sized>(
    bytes: &B,
    network: &Network,
    settings: &Settings,
    mut packet: Packet,
) -> Result<Packet, Error> {
    let at = network.transport;
    // What the fast way checks all at once.
    let within = &Bounded::new(bytes, network.end);
    match (network.protocol, network.family) {
        (protocol::TCP | protocol::UDP, _) => {
            (packet.tuple, packet.tcp_flags) = tcp_or_udp::<R, B>(bytes, network)?;
        }
        (protocol::ICMP, Family::V4) => return icmp::<R, _>(within, at, packet, &ICMP),
        (protocol::ICMPV6, Family::V6) => return icmp::<R, _>(within, at, packet, &ICMPV6),
        (protocol::SCTP, _) if R::OTHER_PROTOCOLS && settings.sctp => {
            if R::CHECK_TRANSPORT_HEADER && at + SCTP_HEADER > network.end {
                return Err(Error::TransportTruncated);
            }
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
pub(super) fn tcp_flags<B: Bytes + ?Sized>(bytes: &B, at: usize) -> Result<u8, Error> {
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
