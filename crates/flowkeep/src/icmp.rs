//! Names of ICMP and ICMPv6 errors.

use core::fmt;

use crate::connection::IcmpError;

/// The kind of an ICMP error: its type and code. It is shown by its name, if it has one in the IANA
/// registries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IcmpKind {
    /// ICMPv6 rather than ICMP.
    pub v6: bool,
    /// Type.
    pub icmp_type: u8,
    /// Code.
    pub code: u8,
}

impl IcmpKind {
    /// Whether the error means that a packet was not delivered. After a redirect it was forwarded.
    #[must_use]
    pub const fn refuses(self) -> bool {
        const REDIRECT: u8 = 5;
        const REDIRECT_V6: u8 = 137;
        self.icmp_type != if self.v6 { REDIRECT_V6 } else { REDIRECT }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        if self.v6 {
            self.name_v6()
        } else {
            self.name_v4()
        }
    }

    /// RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.
    fn name_v4(self) -> Option<&'static str> {
        Some(match (self.icmp_type, self.code) {
            (3, 0) => "network unreachable",
            (3, 1) => "host unreachable",
            (3, 2) => "protocol unreachable",
            (3, 3) => "port unreachable",
            (3, 4) => "fragmentation needed",
            (3, 5) => "source route failed",
            (3, 6) => "network unknown",
            (3, 7) => "host unknown",
            (3, 8) => "source host isolated",
            (3, 9) => "network prohibited",
            (3, 10) => "host prohibited",
            (3, 11) => "network unreachable for this service",
            (3, 12) => "host unreachable for this service",
            (3, 13) => "administratively prohibited",
            (3, 14) => "host precedence violation",
            (3, 15) => "precedence cutoff",
            (4, 0) => "source quench",
            (5, 0) => "redirect for the network",
            (5, 1) => "redirect for the host",
            (5, 2) => "redirect for the network and service",
            (5, 3) => "redirect for the host and service",
            (11, 0) => "time to live exceeded",
            (11, 1) => "reassembly time exceeded",
            (12, 0) => "bad header",
            (12, 1) => "missing option",
            (12, 2) => "bad header length",
            _ => return None,
        })
    }

    /// RFC 4443 section 3, RFC 4861 section 4.5, RFC 7112, RFC 8883.
    fn name_v6(self) -> Option<&'static str> {
        Some(match (self.icmp_type, self.code) {
            (1, 0) => "no route",
            (1, 1) => "administratively prohibited",
            (1, 2) => "beyond the scope of the source address",
            (1, 3) => "address unreachable",
            (1, 4) => "port unreachable",
            (1, 5) => "source address failed policy",
            (1, 6) => "route rejected",
            (1, 7) => "source route failed",
            (2, _) => "packet too big",
            (3, 0) => "hop limit exceeded",
            (3, 1) => "reassembly time exceeded",
            (4, 0) => "bad header",
            (4, 1) => "unknown next header",
            (4, 2) => "unknown option",
            (4, 3) => "incomplete header chain in the first fragment",
            (137, 0) => "redirect",
            _ => return None,
        })
    }
}

impl IcmpError {
    /// Its kind. The sender's address tells which ICMP it is.
    #[must_use]
    pub const fn kind(&self) -> IcmpKind {
        IcmpKind {
            v6: self.sender.is_ipv6(),
            icmp_type: self.icmp_type,
            code: self.code,
        }
    }
}

impl fmt::Display for IcmpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "type {} code {}", self.icmp_type, self.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_numbers_mean_different_errors() {
        let kind = |v6, icmp_type, code| {
            let kind = IcmpKind {
                v6,
                icmp_type,
                code,
            };
            kind.to_string()
        };
        assert_eq!(kind(false, 3, 3), "port unreachable");
        assert_eq!(kind(true, 1, 4), "port unreachable");
        assert_eq!(kind(true, 3, 0), "hop limit exceeded");
        assert_eq!(kind(false, 3, 0), "network unreachable");
        assert_eq!(kind(true, 2, 9), "packet too big");
        assert_eq!(kind(false, 200, 1), "type 200 code 1");
    }
}
