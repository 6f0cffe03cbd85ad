//! Lengths of 0: of packets that a network card has still to cut, of jumbograms, and of packets
//! without a payload.

use std::string::String;
use std::vec::Vec;

use super::{TCP, hex, icmp4, ipv6, packet, tcp6, udp4};
use crate::Error;
use crate::packet::{FromWire, LinkType, NoFragments, OPEN, Packet, network, parse, tcp};
use crate::rules::{Cilium119, Default as Flowkeep};
use crate::settings::Settings;
use crate::tuple::Family;

/// What is made of a packet that came from a wire.
fn from_wire(text: &str) -> Result<Packet, Error> {
    parse::<Flowkeep, FromWire<'_>>(
        &FromWire(&hex(text)),
        LinkType::RawIp,
        &Settings::default(),
        &mut NoFragments,
    )
}

/// Length and end, by the IP header.
fn extent(text: &str) -> Result<(u32, usize), Error> {
    let bytes = hex(text);
    let family = if bytes[0] >> 4 == 4 {
        Family::V4
    } else {
        Family::V6
    };
    network::<Flowkeep, [u8]>(&bytes, family, 0).map(|network| (network.length, network.end))
}

/// An IPv6 header that states no payload, and what follows it.
fn without_payload(next: u8, rest: &[&str]) -> String {
    let whole = ipv6(next, rest);
    std::format!("60000000 0000 {}", &whole[14..])
}

const OPEN4: &str = "45000000 12340000 4011 0000 c0000201 c6336407 d431 0035 0010 0000";

#[test]
fn only_what_a_card_has_still_to_cut_leaves_its_length_open() {
    assert_eq!(extent(OPEN4), Ok((0, OPEN)));
    assert_eq!(
        packet::<Flowkeep>(&[OPEN4]).map(|packet| packet.tuple),
        Ok(udp4())
    );
    let open6 = without_payload(6, &[TCP]);
    assert_eq!(extent(&open6), Ok((0, OPEN)));
    let parsed = packet::<Flowkeep>(&[&open6]).expect("large send offload");
    assert_eq!(
        (parsed.tuple, parsed.tcp_flags),
        (tcp6(), tcp::SYN | tcp::ACK)
    );
    let behind = without_payload(60, &["06 00 010400000000", TCP]);
    assert_eq!(
        packet::<Flowkeep>(&[&behind]).map(|packet| packet.tuple),
        Ok(tcp6())
    );
    // No receiver would take these from a wire, or it would take nothing for their payload.
    assert_eq!(from_wire(OPEN4), Err(Error::NetworkMalformed));
    assert_eq!(from_wire(&open6), Err(Error::TransportTruncated));
    assert_eq!(from_wire(&behind), Err(Error::NetworkTruncated));
}

#[test]
fn padding_is_no_payload() {
    // Ethernet's padding of 6 bytes, with its check sequence: as many as a UDP header and more.
    for padding in ["000102030405", "d431 0035 0008 0000 0000"] {
        let udp = without_payload(17, &[padding]);
        assert_eq!(extent(&udp), Ok((40, 40)), "{padding}");
        assert_eq!(packet::<Flowkeep>(&[&udp]), Err(Error::TransportTruncated));
        // A protocol without ports needs nothing of it.
        let ospf = without_payload(89, &[padding]);
        assert_eq!(
            packet::<Flowkeep>(&[&ospf]).map(|packet| packet.layout.length),
            Ok(40)
        );
    }
}

/// A hop-by-hop options header with these options, and TCP.
fn jumbogram(header: &str) -> String {
    without_payload(0, &[header, TCP])
}

#[test]
fn a_jumbogram_has_its_length_in_an_option() {
    const LENGTH: u32 = 40 + 0x249f8;
    // As Linux writes it; with a pad on both sides; behind another option.
    for (header, alone) in [
        ("06 00 c204 000249f8", 8),
        ("06 01 0101 0000 c204 000249f8 01020000", 0),
        ("06 01 0502 0000 c204 000249f8 01020000", 0),
        ("06 01 00 0101 00 c204 000249f8 01020000", 0),
    ] {
        let text = jumbogram(header);
        let network = network::<Flowkeep, [u8]>(&hex(&text), Family::V6, 0).expect(header);
        assert_eq!((network.length, network.end), (LENGTH, LENGTH as usize));
        assert_eq!(network.jumbo_header, alone, "{header}");
        let parsed = from_wire(&text).expect("followed");
        assert_eq!(
            (parsed.tuple, parsed.layout.length),
            (tcp6(), LENGTH),
            "{header}"
        );
    }
}

#[test]
fn what_states_no_payload_and_is_no_jumbogram_is_malformed() {
    for header in [
        "06 00 0502 0000 0100",                     // no such option
        "06 00 c204 0000ffff",                      // the IPv6 header could have stated it
        "06 00 c203 00000000",                      // of another length
        "06 00 0101 00c2 0400",                     // it goes on behind the header
        "06 01 00 00 00 00 c204 000249f8 01020000", // behind more options than there may be
        "2c 00 c204 000249f8 06 00 0001 00000007",  // in fragments
    ] {
        let text = jumbogram(header);
        assert_eq!(
            packet::<Flowkeep>(&[&text]),
            Err(Error::NetworkMalformed),
            "{header}"
        );
    }
    let cut = without_payload(0, &["06 00 c204"]);
    assert_eq!(packet::<Flowkeep>(&[&cut]), Err(Error::NetworkTruncated));
    // Where headers are not checked, none is.
    let unchecked = jumbogram("06 00 0502 0000 0100");
    assert_eq!(
        packet::<Cilium119>(&[&unchecked]).map(|packet| packet.tuple),
        Ok(tcp6())
    );
}

#[test]
fn a_merged_packet_may_be_quoted_with_its_length_open() {
    // Of a router that merges packets, and finds that the result does not fit.
    let quotation: Vec<_> = OPEN4.split_whitespace().collect();
    let error = icmp4(&["0304 0000 00000578", &quotation.concat()]);
    assert_eq!(
        from_wire(&error).map(|packet| packet.quote),
        Ok(Some(udp4()))
    );
}
