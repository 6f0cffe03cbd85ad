//! The tuple: the key that names one direction of one connection.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP address in 16 bytes, in network byte order; IPv4 as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2).
///
/// Whether it *is* IPv4 is told by the tuple's [`Flags::IPV6`], not by these bytes: an IPv6 packet
/// may carry a mapped address.
///
/// Kept as two words, the form in which it is compared and stored: as bytes, compilers copy it
/// through memory in pieces of other sizes than it was written in, which stalls the processor
/// (measured: a tenth of a replay's time).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Address([u64; 2]);

impl Address {
    /// The address with these octets, network byte order.
    #[must_use]
    #[inline(always)]
    pub const fn from_octets(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        Self([
            u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
        ])
    }

    /// The octets, network byte order.
    #[must_use]
    #[inline(always)]
    pub const fn octets(self) -> [u8; 16] {
        let [a, b, c, d, e, f, g, h] = self.0[0].to_ne_bytes();
        let [i, j, k, l, m, n, o, p] = self.0[1].to_ne_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// The address of an IPv4 header field, network byte order.
    #[must_use]
    #[inline(always)]
    pub const fn from_v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Self([0, u64::from_ne_bytes([0, 0, 0xff, 0xff, a, b, c, d])])
    }

    /// The address whose octets are those of these words, as they lie in memory.
    #[inline(always)]
    pub(crate) const fn from_halves([a, b, c, d]: [u32; 4]) -> Self {
        const fn join(low: u32, high: u32) -> u64 {
            let [a, b, c, d] = low.to_ne_bytes();
            let [e, f, g, h] = high.to_ne_bytes();
            u64::from_ne_bytes([a, b, c, d, e, f, g, h])
        }
        Self([join(a, b), join(c, d)])
    }

    /// The last four octets: the IPv4 address, where it is one.
    #[must_use]
    #[inline]
    pub const fn v4_octets(self) -> [u8; 4] {
        let [.., a, b, c, d] = self.octets();
        [a, b, c, d]
    }

    /// The two halves as native-endian words, the form in which they are stored and compared.
    #[must_use]
    #[inline(always)]
    pub(crate) const fn words(self) -> [u64; 2] {
        self.0
    }

    /// The inverse of [`Self::words`].
    #[must_use]
    #[inline(always)]
    pub(crate) const fn from_words(words: [u64; 2]) -> Self {
        Self(words)
    }

    /// The address as the standard library's type.
    #[must_use]
    pub const fn to_ip(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => {
                let [a, b, c, d] = self.v4_octets();
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            }
            Family::V6 => IpAddr::V6(Ipv6Addr::from_octets(self.octets())),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Ipv6Addr::from_octets(self.octets()), f)
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// By the octets.
impl Ord for Address {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.octets().cmp(&other.octets())
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::from_v4(v4.octets()),
            IpAddr::V6(v6) => Self::from_octets(v6.octets()),
        }
    }
}

/// The version of the IP header that a packet has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// A tuple's flags, combined by OR.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Flags(pub u8);

impl Flags {
    /// No bit: the flow leaves the tracked endpoint.
    pub const OUT: Self = Self(0);
    /// The flow arrives at the tracked endpoint.
    pub const IN: Self = Self(1);
    /// An ICMP error about the flow.
    pub const RELATED: Self = Self(2);
    /// The flow is addressed to a service.
    pub const SERVICE: Self = Self(4);
    /// The addresses are IPv6. Not a flag of the specification, which keeps a table for each
    /// family: ours has one table for both.
    pub const IPV6: Self = Self(0x80);

    /// The three bits that the specification numbers: in 1, related 2, service 4.
    #[must_use]
    pub const fn specified(self) -> u8 {
        self.0 & 7
    }

    /// Whether every bit of `other` is set.
    #[must_use]
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of bits.
    #[must_use]
    #[inline]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// With the direction bits replaced by `direction`; related and IPv6 stay.
    #[must_use]
    #[inline]
    pub const fn with_direction(self, direction: Self) -> Self {
        Self(self.0 & (Self::RELATED.0 | Self::IPV6.0) | direction.0)
    }

    /// With all but the IPv6 bit replaced by `flags`.
    #[must_use]
    #[inline]
    pub const fn replaced_by(self, flags: Self) -> Self {
        Self(self.0 & Self::IPV6.0 | flags.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.contains(Self::IN) { "in" } else { "out" })?;
        for (bit, name) in [
            (Self::RELATED, "|related"),
            (Self::SERVICE, "|service"),
            (Self::IPV6, "|ipv6"),
        ] {
            if self.contains(bit) {
                f.write_str(name)?;
            }
        }
        Ok(())
    }
}

/// Names one direction of one connection; the key of its entry.
///
/// Addresses are taken from a packet as they stand, ports crossed: a packet's source port is the
/// tuple's destination port. Ports are in host byte order.
///
/// Five words, for the reason that [`Address`] is two: this is the form in which tuples are
/// compared and stored.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Tuple {
    destination: Address,
    source: Address,
    /// Destination port in bits 0 to 15, source port in 16 to 31, protocol in 32 to 39, flags in
    /// 40 to 47, zone in 48 to 63.
    rest: u64,
}

const SOURCE_PORT: u32 = 16;
const PROTOCOL: u32 = 32;
const FLAGS: u32 = 40;
const ZONE: u32 = 48;

impl Tuple {
    /// The tuple of these parts, in zone 0.
    #[must_use]
    #[inline(always)]
    pub const fn new(
        destination: Address,
        source: Address,
        destination_port: u16,
        source_port: u16,
        protocol: u8,
        flags: Flags,
    ) -> Self {
        let rest = destination_port as u64
            | (source_port as u64) << SOURCE_PORT
            | (protocol as u64) << PROTOCOL
            | (flags.0 as u64) << FLAGS;
        Self {
            destination,
            source,
            rest,
        }
    }

    /// The bits of the last of [`Self::words`] that hold the specification's flags.
    pub(crate) const DIRECTION_AND_KIND: u64 = 7 << FLAGS;

    /// Destination address.
    #[must_use]
    #[inline(always)]
    pub const fn destination(&self) -> Address {
        self.destination
    }

    /// Source address.
    #[must_use]
    #[inline(always)]
    pub const fn source(&self) -> Address {
        self.source
    }

    /// Destination port; an ICMP echo request's identifier.
    #[must_use]
    #[inline(always)]
    pub const fn destination_port(&self) -> u16 {
        self.rest as u16
    }

    /// Source port; an ICMP echo reply's identifier.
    #[must_use]
    #[inline(always)]
    pub const fn source_port(&self) -> u16 {
        (self.rest >> SOURCE_PORT) as u16
    }

    /// IP protocol number (IPv6: of the transport header).
    #[must_use]
    #[inline(always)]
    pub const fn protocol(&self) -> u8 {
        (self.rest >> PROTOCOL) as u8
    }

    /// Direction and kind.
    #[must_use]
    #[inline(always)]
    pub const fn flags(&self) -> Flags {
        Flags((self.rest >> FLAGS) as u8)
    }

    /// Keeps apart networks whose addresses overlap, as netfilter's zones do; 0 where unused.
    #[must_use]
    #[inline(always)]
    pub const fn zone(&self) -> u16 {
        (self.rest >> ZONE) as u16
    }

    /// The family of the addresses.
    #[must_use]
    #[inline(always)]
    pub const fn family(&self) -> Family {
        if self.flags().contains(Flags::IPV6) {
            Family::V6
        } else {
            Family::V4
        }
    }

    /// With other addresses.
    #[must_use]
    #[inline(always)]
    pub const fn with_addresses(self, destination: Address, source: Address) -> Self {
        Self {
            destination,
            source,
            ..self
        }
    }

    /// With other ports.
    #[must_use]
    #[inline(always)]
    pub const fn with_ports(self, destination_port: u16, source_port: u16) -> Self {
        let ports = destination_port as u64 | (source_port as u64) << SOURCE_PORT;
        Self {
            rest: self.rest & !0xffff_ffff | ports,
            ..self
        }
    }

    /// With another protocol.
    #[must_use]
    #[inline(always)]
    pub const fn with_protocol(self, protocol: u8) -> Self {
        Self {
            rest: self.rest & !(0xff << PROTOCOL) | (protocol as u64) << PROTOCOL,
            ..self
        }
    }

    /// With other flags.
    #[must_use]
    #[inline(always)]
    pub const fn with_flags(self, flags: Flags) -> Self {
        Self {
            rest: self.rest & !(0xff << FLAGS) | (flags.0 as u64) << FLAGS,
            ..self
        }
    }

    /// In another zone.
    #[must_use]
    #[inline(always)]
    pub const fn with_zone(self, zone: u16) -> Self {
        Self {
            rest: self.rest & !(0xffff << ZONE) | (zone as u64) << ZONE,
            ..self
        }
    }

    /// Addresses and ports exchanged, flags untouched.
    #[must_use]
    #[inline(always)]
    pub const fn swapped(self) -> Self {
        let ports = (self.rest as u32).rotate_left(SOURCE_PORT);
        Self {
            destination: self.source,
            source: self.destination,
            rest: self.rest & !0xffff_ffff | ports as u64,
        }
    }

    /// The tuple of the other direction: addresses and ports exchanged, the `in` bit flipped.
    #[must_use]
    #[inline(always)]
    pub const fn reversed(self) -> Self {
        let swapped = self.swapped();
        Self {
            rest: swapped.rest ^ (Flags::IN.0 as u64) << FLAGS,
            ..swapped
        }
    }

    /// The form in which a table stores and compares it.
    #[must_use]
    #[inline(always)]
    pub const fn words(&self) -> [u64; 5] {
        let ([d0, d1], [s0, s1]) = (self.destination.words(), self.source.words());
        [d0, d1, s0, s1, self.rest]
    }

    /// The inverse of [`Self::words`].
    #[must_use]
    #[inline(always)]
    pub const fn from_words([d0, d1, s0, s1, rest]: [u64; 5]) -> Self {
        Self {
            destination: Address::from_words([d0, d1]),
            source: Address::from_words([s0, s1]),
            rest,
        }
    }
}

impl fmt::Debug for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = self.family();
        f.debug_struct("Tuple")
            .field("destination", &self.destination.to_ip(family))
            .field("source", &self.source.to_ip(family))
            .field("destination_port", &self.destination_port())
            .field("source_port", &self.source_port())
            .field("protocol", &self.protocol())
            .field("flags", &self.flags())
            .field("zone", &self.zone())
            .finish()
    }
}
