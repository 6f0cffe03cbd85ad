//! Who talks to whom: addresses and ports that no two connections of a capture share.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::mix::Kind;
use super::random::Random;
use super::wire::ether::{Link, Tags};
use super::wire::ip::{Addresses, Extras};
use super::wire::{icmp, protocol};

/// Most connections that one capture can have: each portless one takes an address of its own out
/// of half of 10.0.0.0/8.
pub(crate) const MOST_CONNECTIONS: u32 = 1 << 23;

/// Connections that a client has on average.
const PER_CLIENT: u32 = 48;

/// The ephemeral ports of a client, as on Linux.
const PORTS: std::ops::Range<u16> = 32_768..61_000;

/// RFC 1918.
const CLIENTS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);

/// RFC 2544, for benchmarks.
const SERVERS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);

/// RFC 6598.
const ROUTERS: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 0);

/// The two ends of a connection and what their packets have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoints {
    /// From the originator to the responder.
    pub(crate) addresses: Addresses,
    /// The originator's port, or the identifier of its echoes, and the responder's port.
    pub(crate) ports: (u16, u16),
    /// IP protocol number.
    pub(crate) protocol: u8,
    pub(crate) extras: Extras,
    pub(crate) link: Link,
    /// A router on the path: the host part of its address.
    router: u32,
}

impl Endpoints {
    /// The ends of connection number `index` of `connections`.
    pub(crate) fn draw(kind: Kind, index: u32, connections: u32, random: &mut Random) -> Self {
        // Client and client port are a bijection of the index: connection `turn` of each client
        // has a port of its own, since the step is coprime to the number of ports.
        let clients = (connections / PER_CLIENT).max(16);
        let turn = index / clients;
        let client = if kind.is_portless() {
            MOST_CONNECTIONS + index
        } else {
            1 + index % clients
        };
        let ports = u32::from(PORTS.end - PORTS.start);
        let client_port = PORTS.start + ((turn * 7919 + client % ports) % ports) as u16;

        // A few servers are popular.
        let bound = random.below(4096) + 1;
        let server = 1 + random.below(bound);
        let router = 1 + random.below(200);
        let addresses = if random.one_in(4) {
            Addresses::V6 {
                source: v6(1, client),
                destination: v6(2, server),
            }
        } else {
            Addresses::V4 {
                source: v4(CLIENTS, client),
                destination: v4(SERVERS, server),
            }
        };

        let protocol = protocol_of(kind, &addresses);
        let ports = match protocol {
            protocol::TCP => (client_port, random.pick(&[443, 443, 443, 22, 993, 8443])),
            protocol::UDP => (client_port, udp_port(kind, random)),
            protocol::SCTP => (client_port, 2905),
            protocol::ICMP | protocol::ICMPV6 => (client_port, 0),
            _ => (0, 0),
        };
        let mut ends = Self {
            addresses,
            ports,
            protocol,
            extras: Extras {
                options: random.one_in(50),
                hop_by_hop: random.one_in(20),
                // Belongs to what is fragmented, so fragments would have to take it apart.
                destination_options: random.one_in(20) && !kind.is_fragmented(),
                dont_fragment: !kind.is_fragmented(),
            },
            link: link(client, random),
            router,
        };
        // Whose packet the capture happens to begin with counts as the originator.
        if kind == Kind::TcpMidstream && random.one_in(3) {
            ends.swap();
        }
        ends
    }

    /// The addresses of a packet that the router on the path sends to where `path` leads.
    pub(crate) fn by_router(&self, path: Addresses) -> Addresses {
        match path {
            Addresses::V4 { destination, .. } => Addresses::V4 {
                source: v4(ROUTERS, self.router),
                destination,
            },
            Addresses::V6 { destination, .. } => Addresses::V6 {
                source: v6(0xff, self.router),
                destination,
            },
        }
    }

    fn swap(&mut self) {
        self.addresses = self.addresses.reversed();
        self.ports = (self.ports.1, self.ports.0);
        (self.link.originator, self.link.gateway) = (self.link.gateway, self.link.originator);
    }
}

/// Address number `host` of a network.
fn v4(network: Ipv4Addr, host: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(network.to_bits() + host)
}

/// Address number `host` of a subnet of the documentation prefix (RFC 3849).
fn v6(subnet: u16, host: u32) -> Ipv6Addr {
    Ipv6Addr::new(
        0x2001,
        0xdb8,
        subnet,
        0,
        0,
        0,
        (host >> 16) as u16,
        host as u16,
    )
}

fn link(client: u32, random: &mut Random) -> Link {
    let [a, b, c, d] = client.to_be_bytes();
    let vlan = 100 + random.below(16) as u16;
    Link {
        // Locally administered.
        originator: [0x02, 0, a, b, c, d],
        gateway: [0x02, 0xff, 0, 0, 0, 1],
        tags: match random.below(100) {
            0 => Tags::Double(7, vlan),
            1..=10 => Tags::Single(vlan),
            _ => Tags::None,
        },
    }
}

const fn protocol_of(kind: Kind, addresses: &Addresses) -> u8 {
    match kind {
        Kind::Tcp
        | Kind::TcpRetransmission
        | Kind::TcpReset
        | Kind::TcpRefused
        | Kind::TcpUnanswered
        | Kind::TcpMidstream
        | Kind::TcpHalfClosed
        | Kind::TcpUnreachable
        | Kind::TcpPathMtu
        | Kind::TcpFragmented => protocol::TCP,
        Kind::UdpAnswered
        | Kind::UdpStream
        | Kind::UdpOneWay
        | Kind::UdpRefused
        | Kind::UdpRouterError
        | Kind::UdpFragmented => protocol::UDP,
        Kind::Ping | Kind::PingError => icmp::protocol_of(addresses),
        Kind::Sctp => protocol::SCTP,
        Kind::Gre => protocol::GRE,
        Kind::Esp => protocol::ESP,
    }
}

fn udp_port(kind: Kind, random: &mut Random) -> u16 {
    match kind {
        Kind::UdpAnswered => 53,
        Kind::UdpStream => random.pick(&[443, 51_820]),
        Kind::UdpOneWay => random.pick(&[8125, 6514]),
        Kind::UdpRouterError => 33_434 + random.below(30) as u16,
        _ => random.pick(&[7777, 9000, 27_015]),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::mix::Profile;

    #[test]
    fn no_two_connections_share_a_tuple_in_either_direction() {
        for connections in [500, 50_000] {
            let mut seen = HashSet::new();
            for index in 0..connections {
                let Profile {
                    kind, mut random, ..
                } = Profile::draw(9, index);
                let ends = Endpoints::draw(kind, index, connections, &mut random);
                let (a, b) = ends.ports;
                let new = seen.insert((ends.protocol, ends.addresses, a, b));
                let new = new && seen.insert((ends.protocol, ends.addresses.reversed(), b, a));
                assert!(new, "connection {index} of {connections}: {ends:?}");
            }
        }
    }
}
