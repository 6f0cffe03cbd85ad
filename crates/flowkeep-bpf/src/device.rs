//! Kinds of interfaces.

use std::io::{self, ErrorKind};

use nix::ifaddrs::getifaddrs;

use crate::Error;

/// The header with which the packets of an interface begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// An Ethernet header.
    Ethernet,
    /// The IP header.
    Ip,
}

impl Device {
    /// The kind of an interface of the current network namespace.
    ///
    /// # Errors
    /// [`Error::Interface`] and [`Error::Kind`].
    pub fn of(interface: &str) -> Result<Self, Error> {
        let failed = |source| Error::Interface {
            interface: interface.to_owned(),
            source,
        };
        // Not from /sys, which shows the namespace in which it was mounted.
        let mut addresses = getifaddrs()
            .map_err(|error| failed(error.into()))?
            .filter(|address| address.interface_name == interface)
            .peekable();
        if addresses.peek().is_none() {
            let missing = io::Error::new(ErrorKind::NotFound, "no such interface");
            return Err(failed(missing));
        }
        let kind = addresses.find_map(|address| Some(address.address?.as_link_addr()?.hatype()));
        // Devices without a link header have no link address (tun, WireGuard).
        let Some(kind) = kind else {
            return Ok(Self::Ip);
        };
        // Numbers of linux/if_arp.h.
        match kind {
            // Ethernet, and the loopback device, which has an Ethernet header too.
            1 | 772 => Ok(Self::Ethernet),
            // PPP, IP in IP, IPv6 in IPv6, SIT, GRE over IPv4 and IPv6, raw IP, none (tun,
            // WireGuard).
            512 | 768 | 769 | 776 | 778 | 823 | 519 | 65534 => Ok(Self::Ip),
            kind => Err(Error::Kind {
                interface: interface.to_owned(),
                kind: u32::from(kind),
            }),
        }
    }
}
