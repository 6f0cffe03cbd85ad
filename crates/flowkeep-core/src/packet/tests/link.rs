//! Link headers.

use super::super::{LinkType, NoFragments, link, parse};
use super::{TCP6, UDP4, hex, tcp6, udp4};
use crate::Error;
use crate::rules::Default as Flowkeep;
use crate::settings::Settings;
use crate::tuple::Family;

/// Link headers in front of an IPv4 packet, and in front of an IPv6 one.
const LINK_HEADERS: &[(&str, LinkType, &str, &str)] = {
    use LinkType::*;
    &[
        (
            "Ethernet II",
            Ethernet,
            "020000000001 020000000002 0800",
            "020000000001 020000000002 86dd",
        ),
        (
            "802.1Q",
            Ethernet,
            "020000000001 020000000002 8100 0064 0800",
            "020000000001 020000000002 8100 e064 86dd",
        ),
        (
            "QinQ",
            Ethernet,
            "020000000001 020000000002 88a8 0064 8100 00c8 0800",
            "020000000001 020000000002 9100 0064 8100 00c8 86dd",
        ),
        (
            "MPLS, two labels",
            Ethernet,
            "020000000001 020000000002 8847 00010040 00020140",
            "020000000001 020000000002 8848 00010040 00020140",
        ),
        (
            "MPLS pseudowire",
            Ethernet,
            "020000000001 020000000002 8847 00010140 00000000 020000000003 020000000004 0800",
            "020000000001 020000000002 8847 00010140 a20000000003 020000000004 86dd",
        ),
        (
            "PPPoE",
            Ethernet,
            "020000000001 020000000002 8864 11000042 0026 0021",
            "020000000001 020000000002 8864 11000042 003e 0057",
        ),
        (
            "802.1ah",
            Ethernet,
            "020000000001 020000000002 88e7 00000001 020000000003 020000000004 0800",
            "020000000001 020000000002 88a8 0064 88e7 00000001 020000000003 020000000004 8100 0001 86dd",
        ),
        (
            "FabricPath",
            Ethernet,
            "020000000001 020000000002 8903 0041 020000000003 020000000004 0800",
            "020000000001 020000000002 8903 0041 020000000003 020000000004 8100 0001 86dd",
        ),
        (
            "802.3 with SNAP",
            Ethernet,
            "020000000001 020000000002 002c aaaa03 000000 0800",
            "020000000001 020000000002 0044 aaaa03 000000 86dd",
        ),
        (
            "802.3 with the IP access point",
            Ethernet,
            "020000000001 020000000002 0027 060603",
            "020000000001 020000000002 003f 060603",
        ),
        ("none", RawIp, "", ""),
        (
            "Linux cooked",
            LinuxSll,
            "0000 0001 0006 020000000001 0000 0800",
            "0004 0001 0006 020000000001 0000 86dd",
        ),
        (
            "Linux cooked, VLAN",
            LinuxSll,
            "0000 0001 0006 020000000001 0000 8100 0064 0800",
            "0000 0001 0006 020000000001 0000 8100 0064 86dd",
        ),
        (
            "Linux cooked 2",
            LinuxSll2,
            "0800 0000 00000002 0001 00 06 0200000000010000",
            "86dd 0000 00000002 0001 00 06 0200000000010000",
        ),
        (
            "loopback, little-endian",
            BsdLoopback,
            "02000000",
            "1e000000",
        ),
        ("loopback, big-endian", BsdLoopback, "00000002", "0000001c"),
        (
            "loopback of OpenBSD and Linux",
            BsdLoopback,
            "00000002",
            "00000018",
        ),
        ("PPP", Ppp, "0021", "0057"),
        ("PPP in HDLC", Ppp, "ff03 0021", "ff03 0057"),
        ("PPP, compressed", Ppp, "21", "57"),
        (
            "FDDI",
            Fddi,
            "50 020000000001 020000000002 aaaa03 000000 0800",
            "50 020000000001 020000000002 aaaa03 000000 86dd",
        ),
        (
            "802.11",
            Ieee80211,
            "0801 0000 020000000001 020000000002 020000000003 0000 aaaa03 000000 0800",
            "0802 0000 020000000001 020000000002 020000000003 0000 aaaa03 000000 86dd",
        ),
        (
            "802.11, quality of service",
            Ieee80211,
            "8801 0000 020000000001 020000000002 020000000003 0000 0000 aaaa03 000000 0800",
            "8881 0000 020000000001 020000000002 020000000003 0000 0000 00000000 aaaa03 000000 86dd",
        ),
        (
            "802.11, four addresses",
            Ieee80211,
            "0803 0000 020000000001 020000000002 020000000003 0000 020000000004 aaaa03 000000 0800",
            "8803 0000 020000000001 020000000002 020000000003 0000 020000000004 0000 aaaa03 000000 86dd",
        ),
        (
            "radiotap",
            Radiotap,
            "0000 0a00 00000000 0000 0801 0000 020000000001 020000000002 020000000003 0000 aaaa03 000000 0800",
            "0000 0800 00000000 0802 0000 020000000001 020000000002 020000000003 0000 aaaa03 000000 86dd",
        ),
        (
            "NFLOG, little-endian",
            Nflog,
            "02000000 0800 0100 0800 0300 0500 0a00 41 000000 2800 0900",
            "0a000000 4000 0900",
        ),
        (
            "NFLOG, big-endian",
            Nflog,
            "02000000 0008 0001 0800 0300 0028 0009",
            "0a000000 0040 0009",
        ),
    ]
};

#[test]
fn every_link_header_leads_to_the_packet() {
    for &(name, link_type, ipv4, ipv6) in LINK_HEADERS {
        for (header, ip, family, tuple) in [
            (ipv4, UDP4, Family::V4, udp4()),
            (ipv6, TCP6, Family::V6, tcp6()),
        ] {
            let (header, ip) = (hex(header), hex(ip));
            let frame = [header.as_slice(), &ip].concat();
            let found =
                link(&frame[..], link_type).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(
                (found.family, found.network),
                (family, header.len()),
                "{name}"
            );
            let parse = |bytes: &[u8]| {
                let settings = Settings::default();
                parse::<Flowkeep, [u8]>(bytes, link_type, &settings, &mut NoFragments)
            };
            let parsed = parse(&frame);
            assert_eq!(parsed.map(|packet| packet.tuple), Ok(tuple), "{name}");
            // However the header is cut, no packet is read from it.
            for length in 0..header.len() {
                let cut = parse(&frame[..length]);
                let expected = [Error::LinkTruncated, Error::NotIp, Error::NetworkTruncated];
                assert!(
                    matches!(cut, Err(error) if expected.contains(&error)),
                    "{name}, {length}: {cut:?}"
                );
            }
        }
    }
}

#[test]
fn what_is_not_ip_is_told_apart() {
    use LinkType::*;
    for (link_type, frame) in [
        (Ethernet, "ffffffffffff 020000000002 0806 0001 0800"),
        (Ethernet, "0180c2000000 020000000002 0026 424203 0000"),
        (
            Ethernet,
            "020000000001 020000000002 8847 00010140 00001000 020000000003 020000000004 0806",
        ),
        (RawIp, "00"),
        (LinuxSll, "0000 0001 0006 020000000001 0000 0806"),
        (BsdLoopback, "07000000"),
        (Ppp, "c021 0101"),
        // A beacon, and a data frame that is encrypted.
        (Ieee80211, "8000 0000"),
        (Ieee80211, "0841 0000"),
    ] {
        assert_eq!(
            link(&hex(frame)[..], link_type),
            Err(Error::NotIp),
            "{frame}"
        );
    }
    // Tags without end.
    let tags = ["020000000001 020000000002", &"8100 0001".repeat(100)].concat();
    assert_eq!(link(&hex(&tags)[..], Ethernet), Err(Error::NotIp));
}
