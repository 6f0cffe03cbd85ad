//! Packets in tunnels, byte for byte as the standards draw them.

use etherparse::{IpNumber, PacketBuilder, TcpHeader, TcpOptionElement};
use flowkeep_core::tuple::Family;

/// Both.
pub const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// What a packet is in.
#[derive(Clone, Copy, Debug)]
pub enum Tunnel {
    /// Nothing.
    None,
    /// VXLAN (RFC 7348) at a port, with an inner tag or without.
    Vxlan { port: u16, tagged: bool },
    /// VXLAN's generic extension, with Ethernet inside or with IP at once.
    VxlanGeneric { ethernet: bool },
    /// Geneve (RFC 8926) with words of options, with Ethernet inside or with IP at once.
    Geneve { options: u8, ethernet: bool },
    /// IP in UDP.
    FooOverUdp,
    /// GRE (RFC 2784, RFC 2890) with these flags' fields, with Ethernet inside or with IP at once.
    Gre { flags: u8, ethernet: bool },
    /// IP in IP (RFC 2003, RFC 2473, RFC 4213).
    Ip,
}

const TUNNELS: [Tunnel; 14] = [
    Tunnel::None,
    Tunnel::Vxlan {
        port: 4789,
        tagged: false,
    },
    Tunnel::Vxlan {
        port: 8472,
        tagged: true,
    },
    Tunnel::VxlanGeneric { ethernet: true },
    Tunnel::VxlanGeneric { ethernet: false },
    Tunnel::Geneve {
        options: 0,
        ethernet: true,
    },
    Tunnel::Geneve {
        options: 3,
        ethernet: false,
    },
    // Its first byte is VXLAN's.
    Tunnel::Geneve {
        options: 8,
        ethernet: true,
    },
    Tunnel::FooOverUdp,
    Tunnel::Gre {
        flags: 0,
        ethernet: false,
    },
    Tunnel::Gre {
        flags: 0x20,
        ethernet: true,
    },
    Tunnel::Gre {
        flags: 0xb0,
        ethernet: false,
    },
    Tunnel::Gre {
        flags: 0x30,
        ethernet: true,
    },
    Tunnel::Ip,
];

/// What has the payload.
#[derive(Clone, Copy, Debug)]
pub enum Transport {
    /// TCP, with timestamps (RFC 7323) or without options.
    Tcp { timestamps: bool },
    /// UDP.
    Udp,
}

const TRANSPORTS: [Transport; 3] = [
    Transport::Tcp { timestamps: false },
    Transport::Tcp { timestamps: true },
    Transport::Udp,
];

/// A packet, and what it is in.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The family of the tunnel, if there is one.
    pub outer: Family,
    /// See [`Tunnel`].
    pub tunnel: Tunnel,
    /// The family of the packet.
    pub inner: Family,
    /// See [`Transport`].
    pub transport: Transport,
}

impl Kind {
    /// One of each.
    pub fn all() -> impl Iterator<Item = Self> {
        FAMILIES.into_iter().flat_map(|outer| {
            TUNNELS.into_iter().flat_map(move |tunnel| {
                FAMILIES.into_iter().flat_map(move |inner| {
                    TRANSPORTS.into_iter().map(move |transport| Self {
                        outer,
                        tunnel,
                        inner,
                        transport,
                    })
                })
            })
        })
    }

    /// The Ethernet frame, with so many bytes of payload.
    pub fn frame(self, payload: usize) -> Vec<u8> {
        let (protocol, segment) = self.transport.segment(payload);
        let packet = ip(self.inner, protocol, &segment);
        let frame = ethernet(self.inner, &packet);
        let inside = |is_ethernet| if is_ethernet { &frame } else { &packet };
        let ether_type = |is_ethernet| {
            if is_ethernet {
                [0x65, 0x58]
            } else {
                ether_type(self.inner)
            }
        };
        let (protocol, payload) = match self.tunnel {
            Tunnel::None => return frame,
            Tunnel::Vxlan { port, tagged } => {
                let mut bytes = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &frame].concat();
                if tagged {
                    bytes.splice(8 + 12..8 + 12, [0x81, 0x00, 0x00, 0x05]);
                }
                (17, udp(port, &bytes))
            }
            Tunnel::VxlanGeneric { ethernet } => {
                let next = match (ethernet, self.inner) {
                    (false, Family::V4) => 1,
                    (false, Family::V6) => 2,
                    (true, _) => 3,
                };
                let header = [0x0c, 0, 0, next, 0, 0, 7, 0];
                (17, udp(4790, &[&header, &inside(ethernet)[..]].concat()))
            }
            Tunnel::Geneve { options, ethernet } => {
                let [k0, k1] = ether_type(ethernet);
                let mut bytes = vec![options, 0, k0, k1, 0, 0, 7, 0];
                bytes.resize(8 + 4 * usize::from(options), 0xee);
                bytes.extend(inside(ethernet));
                (17, udp(6081, &bytes))
            }
            Tunnel::FooOverUdp => (17, udp(5555, &packet)),
            Tunnel::Gre { flags, ethernet } => {
                let [k0, k1] = ether_type(ethernet);
                let mut bytes = vec![flags, 0, k0, k1];
                bytes.resize(4 + 4 * flags.count_ones() as usize, 0xee);
                bytes.extend(inside(ethernet));
                (47, bytes)
            }
            Tunnel::Ip => match self.inner {
                Family::V4 => (4, packet),
                Family::V6 => (41, packet),
            },
        };
        ethernet(self.outer, &ip(self.outer, protocol, &payload))
    }
}

impl Transport {
    /// Its protocol, and its header with so many bytes of payload.
    pub fn segment(self, payload: usize) -> (u8, Vec<u8>) {
        let payload = vec![0xa5; payload];
        let timestamps = match self {
            Self::Tcp { timestamps } => timestamps,
            Self::Udp => return (17, udp(1, &payload)),
        };
        let mut header = TcpHeader::new(1, 443, 7, 1000);
        if timestamps {
            let padding = TcpOptionElement::Noop;
            let options = [padding.clone(), padding, TcpOptionElement::Timestamp(1, 2)];
            header.set_options(&options).expect("there is room");
        }
        let mut bytes = Vec::new();
        header.write(&mut bytes).expect("a vector takes all");
        bytes.extend(payload);
        (6, bytes)
    }
}

/// A datagram between two ends at one port.
pub fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len() as u16;
    let header = [port, port, length, 0].map(u16::to_be_bytes).concat();
    [&header, payload].concat()
}

/// An IP packet of a protocol.
pub fn ip(family: Family, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let (mut packet, protocol) = (Vec::new(), IpNumber(protocol));
    match family {
        Family::V4 => {
            let builder = PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64);
            builder.write(&mut packet, protocol, payload)
        }
        Family::V6 => {
            let builder = PacketBuilder::ipv6([0x20; 16], [0x21; 16], 64);
            builder.write(&mut packet, protocol, payload)
        }
    }
    .expect("it is short enough");
    packet
}

const fn ether_type(family: Family) -> [u8; 2] {
    match family {
        Family::V4 => [0x08, 0x00],
        Family::V6 => [0x86, 0xdd],
    }
}

/// An Ethernet frame from nobody to nobody.
pub fn ethernet(family: Family, packet: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &ether_type(family), packet].concat()
}
