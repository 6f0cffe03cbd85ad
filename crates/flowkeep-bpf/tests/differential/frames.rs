//! Packets.

use std::io::Read;
use std::path::Path;

use etherparse::{Ethernet2Header, VlanId};
use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv6Header};
use etherparse::{PacketBuilder, PacketBuilderStep};
use fastrand::Rng;
use flate2::read::MultiGzDecoder;
use flowkeep_bpf::Hook;

type Frame = Vec<u8>;
const ETHERNET: usize = 14;

fn ethernet() -> PacketBuilderStep<Ethernet2Header> {
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
}

/// A TCP segment between two IPv4 ends that are told apart by a number.
fn tcp(from: (u8, u16), to: (u8, u16), flags: &str, payload: usize) -> Frame {
    let mut builder = ethernet()
        .ipv4([10, 0, 0, from.0], [10, 0, 0, to.0], 64)
        .tcp(from.1, to.1, 1, 1000);
    for flag in flags.chars() {
        builder = match flag {
            'S' => builder.syn(),
            'A' => builder.ack(1),
            'F' => builder.fin(),
            'R' => builder.rst(),
            other => panic!("there is no flag {other}"),
        };
    }
    let mut frame = Vec::new();
    builder
        .write(&mut frame, &vec![0; payload])
        .expect("a small packet");
    frame
}

/// A host's connection, from its first packet to a reset after its close.
pub(crate) fn tcp_connection() -> Vec<(Hook, Frame)> {
    let (client, server) = ((1, 40_000), (2, 443));
    let out = |flags, payload| (Hook::Egress, tcp(client, server, flags, payload));
    let back = |flags, payload| (Hook::Ingress, tcp(server, client, flags, payload));
    vec![
        out("S", 0),
        back("SA", 0),
        out("A", 0),
        out("A", 100),
        back("A", 1200),
        out("FA", 0),
        back("FA", 0),
        out("A", 0),
        out("R", 0),
        out("S", 0),
        back("SA", 0),
        back("R", 0),
    ]
}

fn udp(from: (u8, u16), to: (u8, u16), payload: &[u8]) -> Frame {
    let mut frame = Vec::new();
    ethernet()
        .ipv4([10, 0, 0, from.0], [10, 0, 0, to.0], 64)
        .udp(from.1, to.1)
        .write(&mut frame, payload)
        .expect("a small packet");
    frame
}

/// A TCP segment with so many bytes of payload.
pub(crate) fn segment(payload: usize) -> Frame {
    tcp((1, 40_000), (2, 443), "A", payload)
}

/// A datagram that begins a connection of its own.
pub(crate) fn question(number: u16, bytes: usize) -> Frame {
    udp((1, 20_000 + number), (2, 53), &vec![0; bytes])
}

/// The answer to it.
pub(crate) fn answer(number: u16) -> Frame {
    udp((2, 53), (1, 20_000 + number), b"answer")
}

fn udp6(from: (u8, u16), to: (u8, u16), payload: &[u8]) -> Frame {
    let mut frame = Vec::new();
    ethernet()
        .ipv6(address6(from.0), address6(to.0), 64)
        .udp(from.1, to.1)
        .write(&mut frame, payload)
        .expect("a small packet");
    frame
}

const fn address6(host: u8) -> [u8; 16] {
    [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]
}

/// An echo request, or with type 0 its reply.
fn echo(from: u8, to: u8, icmp_type: u8, identifier: u16) -> Frame {
    let [high, low] = identifier.to_be_bytes();
    let message = [icmp_type, 0, 0, 0, high, low, 0, 1, 9, 9];
    ipv4(from, to, IpNumber::ICMP, &message, None)
}

/// An ICMP error that quotes the IP packet of a frame.
fn unreachable(from: u8, to: u8, about: &[u8]) -> Frame {
    let mut message = vec![3, 1, 0, 0, 0, 0, 0, 0];
    let quoted = about.get(ETHERNET..).unwrap_or_default();
    message.extend(quoted.iter().take(28));
    ipv4(from, to, IpNumber::ICMP, &message, None)
}

/// The same in IPv6.
fn unreachable6(from: u8, to: u8, about: &[u8]) -> Frame {
    let mut message = vec![1, 4, 0, 0, 0, 0, 0, 0];
    message.extend(about.get(ETHERNET..).unwrap_or_default());
    let mut frame = Vec::new();
    ethernet()
        .ipv6(address6(from), address6(to), 64)
        .write(&mut frame, IpNumber::IPV6_ICMP, &message)
        .expect("a small packet");
    frame
}

/// An IPv4 packet, a fragment of packet 77 if an offset in units of eight bytes is given.
fn ipv4(
    from: u8,
    to: u8,
    protocol: IpNumber,
    payload: &[u8],
    offset: Option<(u16, bool)>,
) -> Frame {
    let mut frame = Vec::new();
    let mut header = Ipv4Header::new(
        payload.len() as u16,
        64,
        protocol,
        [10, 0, 0, from],
        [10, 0, 0, to],
    )
    .expect("a small packet");
    if let Some((offset, more)) = offset {
        header.identification = 77;
        header.dont_fragment = false;
        header.more_fragments = more;
        header.fragment_offset = IpFragOffset::try_new(offset).expect("13 bits");
    }
    frame.extend([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
    header.write(&mut frame).expect("a vector takes all");
    frame.extend(payload);
    frame
}

fn tagged(frame: &[u8], tags: usize) -> Frame {
    let vlan = VlanId::try_new(5).expect("12 bits").value().to_be_bytes();
    let (bucket_header, tail) = frame.split_at(12);
    let mut tagged = bucket_header.to_vec();
    for _ in 0..tags {
        tagged.extend([0x81, 0x00]);
        tagged.extend(vlan);
    }
    tagged.extend(tail);
    tagged
}

/// One of each.
pub(crate) fn mixture() -> Vec<Frame> {
    let question = udp((1, 5353), (2, 53), b"question");
    let question6 = udp6((1, 5353), (2, 53), b"question");
    let segment = tcp((1, 41_000), (2, 80), "S", 0);
    let first = [0x13, 0x88, 0, 53, 0, 40, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    vec![
        question.clone(),
        udp((2, 53), (1, 5353), b"answer"),
        question6.clone(),
        udp6((2, 53), (1, 5353), b"answer"),
        echo(1, 2, 8, 99),
        echo(2, 1, 0, 99),
        unreachable(9, 1, &question),
        unreachable(2, 1, &udp((1, 1), (2, 2), b"unknown")),
        unreachable(2, 1, &question[..40]),
        unreachable6(9, 1, &question6),
        segment.clone(),
        unreachable(9, 1, &segment),
        ipv4(3, 2, IpNumber::UDP, &first, Some((0, true))),
        ipv4(3, 2, IpNumber::UDP, &first, Some((2, false))),
        ipv4(4, 2, IpNumber::UDP, &first, Some((2, false))),
        tagged(&udp((5, 1000), (2, 53), b"tagged"), 1),
        tagged(&udp6((5, 1000), (2, 53), b"tagged twice"), 2),
        ipv4(1, 2, IpNumber::SCTP, &first, None),
        ipv4(1, 2, IpNumber::GRE, &first, None),
        segment[..40].to_vec(),
        question[..37].to_vec(),
        vec![0xff; 60],
    ]
}

/// Packets that are not what they look like.
pub(crate) fn deceptive() -> Vec<Frame> {
    let (client, server) = ((1, 42_000), (2, 443));
    let segment = tcp(client, server, "A", 0);
    let header = &segment[ETHERNET + 20..];
    let reset = tcp(client, server, "R", 0);
    // A reset in the padding of a packet that is no more than its IP header.
    let mut in_padding = ipv4(1, 2, IpNumber::TCP, &[], None);
    in_padding.extend(&reset[ETHERNET + 20..]);
    // Ports in the padding of a packet, of a quotation and of an IPv6 header's.
    let mut ports = ipv4(1, 2, IpNumber::UDP, &[], None);
    ports.extend([1, 2, 3, 4, 5, 6, 7, 8]);
    let mut cut = unreachable(9, 1, &segment);
    cut[ETHERNET + 3] -= 8;
    let mut ports6 = ipv6(IpNumber::UDP, &[]);
    ports6.extend([0; 6]);
    let mut ports6_open = ipv6(IpNumber::UDP, &[0x13, 0x88, 0, 53, 0, 40, 0, 0, 1, 2, 3, 4]);
    ports6_open[ETHERNET + 4..ETHERNET + 6].fill(0);
    // Lengths that cannot be.
    let mut open = segment.clone();
    open[16..18].fill(0);
    let mut long = segment.clone();
    long[16..18].fill(0xff);
    let offset = |words: u8| {
        let mut frame = segment.clone();
        frame[ETHERNET + 20 + 12] = words << 4;
        frame
    };
    // Fragments of packet 77: a tiny first one, one over its flags, one too far.
    let tiny = ipv4(3, 2, IpNumber::TCP, &header[..8], Some((0, true)));
    let first = ipv4(
        4,
        2,
        IpNumber::TCP,
        &[header, &[0; 4]].concat(),
        Some((0, true)),
    );
    let over = |from| ipv4(from, 2, IpNumber::TCP, &header[8..16], Some((1, false)));
    let far = ipv4(4, 2, IpNumber::TCP, &header[..8], Some((0x1fff, false)));
    // IPv6 fragments whose next headers differ, that overlap, and that do not.
    let part6 = |next: u8, offset: u16, more: u16, data: &[u8]| {
        let [o0, o1] = (offset | more).to_be_bytes();
        let fragment = [next, 0, o0, o1, 0, 0, 0, 77];
        ipv6(
            IpNumber::IPV6_FRAGMENTATION_HEADER,
            &[&fragment, data].concat(),
        )
    };
    let data = [0x13, 0x88, 0, 53, 0, 40, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let authentication = [
        6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let authenticated = [&authentication, header].concat();
    let jumbo = |option: [u8; 8]| {
        let mut frame = ipv6(
            IpNumber::IPV6_HEADER_HOP_BY_HOP,
            &[&option, header].concat(),
        );
        frame[ETHERNET + 4..ETHERNET + 6].fill(0);
        frame
    };
    vec![
        segment.clone(),
        in_padding,
        ports,
        cut,
        ports6,
        ports6_open,
        open,
        long,
        offset(4),
        offset(6),
        tiny,
        over(3),
        first,
        over(4),
        far,
        part6(60, 0, 1, &[&[17, 0, 1, 4, 0, 0, 0, 0][..], &data].concat()),
        part6(60, 24, 1, &data),
        part6(17, 40, 0, &data),
        part6(17, 16, 0, &data),
        part6(17, 65_528, 0, &data),
        ipv4(1, 2, IpNumber::AUTHENTICATION_HEADER, &authenticated, None),
        ipv6(IpNumber::AUTHENTICATION_HEADER, &authenticated),
        jumbo([6, 0, 0xc2, 4, 0, 1, 0, 0]),
        jumbo([6, 0, 0xc2, 4, 0, 0, 0, 20]),
        jumbo([6, 0, 5, 2, 0, 0, 1, 0]),
    ]
}

/// An IPv6 packet whose payload may begin with extension headers.
fn ipv6(next: IpNumber, payload: &[u8]) -> Frame {
    let header = Ipv6Header {
        payload_length: payload.len() as u16,
        next_header: next,
        hop_limit: 64,
        source: address6(1),
        destination: address6(2),
        ..Ipv6Header::default()
    };
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd];
    header.write(&mut frame).expect("a vector takes all");
    frame.extend(payload);
    frame
}

/// The IP packet of an untagged frame.
pub(crate) fn without_link(frame: &[u8]) -> Option<&[u8]> {
    match frame.get(12..ETHERNET)? {
        [0x08, 0x00] | [0x86, 0xdd] => frame.get(ETHERNET..),
        _ => None,
    }
}

/// A packet between few ends, sometimes cut or damaged.
pub(crate) fn random(random: &mut Rng) -> Frame {
    let ends = [1, 2].map(|host| (host, random.u16(1000..1100)));
    let (from, to) = if random.bool() {
        (ends[0], ends[1])
    } else {
        (ends[1], ends[0])
    };
    let flags = ["S", "SA", "A", "A", "A", "FA", "R"];
    let mut frame = match random.u8(0..10) {
        0..6 => tcp(from, to, flags[random.usize(..flags.len())], 10),
        6 => udp(from, to, b"datagram"),
        7 => udp6(from, to, b"datagram"),
        8 => echo(from.0, to.0, if random.bool() { 8 } else { 0 }, from.1),
        _ => unreachable(9, from.0, &tcp(from, to, "A", 0)),
    };
    match random.u8(..) {
        0..10 => frame.truncate(random.usize(14..frame.len())),
        10..20 => {
            let at = random.usize(12..frame.len());
            frame[at] ^= 1 << random.u8(0..8);
        }
        20..40 => frame = tagged(&frame, random.usize(1..3)),
        // Padding, or a packet that states to be shorter than it was.
        40..50 => frame.extend(std::iter::repeat_n(random.u8(..), random.usize(1..30))),
        50..60 => frame[17] = frame[17].wrapping_sub(random.u8(1..30)),
        _ => {}
    }
    frame
}

/// The packets of the core's recorded cases, and whether each goes out.
pub(crate) fn recorded() -> Vec<(bool, Frame)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flowkeep-core/tests/data");
    let mut packets = Vec::new();
    for name in ["v2026-designed", "v2026-random-a", "v2026-extra"] {
        let path = folder.join(name).with_extension("jsonl.gz");
        let file = std::fs::File::open(&path).expect("part of the checkout");
        let mut text = String::new();
        MultiGzDecoder::new(file)
            .read_to_string(&mut text)
            .expect("compressed text");
        for line in text.lines().skip(1) {
            let case: serde_json::Value = serde_json::from_str(line).expect("one object a line");
            let steps = case["steps"].as_array().expect("a scenario has steps");
            for step in steps {
                let Some(hex) = step["pkt"].as_str() else {
                    continue;
                };
                let mut frame = bytes(hex);
                let padding = step["pad"].as_u64().unwrap_or(0) as usize;
                frame.resize(frame.len() + padding.min(2000), 0);
                packets.push((step["dir"] == "egress", frame));
            }
        }
    }
    packets
}

fn bytes(hex: &str) -> Frame {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal digits"))
        .collect()
}
