//! Holds generated captures against an independent parser and a count of its own.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use etherparse::{LaxNetSlice, LaxSlicedPacket, SlicedPacket, TransportSlice};

use super::truth::Row;
use super::{Summary, Traffic, write};

const TRAFFIC: Traffic = Traffic {
    connections: 2000,
    packets: None,
    seed: 1,
    snaplen: 65_535,
    mean_size: 350,
    rate: 600,
};

fn make(traffic: &Traffic) -> (Summary, Vec<u8>, Vec<Row>) {
    let (mut capture, mut truth) = (Vec::new(), Vec::new());
    let summary = write(traffic, &mut capture, &mut truth).expect("a Vec takes all");
    let rows = csv::Reader::from_reader(&truth[..]).into_deserialize();
    (
        summary,
        capture,
        rows.map(|row| row.expect("truth is a table of rows"))
            .collect(),
    )
}

/// Time in microseconds, length on the wire and captured bytes of each packet.
fn packets(capture: &[u8]) -> impl Iterator<Item = (u64, usize, &[u8])> {
    let number = |at: usize| {
        u32::from_le_bytes(
            capture[at..at + 4]
                .try_into()
                .expect("four bytes are four bytes"),
        )
    };
    let mut at = 24;
    std::iter::from_fn(move || {
        if at == capture.len() {
            return None;
        }
        let time = u64::from(number(at)) * 1_000_000 + u64::from(number(at + 4));
        let (captured, length) = (number(at + 8) as usize, number(at + 12) as usize);
        at += 16 + captured;
        Some((time, length, &capture[at - captured..at]))
    })
}

/// An IP packet as far as it could be read.
struct Ip<'a> {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    /// As the header states it.
    length: u64,
    /// Identification and offset of a fragment.
    fragment: Option<(u32, u16)>,
    payload: &'a [u8],
}

impl<'a> Ip<'a> {
    fn new(packet: &LaxSlicedPacket<'a>) -> Self {
        let ip = packet.ip_payload().expect("there is nothing but IP");
        let (protocol, payload) = (ip.ip_number.0, ip.payload);
        match packet.net.as_ref() {
            Some(LaxNetSlice::Ipv4(ip)) => {
                let header = ip.header();
                let fragment = header.more_fragments() || header.fragments_offset().value() > 0;
                Self {
                    source: header.source_addr().into(),
                    destination: header.destination_addr().into(),
                    protocol,
                    length: header.total_len().into(),
                    fragment: fragment.then(|| {
                        (
                            header.identification().into(),
                            header.fragments_offset().value(),
                        )
                    }),
                    payload,
                }
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                let header = ip.header();
                let fragment = ip
                    .extensions()
                    .clone()
                    .into_iter()
                    .find_map(|part| match part {
                        etherparse::Ipv6ExtensionSlice::Fragment(part) => {
                            Some((part.identification(), part.fragment_offset().value()))
                        }
                        _ => None,
                    });
                Self {
                    source: header.source_addr().into(),
                    destination: header.destination_addr().into(),
                    protocol,
                    length: 40 + u64::from(header.payload_length()),
                    fragment,
                    payload,
                }
            }
            other => panic!("not an IP packet: {other:?}"),
        }
    }

    /// True if it is an ICMP error.
    fn is_error(&self) -> bool {
        match self.protocol {
            1 => matches!(self.payload[0], 3 | 11 | 12),
            58 => self.payload[0] < 128,
            _ => false,
        }
    }

    /// Sender and receiver with their ports, if these are there. The identifier of an echo is the
    /// port of who asks.
    fn ends(&self) -> Option<Ends> {
        let number = |at: usize| {
            Some(u16::from_be_bytes(
                self.payload.get(at..at + 2)?.try_into().ok()?,
            ))
        };
        let (from, to) = match self.protocol {
            6 | 17 | 132 => (number(0)?, number(2)?),
            1 | 58 => match self.payload.first()? {
                8 | 128 => (number(4)?, 0),
                0 | 129 => (0, number(4)?),
                other => panic!("ICMP type {other}"),
            },
            _ => (0, 0),
        };
        Some((self.protocol, (self.source, from), (self.destination, to)))
    }
}

type Ends = (u8, (IpAddr, u16), (IpAddr, u16));

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    sent: (u64, u64),
    received: (u64, u64),
    icmp_errors: u64,
}

/// Counts connections the simplest way: in two passes, since a fragment's ports may come later.
fn count(capture: &[u8]) -> HashMap<Ends, Counts> {
    let parse = |frame| LaxSlicedPacket::from_ethernet(frame).expect("all is Ethernet");
    let mut datagrams = HashMap::new();
    for (_, _, frame) in packets(capture) {
        let ip = Ip::new(&parse(frame));
        if let Some((id, 0)) = ip.fragment {
            let known = datagrams.insert((ip.source, ip.destination, id), ip.ends());
            assert_eq!(known, None, "two datagrams share an identification");
        }
    }
    let mut connections: HashMap<Ends, Counts> = HashMap::new();
    for (_, _, frame) in packets(capture) {
        let ip = Ip::new(&parse(frame));
        if ip.is_error() {
            let quoted = LaxSlicedPacket::from_ip(&ip.payload[8..]);
            let Some((protocol, from, to)) = quoted.ok().and_then(|it| Ip::new(&it).ends()) else {
                continue;
            };
            let same = (protocol, from, to);
            let key = if connections.contains_key(&same) {
                same
            } else {
                (protocol, to, from)
            };
            connections
                .get_mut(&key)
                .expect("an error quotes what was sent")
                .icmp_errors += 1;
            continue;
        }
        let ends = match ip.fragment {
            Some((id, _)) => datagrams[&(ip.source, ip.destination, id)],
            None => ip.ends(),
        };
        let (protocol, from, to) = ends.expect("all ports were captured");
        let (packets, bytes) = if let Some(known) = connections.get_mut(&(protocol, to, from)) {
            (&mut known.received.0, &mut known.received.1)
        } else {
            let own = connections.entry((protocol, from, to)).or_default();
            (&mut own.sent.0, &mut own.sent.1)
        };
        *packets += 1;
        *bytes += ip.length;
    }
    connections
}

fn assert_true(capture: &[u8], truth: &[Row]) {
    let mut counted = count(capture);
    for row in truth {
        let protocol = match row.protocol.as_str() {
            "icmp" => 1,
            "tcp" => 6,
            "udp" => 17,
            "gre" => 47,
            "esp" => 50,
            "icmpv6" => 58,
            "sctp" => 132,
            other => panic!("protocol {other}"),
        };
        let originator = (row.originator, row.originator_port);
        let responder = (row.responder, row.responder_port);
        let expected = Counts {
            sent: (row.packets_sent, row.bytes_sent),
            received: (row.packets_received, row.bytes_received),
            icmp_errors: row.icmp_errors,
        };
        let counts = counted.remove(&(protocol, originator, responder));
        assert_eq!(counts, Some(expected), "{row:?}");
    }
    assert!(counted.is_empty(), "the truth lacks {counted:?}");
}

#[test]
fn the_truth_is_true() {
    let (summary, capture, truth) = make(&TRAFFIC);
    assert_eq!(summary.packets, 20 * 2000);
    assert_eq!(summary.bytes, capture.len() as u64);
    assert_eq!(packets(&capture).count() as u64, summary.packets);
    assert_eq!(truth.len(), 2000);
    assert_true(&capture, &truth);
    let kinds: HashSet<&str> = truth.iter().map(|row| row.kind.as_str()).collect();
    assert_eq!(kinds.len(), 21, "{kinds:?}");
}

#[test]
fn the_truth_is_true_of_a_cut_capture() {
    let (_, whole, full_truth) = make(&TRAFFIC);
    let (_, cut, truth) = make(&Traffic {
        snaplen: 96,
        ..TRAFFIC
    });
    assert_true(&cut, &truth);
    for ((time, length, frame), (cut_time, cut_length, cut_frame)) in
        packets(&whole).zip(packets(&cut))
    {
        assert_eq!((time, length), (cut_time, cut_length));
        assert_eq!(frame[..frame.len().min(96)], *cut_frame);
    }
    // Only ICMPv6 errors are lost.
    let errors = |rows: &[Row], v4| -> u64 {
        rows.iter()
            .filter(|row| row.originator.is_ipv4() == v4)
            .map(|row| row.icmp_errors)
            .sum()
    };
    assert_eq!(errors(&truth, true), errors(&full_truth, true));
    assert_eq!(errors(&truth, false), 0);
    assert_ne!(errors(&full_truth, false), 0);
}

#[test]
fn packets_are_well_formed() {
    let (_, capture, _) = make(&TRAFFIC);
    let mut last = 0;
    for (time, length, frame) in packets(&capture) {
        assert!(time >= last, "time goes back");
        last = time;
        assert_eq!(length, frame.len());
        assert!((60..=1522).contains(&length), "{length} bytes");
        let packet = SlicedPacket::from_ethernet(frame).expect("a strict parser takes it");
        assert_checksums(&packet);
    }
}

fn assert_checksums(packet: &SlicedPacket<'_>) {
    use etherparse::NetSlice;
    let v4 = match packet.net.as_ref() {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            Ok(header)
        }
        Some(NetSlice::Ipv6(ip)) => Err(ip.header().to_header()),
        other => panic!("not an IP packet: {other:?}"),
    };
    let (stated, computed) = match packet.transport.as_ref() {
        Some(TransportSlice::Tcp(tcp)) => (
            tcp.checksum(),
            match &v4 {
                Ok(ip) => tcp
                    .calc_checksum_ipv4(ip.source, ip.destination)
                    .expect("it is short"),
                Err(ip) => tcp
                    .calc_checksum_ipv6(ip.source, ip.destination)
                    .expect("it is short"),
            },
        ),
        Some(TransportSlice::Udp(udp)) => (
            udp.checksum(),
            match &v4 {
                Ok(ip) => {
                    udp.to_header()
                        .calc_checksum_ipv4_raw(ip.source, ip.destination, udp.payload())
                }
                Err(ip) => {
                    udp.to_header()
                        .calc_checksum_ipv6_raw(ip.source, ip.destination, udp.payload())
                }
            }
            .expect("it is short"),
        ),
        Some(TransportSlice::Icmpv4(icmp)) => (
            icmp.checksum(),
            icmp.icmp_type().calc_checksum(icmp.payload()),
        ),
        Some(TransportSlice::Icmpv6(icmp)) => {
            let ip = v4.expect_err("ICMPv6 comes in IPv6");
            assert!(icmp.is_checksum_valid(ip.source, ip.destination));
            return;
        }
        // Fragments, SCTP and tunnels.
        _ => return,
    };
    assert_eq!(stated, computed, "{packet:?}");
}

#[test]
fn the_same_parameters_make_the_same_bytes() {
    let (_, capture, truth) = make(&TRAFFIC);
    assert_eq!(make(&TRAFFIC).1, capture);
    let (_, other, other_truth) = make(&Traffic { seed: 2, ..TRAFFIC });
    assert_ne!(other, capture);
    assert_ne!(other_truth, truth);
}

#[test]
fn the_number_of_packets_is_met() {
    for packets in [20_000, 34_567, 200_001] {
        let (summary, capture, truth) = make(&Traffic {
            packets: Some(packets),
            ..TRAFFIC
        });
        assert_eq!(summary.packets, packets);
        assert_true(&capture, &truth);
    }
    let too_few = Traffic {
        packets: Some(2000),
        ..TRAFFIC
    };
    let error = write(&too_few, std::io::sink(), std::io::sink()).expect_err("2000 are too few");
    assert!(error.to_string().contains("at least"), "{error}");
}

#[test]
fn frames_have_the_mean_size_asked_for() {
    for mean_size in [250, 350, 600] {
        let traffic = Traffic {
            connections: 3000,
            mean_size,
            ..TRAFFIC
        };
        let (summary, _, _) = make(&traffic);
        let mean = summary.bytes / summary.packets - 16;
        assert!(
            mean.abs_diff(mean_size.into()) * 10 < mean_size.into(),
            "{mean}, not {mean_size}"
        );
    }
}
