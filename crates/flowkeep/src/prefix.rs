//! Address prefixes.

use core::fmt;
use core::net::{AddrParseError, IpAddr};
use core::str::FromStr;

use ipnet::IpNet;

/// A prefix such as `192.0.2.0/24` or `2001:db8::/32`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    net: IpNet,
    /// The address's bits and the mask, so that a million addresses are compared quickly.
    bits: u128,
    mask: u128,
}

/// The text is neither an address nor a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// The part before the slash, or all of it, is not an address.
    #[error("not an IPv4 or IPv6 address")]
    Address(#[from] AddrParseError),
    /// The part after the slash is not a prefix length of this address family.
    #[error("not a prefix length: 0 to 32 for IPv4, 0 to 128 for IPv6")]
    Length,
}

impl Prefix {
    /// The prefix of a network whose host bits are 0.
    fn new(net: IpNet) -> Self {
        let (bits, mask) = match net {
            IpNet::V4(net) => (net.addr().to_bits().into(), net.netmask().to_bits().into()),
            IpNet::V6(net) => (net.addr().to_bits(), net.netmask().to_bits()),
        };
        Self { net, bits, mask }
    }

    /// Whether an address is in the prefix.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (same_family, bits) = match address {
            IpAddr::V4(address) => (self.net.addr().is_ipv4(), u128::from(address.to_bits())),
            IpAddr::V6(address) => (self.net.addr().is_ipv6(), address.to_bits()),
        };
        same_family & (bits & self.mask == self.bits)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// Bits after the prefix length are ignored: `192.0.2.7/24` is `192.0.2.0/24`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((address, length)) = text.split_once('/') else {
            return Ok(Self::new(IpNet::from(text.parse::<IpAddr>()?)));
        };
        let length = length.parse().map_err(|_| PrefixError::Length)?;
        let net = IpNet::new(address.parse()?, length).map_err(|_| PrefixError::Length)?;
        Ok(Self::new(net.trunc()))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.net.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().expect("a prefix")
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn prefixes_contain_their_addresses() {
        assert!(prefix("192.0.2.7/24").contains(address("192.0.2.255")));
        assert!(!prefix("192.0.2.7/24").contains(address("192.0.3.0")));
        assert!(prefix("192.0.2.7").contains(address("192.0.2.7")));
        assert!(!prefix("192.0.2.7").contains(address("192.0.2.8")));
        assert!(prefix("2001:db8::/32").contains(address("2001:db8:ffff::1")));
        assert!(prefix("0.0.0.0/0").contains(address("255.255.255.255")));
        assert!(!prefix("0.0.0.0/0").contains(address("::1")));
    }

    #[test]
    fn host_bits_are_not_shown() {
        assert_eq!(prefix("192.0.2.7/24").to_string(), "192.0.2.0/24");
        assert_eq!(prefix("::1").to_string(), "::1/128");
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in [
            "",
            "/",
            "192.0.2",
            "192.0.2.0/33",
            "::/129",
            "::/",
            "::/-1",
            "host",
        ] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }
}
