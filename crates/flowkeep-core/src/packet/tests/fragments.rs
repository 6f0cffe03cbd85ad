//! Fragments that are made to deceive, and fragments that only look like it.

use std::string::String;

use super::{Recorded, TCP, fragment, hex, ipv6, packet, tcp6, udp4};
use crate::Error;
use crate::packet::{FragmentKey, LinkType, Packet, later_fragment, network, parse, protocol, tcp};
use crate::rules::{Cilium119, Default as Flowkeep, Rules};
use crate::settings::Settings;
use crate::tuple::Family;

/// An IPv4 fragment of packet 77 from 192.0.2.1 to 198.51.100.7.
fn fragment4(protocol: u8, offset: u16, more: bool, payload: &str) -> String {
    let length = 20 + hex(payload).len();
    let flags = (u16::from(more) << 13) | (offset / 8);
    std::format!(
        "4500{length:04x} 004d{flags:04x} 40{protocol:02x} 0000 c0000201 c6336407 {payload}"
    )
}

/// An IPv6 fragment of packet 7, with the addresses of [`tcp6`].
fn fragment6(next: u8, offset: u16, more: bool, payload: &str) -> String {
    let offset_more = offset | u16::from(more);
    let header = std::format!("{next:02x} 00 {offset_more:04x} 00000007");
    ipv6(44, &[&header, payload])
}

/// Ports, numbers, flags (SYN) and window; then the rest of TCP's header, with four bytes more.
const TCP_START: &str = "d431 0035 00000001 00000000 5002 ffff";
const TCP_REST: &str = "0000 0000 00000000";

#[test]
fn a_tcp_header_is_not_taken_apart() {
    // RFC 1858, 3: the ports only, and the flags in the next one.
    let mut recorded = Recorded::default();
    let tiny = fragment4(6, 0, true, &TCP_START[..18]);
    let next = fragment4(6, 8, false, &TCP_START[18..]);
    assert_eq!(
        fragment(&mut recorded, &[&tiny]),
        Err(Error::TransportTruncated)
    );
    assert!(recorded.0.is_empty());
    assert_eq!(
        fragment(&mut recorded, &[&next]),
        Err(Error::FragmentUnknown)
    );
    let tiny = fragment6(6, 0, true, &TCP[..18]);
    assert_eq!(
        fragment(&mut recorded, &[&tiny]),
        Err(Error::TransportTruncated)
    );
    // With its flags it is enough: headers of both kinds may be longer than the least fragment.
    let enough = fragment4(6, 0, true, &TCP_START.replace("5002", "f002"));
    let parsed = fragment(&mut recorded, &[&enough]).expect("it has its flags");
    assert_eq!(
        (parsed.tuple, parsed.tcp_flags),
        (udp4().with_protocol(protocol::TCP), tcp::SYN)
    );
    let later = fragment4(6, 16, false, TCP_REST);
    assert!(fragment(&mut recorded, &[&later]).is_ok());
    // But a data offset has to be one.
    let malformed = fragment4(6, 0, true, &TCP_START.replace("5002", "4002"));
    assert_eq!(
        fragment(&mut recorded, &[&malformed]),
        Err(Error::TransportMalformed)
    );
}

#[test]
fn a_fragment_over_tcps_flags_is_refused() {
    // RFC 3128: behind a first fragment that passes for harmless.
    for (first, over) in [
        (
            fragment4(6, 0, true, &[TCP_START, TCP_REST].concat()),
            fragment4(6, 8, false, "00000000 5004 ffff"),
        ),
        (
            fragment6(6, 0, true, &[TCP, "00000000"].concat()),
            fragment6(6, 8, false, "00000000 5004 ffff"),
        ),
    ] {
        let mut recorded = Recorded::default();
        assert!(fragment(&mut recorded, &[&first]).is_ok());
        let refused = fragment(&mut recorded, &[&over]);
        assert_eq!(refused, Err(Error::FragmentOverlap), "{over}");
        // Cilium's tracker doesn't look.
        let mut recorded = Recorded::default();
        for text in [&first, &over] {
            assert!(with::<Cilium119>(&mut recorded, text).is_ok(), "{text}");
        }
    }
    // Of UDP it is the data that goes on there.
    let mut recorded = Recorded::default();
    let first = fragment4(17, 0, true, "d431 0035 0018 0000");
    assert!(fragment(&mut recorded, &[&first]).is_ok());
    let later = fragment4(17, 8, false, "0102030405060708");
    let later = fragment(&mut recorded, &[&later]).map(|packet| packet.tuple);
    assert_eq!(later, Ok(udp4()));
}

fn with<R: Rules>(recorded: &mut Recorded, text: &str) -> Result<Packet, Error> {
    let settings = Settings::default();
    parse::<R, [u8]>(&hex(text), LinkType::RawIp, &settings, recorded)
}

#[test]
fn ipv6_fragments_do_not_overlap_the_first() {
    // RFC 5722, 4. In IPv4 it may happen, if a packet is sent again by another path.
    let data = "00".repeat(24);
    let (udp, later) = (["d431 0035 0030 0000", &data].concat(), "00".repeat(16));
    for (offset, known) in [(16, false), (24, false), (32, true), (40, true)] {
        let mut recorded = Recorded::default();
        assert!(fragment(&mut recorded, &[&fragment6(17, 0, true, &udp)]).is_ok());
        let read = fragment(&mut recorded, &[&fragment6(17, offset, false, &later)]);
        if known {
            assert!(read.is_ok(), "{offset}");
        } else {
            assert_eq!(read, Err(Error::FragmentOverlap), "{offset}");
        }
        assert!(fragment(&mut recorded, &[&fragment4(17, 0, true, &udp)]).is_ok());
        assert!(fragment(&mut recorded, &[&fragment4(17, offset, false, &later)]).is_ok());
    }
}

#[test]
fn ipv6_fragments_of_a_packet_may_differ_in_their_next_header() {
    // RFC 8200, 4.5: only the first one's counts.
    let mut recorded = Recorded::default();
    let first = fragment6(
        60,
        0,
        true,
        &["06 00 010400000000", TCP, "00000000"].concat(),
    );
    let first = fragment(&mut recorded, &[&first]).expect("well formed");
    assert_eq!(first.tuple, tcp6());
    for next in [60, 6, 17, 0] {
        let later = fragment6(next, 40, false, "0102030405060708");
        let parsed = fragment(&mut recorded, &[&later]).expect("its first is known");
        assert_eq!((parsed.tuple, parsed.later_fragment), (tcp6(), true));
        // Cilium's tracker goes by it.
        let theirs = key::<Cilium119>(&later);
        assert_eq!(theirs.protocol, next);
    }
    // In IPv4 the protocol is part of the name (RFC 791, 3.2).
    let [udp, tcp] = [17, 6].map(|protocol| key::<Flowkeep>(&fragment4(protocol, 40, false, "")));
    assert_ne!(udp, tcp);
}

fn key<R: Rules>(text: &str) -> FragmentKey {
    let bytes = hex(text);
    let family = if bytes[0] >> 4 == 4 {
        Family::V4
    } else {
        Family::V6
    };
    let network = network::<R, [u8]>(&bytes, family, 0).expect("well formed");
    FragmentKey::new::<R>(&network, &network.fragment.expect("it is one"))
}

#[test]
fn a_fragment_that_ends_beyond_the_longest_packet_is_malformed() {
    // RFC 791, 3.1; RFC 8200, 4.5. 8 bytes at 65,528 would end at 65,536.
    for text in [
        fragment4(17, 65_528, false, "0102030405060708"),
        fragment6(17, 65_528, false, "0102030405060708"),
    ] {
        let mut recorded = Recorded::default();
        let read = fragment(&mut recorded, &[&text]);
        assert_eq!(read, Err(Error::NetworkMalformed), "{text}");
    }
    let last = fragment4(17, 65_528, false, "01020304050607");
    let mut recorded = Recorded::default();
    assert_eq!(
        fragment(&mut recorded, &[&last]),
        Err(Error::FragmentUnknown)
    );
}

#[test]
fn headers_of_an_ipv6_packet_are_in_its_first_fragment() {
    // RFC 7112: the chain goes on in the next fragment, or in the frame's padding.
    let cut = fragment6(60, 0, true, "3c 00 010400000000 06 00 010400000000");
    for padding in ["", TCP] {
        let read = packet::<Flowkeep>(&[&cut, padding]);
        assert_eq!(read, Err(Error::TransportTruncated), "{padding}");
    }
}

#[test]
fn fragments_that_came_before_their_first_are_judged_as_those_that_came_after() {
    // By callers who keep them until it comes.
    let first = fragment4(6, 0, true, &[TCP_START, TCP_REST].concat());
    for (offset, expected) in [(8, Err(Error::FragmentOverlap)), (24, Ok(()))] {
        let text = fragment4(6, offset, false, "0102030405060708");
        let mut recorded = Recorded::default();
        assert_eq!(
            fragment(&mut recorded, &[&text]),
            Err(Error::FragmentUnknown)
        );
        assert!(fragment(&mut recorded, &[&first]).is_ok());
        let network = network::<Flowkeep, [u8]>(&hex(&text), Family::V4, 0).expect("well formed");
        let of_it = network.fragment.expect("it is one");
        let judged = later_fragment::<Flowkeep>(network.tuple(), &of_it, recorded.0[0].1);
        assert_eq!(judged.map(|_| ()), expected);
        let at_once = fragment(&mut recorded, &[&text]).map(|packet| packet.tuple);
        assert_eq!(judged, at_once);
    }
}
