//! IP protocols by name (the IANA "Protocol Numbers" registry).

use core::fmt;
use core::str::FromStr;

/// An IP protocol number. It is shown by its usual name in lower case, or as a number if it has no
/// name here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u8);

/// The text is not an IP protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a protocol: a number up to 255 or a name like {}", examples())]
#[non_exhaustive]
pub struct ProtocolError;

impl Protocol {
    /// ICMP for IPv4.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6.
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);

    /// The protocol's name.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        NAMES
            .iter()
            .find(|(number, _)| *number == self.0)
            .map(|(_, name)| *name)
    }

    /// Whether its packets have ports. The identifier of an ICMP echo is not a port.
    #[must_use]
    pub const fn has_ports(self) -> bool {
        // TCP, UDP, DCCP, SCTP, UDP-Lite.
        matches!(self.0, 6 | 17 | 33 | 132 | 136)
    }
}

/// Names in the order of the numbers. Of several names for a number the first one is shown.
const NAMES: &[(u8, &str)] = &[
    (0, "hopopt"),
    (1, "icmp"),
    (2, "igmp"),
    (4, "ipip"),
    (6, "tcp"),
    (8, "egp"),
    (17, "udp"),
    (33, "dccp"),
    (41, "ipv6"),
    (46, "rsvp"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "icmpv6"),
    (58, "icmp6"),
    (58, "ipv6-icmp"),
    (88, "eigrp"),
    (89, "ospf"),
    (94, "ipencap"),
    (97, "etherip"),
    (103, "pim"),
    (108, "ipcomp"),
    (112, "vrrp"),
    (115, "l2tp"),
    (124, "isis"),
    (132, "sctp"),
    (136, "udplite"),
    (137, "mpls"),
];

fn examples() -> &'static str {
    "tcp, udp, icmp, icmpv6, sctp, gre, esp"
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => self.0.fmt(f),
        }
    }
}

impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(number) = text.parse() {
            return Ok(Self(number));
        }
        NAMES
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text))
            .map(|(number, _)| Self(*number))
            .ok_or(ProtocolError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_parsed_and_shown() {
        for (text, number, shown) in [
            ("tcp", 6, "tcp"),
            ("UDP", 17, "udp"),
            ("ipv6-icmp", 58, "icmpv6"),
            ("132", 132, "sctp"),
            ("253", 253, "253"),
        ] {
            let protocol: Protocol = text.parse().expect("a protocol");
            assert_eq!(protocol, Protocol(number));
            assert_eq!(protocol.to_string(), shown);
        }
        for text in ["", "256", "-1", "tcpx"] {
            assert_eq!(text.parse::<Protocol>(), Err(ProtocolError), "{text}");
        }
    }
}
