//! What a packet counts as, against the packets that are on the wire: built one by one, and added
//! up.

use bolero::{TypeGenerator, check};
use etherparse::{
    IpNumber, Ipv6Extensions, Ipv6Header, Ipv6RawExtHeader, PacketBuilder, TcpHeader,
    TcpOptionElement,
};
use flowkeep_core::packet::{
    Counted, Frame, FromWire, LinkType, NoFragments, measure, network, parse,
};
use flowkeep_core::rules::Default as Flowkeep;
use flowkeep_core::settings::Settings;
use flowkeep_core::tuple::Family;

/// An Ethernet header, as far as anybody looks.
fn ethernet(family: Family, packet: &[u8]) -> Vec<u8> {
    let kind = match family {
        Family::V4 => [0x08, 0x00],
        Family::V6 => [0x86, 0xdd],
    };
    [&[2; 12][..], &kind, packet].concat()
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// An IP packet of a protocol.
fn ip(family: Family, protocol: u8, payload: &[u8]) -> Vec<u8> {
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

/// What a packet is in.
#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Tunnel {
    None,
    /// RFC 7348, at any port; with a tag inside or without.
    Vxlan {
        port: u16,
        tagged: bool,
    },
    /// Its extension: Ethernet, or IP at once.
    VxlanGeneric {
        ethernet: bool,
    },
    /// RFC 8926, with words of options: Ethernet, or IP at once.
    Geneve {
        options: u8,
        ethernet: bool,
    },
    FooOverUdp,
    /// RFC 2784 with the optional fields: Ethernet, or IP at once.
    Gre {
        fields: u8,
        ethernet: bool,
    },
    /// IP in IP.
    Ip,
}

#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Transport {
    Tcp { timestamps: bool },
    Udp,
}

#[derive(Clone, Copy, Debug, TypeGenerator)]
struct Kind {
    outer_is_v4: bool,
    tunnel: Tunnel,
    inner_is_v4: bool,
    transport: Transport,
}

const fn family(is_v4: bool) -> Family {
    if is_v4 { Family::V4 } else { Family::V6 }
}

const fn ethertype(family: Family) -> [u8; 2] {
    match family {
        Family::V4 => [0x08, 0x00],
        Family::V6 => [0x86, 0xdd],
    }
}

const fn next_protocol(family: Family) -> u8 {
    match family {
        Family::V4 => 1,
        Family::V6 => 2,
    }
}

impl Transport {
    /// Protocol and packet, with so many bytes of payload.
    fn segment(self, payload: usize) -> (u8, Vec<u8>) {
        let payload = vec![0xa5; payload];
        let mut bytes = Vec::new();
        match self {
            Self::Tcp { timestamps } => {
                let mut header = TcpHeader::new(1, 443, 7, 1000);
                if timestamps {
                    let options = [
                        TcpOptionElement::Noop,
                        TcpOptionElement::Noop,
                        TcpOptionElement::Timestamp(1, 2),
                    ];
                    header.set_options(&options).expect("there is room");
                }
                header.write(&mut bytes).expect("a vector takes all");
                bytes.extend(payload);
                (6, bytes)
            }
            Self::Udp => (17, udp(1, &payload)),
        }
    }
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len() as u16;
    let header = [port, port, length, 0].map(u16::to_be_bytes).concat();
    [&header, payload].concat()
}

impl Kind {
    /// The frame with so many bytes of payload.
    fn frame(self, payload: usize) -> Vec<u8> {
        let (outer, inner) = (family(self.outer_is_v4), family(self.inner_is_v4));
        let (protocol, segment) = self.transport.segment(payload);
        let packet = ip(inner, protocol, &segment);
        let plain = ethernet(inner, &packet);
        let (protocol, payload) = match self.tunnel {
            Tunnel::None => return plain,
            Tunnel::Vxlan { port, tagged } => {
                let mut inside = plain;
                if tagged {
                    inside.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
                }
                let vxlan = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &inside].concat();
                (17, udp(port, &vxlan))
            }
            Tunnel::VxlanGeneric { ethernet } => {
                let (next, inside) = if ethernet {
                    (3, plain)
                } else {
                    (next_protocol(inner), packet)
                };
                let vxlan = [&[0x0c, 0, 0, next, 0, 0, 7, 0][..], &inside].concat();
                (17, udp(4790, &vxlan))
            }
            Tunnel::Geneve { options, ethernet } => {
                let options = options % 64;
                let ([k0, k1], inside) = if ethernet {
                    ([0x65, 0x58], plain)
                } else {
                    (ethertype(inner), packet)
                };
                let header = [options, 0, k0, k1, 0, 0, 7, 0];
                let options = vec![0xee; 4 * usize::from(options)];
                (17, udp(6081, &[&header[..], &options, &inside].concat()))
            }
            Tunnel::FooOverUdp => (17, udp(5555, &packet)),
            Tunnel::Gre { fields, ethernet } => {
                let flags = fields & 0xb0;
                let words = flags.count_ones() as usize;
                let ([k0, k1], inside) = if ethernet {
                    ([0x65, 0x58], plain)
                } else {
                    (ethertype(inner), packet)
                };
                let header = [flags, 0, k0, k1];
                (47, [&header[..], &vec![0xee; 4 * words], &inside].concat())
            }
            Tunnel::Ip => (if self.inner_is_v4 { 4 } else { 41 }, packet),
        };
        ethernet(outer, &ip(outer, protocol, &payload))
    }
}

/// What a frame counts as.
fn counted(frame: &[u8], segments: u32, segment_size: u32) -> Counted {
    let description = Frame {
        length: frame.len() as u64,
        segments,
        segment_size,
    };
    let settings = Settings::default();
    let packet = parse::<Flowkeep, [u8]>(frame, LinkType::Ethernet, &settings, &mut NoFragments);
    let layout = packet.expect("well formed").layout;
    measure(frame, &layout, &description)
}

/// What a frame counts as that is cut to segments of so many bytes, each made by itself.
fn one_by_one(payload: usize, size: usize, make: impl Fn(usize) -> Vec<u8>) -> Counted {
    let mut sum = Counted::default();
    let mut left = payload;
    while left > 0 {
        let here = left.min(size);
        let frame = make(here);
        let one = counted(&frame, 0, 0);
        assert_eq!(one.packets, 1);
        assert_eq!(one.bytes, frame.len() as u64 - 14);
        sum.packets += 1;
        sum.bytes += one.bytes;
        left -= here;
    }
    sum
}

#[test]
fn a_merged_packet_counts_as_its_segments_in_a_tunnel_or_not() {
    check!()
        .with_iterations(if cfg!(miri) { 20 } else { 4_000 })
        .with_type::<(Kind, u16, u16)>()
        .for_each(|&(kind, payload, size)| {
            let (payload, size) = (
                1 + usize::from(payload) % 30_000,
                500 + usize::from(size) % 9_000,
            );
            let expected = one_by_one(payload, size, |payload| kind.frame(payload));
            let frame = kind.frame(payload);
            for segments in [expected.packets as u32, 0] {
                let merged = counted(&frame, segments, size as u32);
                assert_eq!(merged, expected, "{segments} segments");
            }
        });
}

#[test]
fn data_that_begins_like_a_tunnel_is_none() {
    // A VXLAN header and two more, but the packet inside would end elsewhere.
    let kind = Kind {
        outer_is_v4: true,
        tunnel: Tunnel::Vxlan {
            port: 443,
            tagged: false,
        },
        inner_is_v4: true,
        transport: Transport::Udp,
    };
    let payload = kind.frame(2_000)[14 + 28..].to_vec();
    let behind = [&payload[..], &[0; 8]].concat();
    let make = |length: usize| {
        ethernet(
            Family::V4,
            &ip(Family::V4, 17, &udp(443, &behind[..length])),
        )
    };
    let merged = counted(&make(behind.len()), 2, 1_100);
    assert_eq!(merged, one_by_one(behind.len(), 1_100, make));
}

#[test]
fn sctp_repeats_its_common_header() {
    // The size is said to be this of packets that are cut where their parts end.
    const BY_PARTS: u32 = 0xffff;
    for family in FAMILIES {
        let header = [0, 9, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0];
        let make = |payload| {
            ethernet(
                family,
                &ip(family, 132, &[&header[..], &vec![0; payload]].concat()),
            )
        };
        let expected = one_by_one(2_800, 1_400, make);
        assert_eq!(counted(&make(2_800), 2, BY_PARTS), expected);
    }
}

#[test]
fn extension_headers_are_repeated_but_for_a_jumbograms() {
    let segment = Transport::Tcp { timestamps: true }.segment(0).1;
    let behind = |next: Option<(u8, [u8; 6])>, payload: usize| {
        let mut packet = Vec::new();
        let mut extensions = Ipv6Extensions {
            destination_options: Some(
                Ipv6RawExtHeader::new_raw(IpNumber::TCP, &[1, 4, 0, 0, 0, 0]).expect("8 bytes"),
            ),
            ..Ipv6Extensions::default()
        };
        if let Some((_, options)) = next {
            extensions.hop_by_hop_options =
                Some(Ipv6RawExtHeader::new_raw(IpNumber::TCP, &options).expect("8 bytes"));
        }
        let first = extensions.set_next_headers(IpNumber::TCP);
        let length = extensions.header_len() + segment.len() + payload;
        let header = Ipv6Header {
            payload_length: u16::try_from(length).unwrap_or(0),
            next_header: first,
            ..Ipv6Header::default()
        };
        header.write(&mut packet).expect("a vector takes all");
        extensions
            .write(&mut packet, first)
            .expect("in their order");
        packet.extend(&segment);
        packet.resize(packet.len() + payload, 0);
        ethernet(Family::V6, &packet)
    };
    let plain = |payload| behind(None, payload);
    let merged = counted(&plain(30_000), 0, 1_400);
    assert_eq!(merged, one_by_one(30_000, 1_400, plain));
    // Router alert (RFC 2711) is on the wire.
    let alert = |payload| behind(Some((0, [5, 2, 0, 0, 1, 0])), payload);
    assert_eq!(
        counted(&alert(30_000), 0, 1_400),
        one_by_one(30_000, 1_400, alert)
    );
    // A jumbogram's option is not: each segment could state its length.
    let payload = 150_000;
    let length = (8 + 8 + segment.len() + payload) as u32;
    let [l0, l1, l2, l3] = length.to_be_bytes();
    let jumbo = behind(Some((0, [0xc2, 4, l0, l1, l2, l3])), payload);
    let expected = one_by_one(payload, 1_400, plain);
    for segments in [expected.packets as u32, 0] {
        assert_eq!(counted(&jumbo, segments, 1_400), expected);
    }
    // Not cut, it counts as it is.
    let whole = counted(&jumbo, 0, 0);
    assert_eq!((whole.packets, whole.bytes), (1, jumbo.len() as u64 - 14));
}

#[test]
fn a_length_that_is_left_open_is_the_rest_of_the_frame() {
    for (family, at) in [(Family::V4, 16), (Family::V6, 18)] {
        let tcp = Transport::Tcp { timestamps: false };
        let make = |payload| ethernet(family, &ip(family, 6, &tcp.segment(payload).1));
        let mut open = make(9_000);
        open[at..at + 2].fill(0);
        let expected = one_by_one(9_000, 1_400, make);
        assert_eq!(counted(&open, 0, 1_400), expected);
        assert_eq!(counted(&open, 0, 0).bytes, open.len() as u64 - 14);
    }
}

#[test]
fn a_header_that_states_more_than_the_frame_has_is_not_believed() {
    // Two frames of 54 bytes counted 131,070.
    let mut frame = ethernet(
        Family::V4,
        &ip(
            Family::V4,
            6,
            &Transport::Tcp { timestamps: false }.segment(0).1,
        ),
    );
    assert_eq!(frame.len(), 54);
    frame[16..18].fill(0xff);
    assert_eq!(counted(&frame, 0, 0).bytes, 40);
    // Padding does not count, though it is in the frame.
    let mut padded = ethernet(
        Family::V4,
        &ip(
            Family::V4,
            6,
            &Transport::Tcp { timestamps: false }.segment(0).1,
        ),
    );
    padded.resize(60, 0);
    assert_eq!(counted(&padded, 0, 0).bytes, 40);
}

#[test]
fn a_capture_that_was_cut_counts_what_was_on_the_wire() {
    let tcp = Transport::Tcp { timestamps: false };
    let frame = ethernet(Family::V4, &ip(Family::V4, 6, &tcp.segment(1_000).1));
    let captured = &frame[..68];
    let network = network::<Flowkeep, [u8]>(captured, Family::V4, 14).expect("it is there");
    let on_wire = |length| measure(captured, &network.layout(), &Frame::of(length)).bytes;
    assert_eq!(on_wire(frame.len() as u64), 1_040);
    assert_eq!(on_wire(500), 486, "the header states more than was sent");
    assert_eq!(on_wire(10), 0, "not even its header");
}

#[test]
fn no_number_is_too_large() {
    check!()
        .with_iterations(if cfg!(miri) { 20 } else { 20_000 })
        .with_type::<(Kind, u8, u64, u32, u32)>()
        .for_each(|&(kind, payload, length, segments, segment_size)| {
            let frame = kind.frame(payload.into());
            let description = Frame {
                length,
                segments,
                segment_size,
            };
            let bytes = FromWire(&frame);
            let family = match kind.tunnel {
                Tunnel::None => family(kind.inner_is_v4),
                _ => family(kind.outer_is_v4),
            };
            let network = network::<Flowkeep, _>(&bytes, family, 14).expect("well formed");
            let counted = measure(&bytes, &network.layout(), &description);
            assert!(counted.packets >= 1);
            if segment_size == 0 {
                assert!(counted.bytes <= length && counted.bytes <= frame.len() as u64);
            }
        });
}
