//! What a packet counts as, against the packets that are on the wire: built one by one, and added
//! up.

use bolero::check;
use etherparse::{IpNumber, Ipv6Extensions, Ipv6Header, Ipv6RawExtHeader};
use flowkeep_core::packet::{Counted, Frame, LinkType, NoFragments, measure, network, parse};
use flowkeep_core::rules::Default as Flowkeep;
use flowkeep_core::settings::Settings;
use flowkeep_core::tuple::Family;

use crate::tunnels::{FAMILIES, Kind, Transport, Tunnel, ethernet, ip, udp};

const TCP: Transport = Transport::Tcp { timestamps: false };

/// What a frame counts as.
fn counted(frame: &[u8], segments: u32, segment_size: u32) -> Counted {
    let description = Frame {
        length: frame.len() as u32,
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
        .with_iterations(if cfg!(miri) { 1 } else { 50 })
        .with_type::<(u16, u16)>()
        .for_each(|&(payload, size)| {
            let payload = 1 + usize::from(payload) % 30_000;
            let size = 500 + usize::from(size) % 9_000;
            for kind in Kind::all() {
                let expected = one_by_one(payload, size, |payload| kind.frame(payload));
                let frame = kind.frame(payload);
                for segments in [expected.packets as u32, 0] {
                    let merged = counted(&frame, segments, size as u32);
                    assert_eq!(merged, expected, "{kind:?}, {segments} segments");
                }
            }
        });
}

#[test]
fn data_that_begins_like_a_tunnel_is_none() {
    // All headers of one, but the packet inside would end elsewhere.
    let kind = Kind {
        outer: Family::V4,
        tunnel: Tunnel::Vxlan {
            port: 443,
            tagged: false,
        },
        inner: Family::V4,
        transport: Transport::Udp,
    };
    let mut data = kind.frame(2_000).split_off(14 + 28);
    data.extend([0; 8]);
    let make =
        |length: usize| ethernet(Family::V4, &ip(Family::V4, 17, &udp(443, &data[..length])));
    let merged = counted(&make(data.len()), 2, 1_100);
    assert_eq!(merged, one_by_one(data.len(), 1_100, make));
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
        let make = |payload| ethernet(family, &ip(family, 6, &TCP.segment(payload).1));
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
    let mut frame = ethernet(Family::V4, &ip(Family::V4, 6, &TCP.segment(0).1));
    assert_eq!(frame.len(), 54);
    // Padding does not count, though it is in the frame.
    let padded = [&frame[..], &[0; 6]].concat();
    assert_eq!(counted(&padded, 0, 0).bytes, 40);
    frame[16..18].fill(0xff);
    assert_eq!(counted(&frame, 0, 0).bytes, 40);
}

#[test]
fn a_capture_that_was_cut_counts_what_was_on_the_wire() {
    let frame = ethernet(Family::V4, &ip(Family::V4, 6, &TCP.segment(1_000).1));
    let captured = &frame[..68];
    let network = network::<Flowkeep, [u8]>(captured, Family::V4, 14).expect("it is there");
    let on_wire = |length| measure(captured, &network.layout(), &Frame::of(length)).bytes;
    assert_eq!(on_wire(frame.len() as u32), 1_040);
    assert_eq!(on_wire(500), 486, "the header states more than was sent");
    assert_eq!(on_wire(10), 0, "not even its header");
}

#[test]
fn no_number_is_too_large() {
    let kinds: Vec<_> = Kind::all().collect();
    check!()
        .with_iterations(if cfg!(miri) { 20 } else { 20_000 })
        .with_type::<(u8, u8, bool, u32, u32, u32)>()
        .for_each(|&(kind, payload, open, length, segments, segment_size)| {
            let kind = kinds[usize::from(kind) % kinds.len()];
            let mut frame = kind.frame(payload.into());
            let family = match kind.tunnel {
                Tunnel::None => kind.inner,
                _ => kind.outer,
            };
            if open {
                let at = if family == Family::V4 { 16 } else { 18 };
                frame[at..at + 2].fill(0);
            }
            let network = network::<Flowkeep, [u8]>(&frame, family, 14).expect("well formed");
            let description = Frame {
                length,
                segments,
                segment_size,
            };
            let counted = measure(&frame[..], &network.layout(), &description);
            assert!(counted.packets >= 1);
            if segment_size == 0 {
                assert!(counted.bytes <= length.into());
            }
        });
}
