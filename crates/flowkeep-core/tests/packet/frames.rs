//! Well-formed frames, built by `etherparse`.

use bolero::TypeGenerator;
use etherparse::{
    IpAuthHeader, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv4Options, Ipv6Extensions,
    Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, Ipv6RoutingExtensions, LinuxSllPacketType,
    PacketBuilder, PacketBuilderStep, TcpHeader, VlanId,
};

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TypeGenerator)]
pub(crate) enum Link {
    None,
    Ethernet,
    Vlan,
    QinQ,
    Cooked,
}

#[derive(Clone, Copy, Debug, TypeGenerator)]
pub(crate) enum Network {
    V4 {
        source: [u8; 4],
        destination: [u8; 4],
        /// Options, in words of four bytes.
        options: u8,
        id: u16,
        authentication: Option<u8>,
    },
    V6 {
        source: [u8; 16],
        destination: [u8; 16],
        hop_by_hop: Option<u8>,
        destination_options: Option<u8>,
        routing: Option<u8>,
        final_options: Option<u8>,
        atomic_fragment: Option<u32>,
        authentication: Option<u8>,
    },
}

#[derive(Clone, Copy, Debug, TypeGenerator)]
pub(crate) enum Transport {
    Udp {
        source: u16,
        destination: u16,
    },
    Tcp {
        source: u16,
        destination: u16,
        flags: u8,
        sequence: u32,
    },
    EchoRequest {
        id: u16,
        sequence: u16,
    },
    EchoReply {
        id: u16,
        sequence: u16,
    },
}

#[derive(Clone, Copy, Debug, TypeGenerator)]
pub(crate) struct Frame {
    pub(crate) link: Link,
    network: Network,
    transport: Transport,
    payload: u8,
}

/// An extension header of `8 * (1 + units)` bytes.
fn extension(units: u8) -> Ipv6RawExtHeader {
    let payload = vec![0; 6 + 8 * usize::from(units % 4)];
    Ipv6RawExtHeader::new_raw(IpNumber::UDP, &payload).expect("a length that there is")
}

/// An authentication header of `12 + 4 * words` bytes.
fn authentication(words: u8) -> IpAuthHeader {
    let value = vec![0; 4 * usize::from(words % 8)];
    IpAuthHeader::new(IpNumber::UDP, 1, 2, &value).expect("a length that there is")
}

impl Network {
    fn headers(self) -> IpHeaders {
        match self {
            Self::V4 {
                source,
                destination,
                options,
                id,
                authentication,
            } => {
                let mut header = Ipv4Header::new(0, 64, IpNumber::UDP, source, destination)
                    .expect("a length that there is");
                header.identification = id;
                // No-operations (RFC 791, 3.1).
                let options = vec![1; 4 * usize::from(options % 11)];
                header.options =
                    Ipv4Options::try_from(&options[..]).expect("a length that there is");
                let auth = authentication.map(self::authentication);
                IpHeaders::Ipv4(header, Ipv4Extensions { auth })
            }
            Self::V6 {
                source,
                destination,
                hop_by_hop,
                destination_options,
                routing,
                final_options,
                atomic_fragment,
                authentication,
            } => {
                let header = Ipv6Header {
                    source,
                    destination,
                    hop_limit: 64,
                    ..Ipv6Header::default()
                };
                let extensions = Ipv6Extensions {
                    hop_by_hop_options: hop_by_hop.map(extension),
                    destination_options: destination_options.map(extension),
                    routing: routing.map(|units| Ipv6RoutingExtensions {
                        routing: extension(units),
                        final_destination_options: final_options.map(extension),
                    }),
                    fragment: atomic_fragment.map(|id| {
                        Ipv6FragmentHeader::new(
                            IpNumber::UDP,
                            etherparse::IpFragOffset::ZERO,
                            false,
                            id,
                        )
                    }),
                    auth: authentication.map(self::authentication),
                };
                IpHeaders::Ipv6(header, extensions)
            }
        }
    }
}

impl Frame {
    fn is_v4(&self) -> bool {
        matches!(self.network, Network::V4 { .. })
    }

    fn finish(&self, builder: PacketBuilderStep<IpHeaders>) -> Vec<u8> {
        let (payload, mut bytes) = (vec![0xa5; self.payload.into()], Vec::new());
        match self.transport {
            Transport::Udp {
                source,
                destination,
            } => builder.udp(source, destination).write(&mut bytes, &payload),
            Transport::Tcp {
                source,
                destination,
                flags,
                sequence,
            } => {
                let mut header = TcpHeader::new(source, destination, sequence, 1024);
                let bit = |bit: u8| flags >> bit & 1 != 0;
                header.fin = bit(0);
                header.syn = bit(1);
                header.rst = bit(2);
                header.psh = bit(3);
                header.ack = bit(4);
                header.urg = bit(5);
                header.ece = bit(6);
                header.cwr = bit(7);
                builder.tcp_header(header).write(&mut bytes, &payload)
            }
            Transport::EchoRequest { id, sequence } if self.is_v4() => builder
                .icmpv4_echo_request(id, sequence)
                .write(&mut bytes, &payload),
            Transport::EchoRequest { id, sequence } => builder
                .icmpv6_echo_request(id, sequence)
                .write(&mut bytes, &payload),
            Transport::EchoReply { id, sequence } if self.is_v4() => builder
                .icmpv4_echo_reply(id, sequence)
                .write(&mut bytes, &payload),
            Transport::EchoReply { id, sequence } => builder
                .icmpv6_echo_reply(id, sequence)
                .write(&mut bytes, &payload),
        }
        .expect("everything that was chosen fits");
        bytes
    }

    /// The frame, byte for byte.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let ip = self.network.headers();
        let vlan = |id| VlanId::try_new(id).expect("there are 4,096");
        let ethernet = PacketBuilder::ethernet2([2; 6], [4; 6]);
        match self.link {
            Link::None => self.finish(PacketBuilder::ip(ip)),
            Link::Ethernet => self.finish(ethernet.ip(ip)),
            Link::Vlan => self.finish(ethernet.single_vlan(vlan(100)).ip(ip)),
            Link::QinQ => self.finish(ethernet.double_vlan(vlan(100), vlan(200)).ip(ip)),
            Link::Cooked => {
                let cooked = PacketBuilder::linux_sll(LinuxSllPacketType::OTHERHOST, 6, [2; 8]);
                self.finish(cooked.ip(ip))
            }
        }
    }

    /// Length of the IP packet.
    pub(crate) fn ip_length(&self) -> usize {
        let header = match self.link {
            Link::None => 0,
            Link::Ethernet => 14,
            Link::Vlan => 18,
            Link::QinQ => 22,
            Link::Cooked => 16,
        };
        self.bytes().len() - header
    }
}
