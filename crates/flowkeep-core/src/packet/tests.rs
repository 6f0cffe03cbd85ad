//! Literal packets, byte for byte as the standards draw them.

mod fragments;
mod length;
mod link;
mod open_length;
mod tcp;

use std::string::String;
use std::vec::Vec;

use super::{
    FragmentKey, FragmentPorts, Fragments, LinkType, NoFragments, Packet, parse, protocol,
    tcp as flags,
};
use crate::Error;
use crate::rules::{Cilium18, Cilium119, Default as Flowkeep, Rules};
use crate::settings::Settings;
use crate::tuple::{Address, Family, Flags, Tuple};

/// 192.0.2.1, port 54321, to 198.51.100.7, port 53.
const UDP4: &str =
    "45000024 12340000 4011 0000 c0000201 c6336407  d431 0035 0010 0000 0102030405060708";
/// 2001:db8::1, port 443, to 2001:db8::2, port 50000: SYN and ACK.
const TCP6: &str = "60000000 0014 06 40 20010db8000000000000000000000001 \
     20010db8000000000000000000000002  01bb c350 00000001 00000002 5012 ffff 0000 0000";

/// Bytes from hexadecimal digits; spaces are for the eye.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|digit| digit.to_digit(16).expect("a hexadecimal digit") as u8)
        .collect();
    let pairs = digits.chunks_exact(2);
    assert!(pairs.remainder().is_empty(), "half a byte");
    pairs.map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn packet<R: Rules>(parts: &[&str]) -> Result<Packet, Error> {
    parse::<R, [u8]>(
        &hex(&parts.concat()),
        LinkType::RawIp,
        &Settings::default(),
        &mut NoFragments,
    )
}

fn v4(last: [u8; 4]) -> Address {
    Address::from_v4(last)
}

/// The tuple of [`UDP4`]: addresses as they stand, ports crossed.
fn udp4() -> Tuple {
    let (server, client) = (v4([198, 51, 100, 7]), v4([192, 0, 2, 1]));
    Tuple::new(server, client, 54321, 53, protocol::UDP, Flags::OUT)
}

fn host6(last: u8) -> Address {
    let mut octets = [0; 16];
    octets[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    octets[15] = last;
    Address::from_octets(octets)
}

fn tcp6() -> Tuple {
    Tuple::new(host6(2), host6(1), 443, 50000, protocol::TCP, Flags::IPV6)
}

#[test]
fn a_whole_packet_of_each_family_is_read() {
    let udp = packet::<Flowkeep>(&[UDP4]).expect("well formed");
    assert_eq!(
        (udp.tuple, udp.layout.length, udp.tcp_flags),
        (udp4(), 36, 0)
    );
    let tcp = packet::<Flowkeep>(&[TCP6]).expect("well formed");
    assert_eq!((tcp.tuple, tcp.layout.length), (tcp6(), 60));
    assert_eq!(tcp.tcp_flags, flags::SYN | flags::ACK);
}

#[test]
fn ipv4_options_are_stepped_over() {
    // Router alert (RFC 2113) and three no-operations.
    let with_options =
        "47000024 12340000 4011 0000 c0000201 c6336407 94040000 01010101 d431 0035 0008 0000";
    let parsed = packet::<Flowkeep>(&[with_options]).expect("well formed");
    assert_eq!((parsed.tuple, parsed.layout.length), (udp4(), 36));
}

#[test]
fn a_contradictory_ipv4_header_is_malformed_where_headers_are_checked() {
    for header in [
        "55000024 12340000 4011 0000 c0000201 c6336407", // version 5
        "44000024 12340000 4011 0000 c0000201 c6336407", // 16 bytes of header
        "46000014 12340000 4011 0000 c0000201 c6336407", // shorter than its header
    ] {
        let frame = hex(&[header, "d431 0035 0010 0000 0102030405060708"].concat());
        let ipv4 = |bytes: &[u8]| super::network::<Flowkeep, [u8]>(bytes, Family::V4, 0);
        assert_eq!(ipv4(&frame), Err(Error::NetworkMalformed), "{header}");
        assert!(super::network::<Cilium119, [u8]>(&frame, Family::V4, 0).is_ok());
    }
    // Left open, as a sending host's capture of a packet that the card cuts shows it.
    let open = "45000000 12340000 4011 0000 c0000201 c6336407 d431 0035 0010 0000";
    let parsed = packet::<Flowkeep>(&[open]).expect("well formed");
    assert_eq!((parsed.tuple, parsed.layout.length), (udp4(), 0));
}

/// A packet with this next header, the addresses of [`TCP6`], and what follows the IPv6 header.
fn ipv6(next: u8, payload: &[&str]) -> String {
    let payload = payload.concat();
    let length = hex(&payload).len();
    std::format!(
        "60000000 {length:04x} {next:02x} 40 20010db8000000000000000000000001 \
         20010db8000000000000000000000002 {payload}"
    )
}

/// Ports and flags of [`TCP6`].
const TCP: &str = "01bb c350 00000001 00000002 5012 ffff 0000 0000";

#[test]
fn ipv6_extension_headers_are_stepped_over() {
    let chains: &[(u8, &str)] = &[
        (0, "06 00 05020000 0100"),                                   // hop-by-hop
        (60, "06 01 010c 000000000000 000000000000"), // destination options, 16 bytes
        (43, "06 02 0401 00000000 20010db8000000000000000000000003"), // segment routing
        (
            0,
            "2b 00 05020000 0100  3c 00 00000000 0000  06 00 010400000000",
        ), // three in a row
    ];
    for (next, chain) in chains {
        let parsed = packet::<Flowkeep>(&[&ipv6(*next, &[chain, TCP])]).expect("followed");
        assert_eq!(parsed.tuple, tcp6(), "{chain}");
        assert_eq!(parsed.tcp_flags, flags::SYN | flags::ACK);
        assert_eq!(
            packet::<Cilium119>(&[&ipv6(*next, &[chain, TCP])]),
            Ok(parsed)
        );
    }
    // Mobility, HIP and Shim6 only where every extension header is followed.
    for next in [135, 139, 140] {
        let parts = [&*ipv6(next, &["06 00 000000000000", TCP])];
        assert_eq!(
            packet::<Flowkeep>(&parts).map(|packet| packet.tuple),
            Ok(tcp6())
        );
        let other = packet::<Cilium119>(&parts).expect("a protocol without ports");
        assert_eq!(
            (other.tuple.protocol(), other.tuple.source_port()),
            (next, 0)
        );
    }
    assert_eq!(
        packet::<Flowkeep>(&[&ipv6(59, &[])]),
        Err(Error::ExtensionHeaders)
    );
    let four = ["3c 00 010400000000"; 3].concat() + "06 00 010400000000";
    assert_eq!(
        packet::<Cilium119>(&[&ipv6(60, &[&four, TCP])]),
        Err(Error::ExtensionHeaders)
    );
    assert_eq!(
        packet::<Flowkeep>(&[&ipv6(60, &[&four, TCP])]).map(|packet| packet.tuple),
        Ok(tcp6())
    );
    let endless = "3c 00 010400000000".repeat(20);
    assert_eq!(
        packet::<Flowkeep>(&[&ipv6(60, &[&endless])]),
        Err(Error::ExtensionHeaders)
    );
    assert_eq!(
        packet::<Flowkeep>(&[&ipv6(0, &["06"])]),
        Err(Error::NetworkTruncated)
    );
}

/// Ports of first fragments, in the order in which they came.
#[derive(Default)]
struct Recorded(Vec<(FragmentKey, FragmentPorts)>);

impl Fragments for Recorded {
    fn record(&mut self, key: &FragmentKey, ports: FragmentPorts) {
        self.0.push((*key, ports));
    }

    fn ports(&mut self, key: &FragmentKey) -> Option<FragmentPorts> {
        let known = |(recorded, _): &&(FragmentKey, FragmentPorts)| recorded == key;
        self.0.iter().find(known).map(|(_, ports)| *ports)
    }
}

impl Recorded {
    /// Takes a later fragment's first one for known.
    fn assume(&mut self, later: &str) {
        let network = super::network::<Flowkeep, [u8]>(&hex(later), Family::V4, 0);
        let network = network.expect("well formed");
        let fragment = network.fragment.expect("it is one");
        let ports = FragmentPorts {
            source: 54321,
            destination: 53,
            length: 0,
            protocol: network.protocol,
        };
        self.record(&FragmentKey::new::<Flowkeep>(&network, &fragment), ports);
    }
}

fn fragment(recorded: &mut Recorded, parts: &[&str]) -> Result<Packet, Error> {
    let bytes = hex(&parts.concat());
    parse::<Flowkeep, [u8]>(&bytes, LinkType::RawIp, &Settings::default(), recorded)
}

#[test]
fn later_fragments_have_the_ports_of_the_first() {
    let first4 =
        "45000024 12342000 4011 0000 c0000201 c6336407 d431 0035 0020 0000 0102030405060708";
    let later4 = "4500001c 12340002 4011 0000 c0000201 c6336407 1112131415161718";
    let first6 = ipv6(44, &["06 00 0001 00000007", TCP]);
    let later6 = ipv6(44, &["06 00 0018 00000007", "ffff ffff ffffffff"]);
    let mut recorded = Recorded::default();
    assert_eq!(
        fragment(&mut recorded, &[later4]),
        Err(Error::FragmentUnknown)
    );
    assert_eq!(
        fragment(&mut recorded, &[&later6]),
        Err(Error::FragmentUnknown)
    );
    for (first, later, tuple) in [(first4, later4, udp4()), (&first6, &later6, tcp6())] {
        let first = fragment(&mut recorded, &[first]).expect("it has ports");
        assert_eq!((first.tuple, first.later_fragment), (tuple, false));
        let later = fragment(&mut recorded, &[later]).expect("its first was recorded");
        assert_eq!((later.tuple, later.later_fragment), (tuple, true));
        assert_eq!(later.tcp_flags, 0, "it has none");
    }
    assert_eq!(recorded.0.len(), 2);
    // Of another packet of the same two hosts.
    let other = later4.replace("1234", "1235");
    assert_eq!(
        fragment(&mut recorded, &[&other]),
        Err(Error::FragmentUnknown)
    );
    // Not tracked, a later fragment has no ports; Cilium 1.8 reads them where they would stand.
    assert_eq!(
        packet::<Flowkeep>(&[later4]),
        Err(Error::FragmentUnsupported)
    );
    let misread = packet::<Cilium18>(&[later4])
        .expect("taken for whole")
        .tuple;
    assert_eq!(
        (misread.destination_port(), misread.source_port()),
        (0x1112, 0x1314)
    );
}

#[test]
fn an_atomic_fragment_is_a_whole_packet() {
    // RFC 6946: offset 0 and no more to come.
    let parts = [&*ipv6(44, &["06 00 0000 00000007", TCP])];
    let mut recorded = Recorded::default();
    let parsed = fragment(&mut recorded, &parts).expect("it is whole");
    assert_eq!((parsed.tuple, parsed.later_fragment), (tcp6(), false));
    assert_eq!(parsed.tcp_flags, flags::SYN | flags::ACK);
    assert!(recorded.0.is_empty(), "nobody comes after it");
    assert_eq!(
        packet::<Flowkeep>(&parts).map(|packet| packet.tuple),
        Ok(tcp6())
    );
}

/// ICMP, from the router 203.0.113.9 to 192.0.2.1: what follows the first four bytes.
const ICMP4: &str = "00010000 4001 0000 cb007109 c0000201";

fn icmp4(payload: &[&str]) -> String {
    let payload = payload.concat();
    let length = 20 + hex(&payload).len();
    std::format!("4500{length:04x} {ICMP4} {payload}")
}

#[test]
fn an_echo_has_its_identifier_for_a_port() {
    let request = packet::<Flowkeep>(&[&icmp4(&["0800 0000 beef 0001"])]).expect("well formed");
    let reply = packet::<Flowkeep>(&[&icmp4(&["0000 0000 beef 0001"])]).expect("well formed");
    let ports = |packet: &Packet| (packet.tuple.destination_port(), packet.tuple.source_port());
    assert_eq!((ports(&request), ports(&reply)), ((0xbeef, 0), (0, 0xbeef)));
    let request = packet::<Flowkeep>(&[&ipv6(58, &["8000 0000 beef 0001"])]).expect("well formed");
    let reply = packet::<Flowkeep>(&[&ipv6(58, &["8100 0000 beef 0001"])]).expect("well formed");
    assert_eq!((ports(&request), ports(&reply)), ((0xbeef, 0), (0, 0xbeef)));
    let cut = packet::<Flowkeep>(&[&icmp4(&["0800 0000 be"])]);
    assert_eq!(cut, Err(Error::TransportTruncated));
}

#[test]
fn an_icmp_error_quotes_the_packet_that_it_is_about() {
    // Fragmentation needed, next hop's MTU 1400; as much of the packet as RFC 792 asks for.
    let error = |quotation: &str| packet::<Flowkeep>(&[&icmp4(&["0304 0000 00000578", quotation])]);
    let parsed = error(&UDP4[..57]).expect("well formed");
    assert_eq!(
        parsed.quote,
        Some(udp4()),
        "as the quoted packet itself had it"
    );
    assert_eq!(parsed.icmp, [3, 4]);
    assert!(parsed.tuple.flags().contains(Flags::RELATED));
    // Its own sort: not by quotation, and so without.
    let related =
        packet::<Cilium119>(&[&icmp4(&["0304 0000 00000578", UDP4])]).expect("well formed");
    assert_eq!(related.quote, None);
    assert!(related.tuple.flags().contains(Flags::RELATED));

    let too_big =
        |quotation: &str| packet::<Flowkeep>(&[&ipv6(58, &["0200 0000 00000578", quotation])]);
    assert_eq!(too_big(TCP6).expect("well formed").quote, Some(tcp6()));
    // Behind extension headers, too.
    let behind = ipv6(60, &["06 00 010400000000", TCP]);
    assert_eq!(too_big(&behind).expect("well formed").quote, Some(tcp6()));

    // A quoted echo is found by its identifier.
    let ping = "4500001c 00010000 4001 0000 c0000201 c6336407 0800 0000 beef 0001";
    let quote = error(ping).expect("well formed").quote.expect("quoted");
    assert_eq!((quote.destination_port(), quote.source_port()), (0xbeef, 0));

    for (quotation, expected) in [
        ("", Error::QuoteTruncated),
        (
            "45000024 12340000 4011 0000 c0000201 c63364",
            Error::QuoteTruncated,
        ),
        (
            "45000024 12340000 4011 0000 c0000201 c6336407 d431 00",
            Error::QuoteTruncated,
        ),
        // A later fragment has no ports.
        (
            "45000024 12340002 4011 0000 c0000201 c6336407 d431 0035",
            Error::QuoteTruncated,
        ),
        // An error about an error: there must not be one (RFC 1122, 3.2.2).
        (
            "45000024 12340000 4001 0000 c0000201 c6336407 0301 0000 00000000",
            Error::QuoteUnknown,
        ),
        (
            "65000024 12340000 4011 0000 c0000201 c6336407 d431 0035",
            Error::QuoteUnknown,
        ),
    ] {
        assert_eq!(error(quotation), Err(expected), "{quotation}");
    }
}

#[test]
fn a_transport_header_that_is_cut_short_is_an_error() {
    for (whole, needed) in [(UDP4, 24), (TCP6, 54)] {
        let bytes = hex(whole);
        for length in 0..bytes.len() {
            let parsed = parse::<Flowkeep, [u8]>(
                &bytes[..length],
                LinkType::RawIp,
                &Settings::default(),
                &mut NoFragments,
            );
            let header = if whole == UDP4 { 20 } else { 40 };
            match parsed {
                Ok(_) => assert!(length >= needed),
                Err(Error::LinkTruncated) => assert_eq!(length, 0),
                Err(Error::NetworkTruncated) => assert!(length < header),
                Err(Error::TransportTruncated) => assert!((header..needed).contains(&length)),
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn protocols_without_ports_are_tracked_where_that_is_wanted() {
    let gre = "45000018 00010000 402f 0000 c0000201 c6336407 00000800";
    let parsed = packet::<Flowkeep>(&[gre]).expect("tracked by its addresses");
    let ports = (parsed.tuple.destination_port(), parsed.tuple.source_port());
    assert_eq!((parsed.tuple.protocol(), ports), (47, (0, 0)));
    assert_eq!(packet::<Cilium18>(&[gre]), Err(Error::UnknownProtocol));
    let sctp = "45000020 00010000 4084 0000 c0000201 c6336407 d431 0035 00000000";
    let parsed = packet::<Flowkeep>(&[sctp]).expect("tracked by its ports");
    assert_eq!(parsed.tuple, udp4().with_protocol(protocol::SCTP));
    let settings = Settings {
        sctp: false,
        other_protocols: false,
        ..Settings::default()
    };
    for bytes in [hex(gre), hex(sctp)] {
        let parsed = parse::<Flowkeep, [u8]>(&bytes, LinkType::RawIp, &settings, &mut NoFragments);
        assert_eq!(parsed, Err(Error::UnknownProtocol));
    }
}

#[test]
fn an_authentication_header_is_a_protocol_of_its_own_in_both_families() {
    // RFC 4302, 2.2: 24 bytes, then TCP.
    let header = "06 04 0000 00000001 00000001 000000000000000000000000";
    let v4 = std::format!("4500 0040 00010000 4033 0000 c0000201 c6336407 {header} {TCP}");
    let v6 = ipv6(51, &[header, TCP]);
    let [own4, own6] = [udp4(), tcp6()].map(|tuple| tuple.with_ports(0, 0).with_protocol(51));
    for (text, own) in [(&v4, own4), (&v6, own6)] {
        let parsed = packet::<Flowkeep>(&[text]).expect("tracked by its addresses");
        assert_eq!((parsed.tuple, parsed.tcp_flags), (own, 0));
    }
    // Behind another header, too, and where an ICMP error quotes it.
    let behind = ipv6(60, &["33 00 010400000000", header, TCP]);
    let parsed = packet::<Flowkeep>(&[&behind]).map(|packet| packet.tuple);
    assert_eq!(parsed, Ok(own6));
    let error = icmp4(&["0304 0000 00000578", &v4]);
    let quote = packet::<Flowkeep>(&[&error]).map(|packet| packet.quote);
    assert_eq!(quote, Ok(Some(own4)));
    for quoted in [&v6, &behind] {
        let error = ipv6(58, &["0200 0000 00000578", quoted]);
        let quote = packet::<Flowkeep>(&[&error]).map(|packet| packet.quote);
        assert_eq!(quote, Ok(Some(own6)));
    }
    // Cilium 1.19 steps over it in IPv6.
    let stepped = packet::<Cilium119>(&[&v6]).map(|packet| packet.tuple);
    assert_eq!(stepped, Ok(tcp6()));
    let opaque = packet::<Cilium119>(&[&v4]).map(|packet| packet.tuple);
    assert_eq!(opaque, Ok(own4));
}
