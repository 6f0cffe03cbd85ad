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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tuple {
    /// Destination address.
    pub destination: Address,
    /// Source address.
    pub source: Address,
    /// Destination port; an ICMP echo request's identifier.
    pub destination_port: u16,
    /// Source port; an ICMP echo reply's identifier.
    pub source_port: u16,
    /// IP protocol number (IPv6: of the transport header).
    pub protocol: u8,
    /// Direction and kind.
    pub flags: Flags,
    /// Keeps apart networks whose addresses overlap, as netfilter's zones do; 0 where unused.
    pub zone: u16,
}

impl Tuple {
    /// The family of the addresses.
    #[must_use]
    #[inline]
    pub const fn family(&self) -> Family {
        if self.flags.contains(Flags::IPV6) {
            Family::V6
        } else {
            Family::V4
        }
    }

    /// Addresses and ports exchanged, flags untouched.
    #[must_use]
    #[inline]
    pub const fn swapped(self) -> Self {
        Self {
            destination: self.source,
            source: self.destination,
            destination_port: self.source_port,
            source_port: self.destination_port,
            ..self
        }
    }

    /// The tuple of the other direction: addresses and ports exchanged, the `in` bit flipped.
    #[must_use]
    #[inline]
    pub const fn reversed(self) -> Self {
        let mut reversed = self.swapped();
        reversed.flags = Flags(self.flags.0 ^ Flags::IN.0);
        reversed
    }
}
