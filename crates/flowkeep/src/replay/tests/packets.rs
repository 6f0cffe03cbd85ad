//! IP packets for the tests of the replay.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    Icmpv4Type, IpHeaders, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header, PacketBuilder,
    PacketBuilderStep, icmpv4,
};

pub(super) use flowkeep_core::packet::tcp::{ACK, FIN, PSH, RST, SYN};

/// An address and a port.
///
/// # Panics
/// If it is none.
pub(super) fn end(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

fn ip(from: SocketAddr, to: SocketAddr) -> PacketBuilderStep<IpHeaders> {
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), 64),
        _ => panic!("one address family"),
    }
}

/// A TCP packet with some of the flags that matter and a payload of so many bytes.
pub(super) fn tcp(from: &str, to: &str, flags: u8, payload: usize) -> Vec<u8> {
    let (from, to) = (end(from), end(to));
    let mut tcp = ip(from, to).tcp(from.port(), to.port(), 1, 1000);
    for (flag, set) in [
        (FIN, PacketBuilderStep::fin as fn(_) -> _),
        (SYN, PacketBuilderStep::syn),
        (RST, PacketBuilderStep::rst),
        (PSH, PacketBuilderStep::psh),
    ] {
        if flags & flag != 0 {
            tcp = set(tcp);
        }
    }
    if flags & ACK != 0 {
        tcp = tcp.ack(1);
    }
    let mut packet = Vec::new();
    tcp.write(&mut packet, &vec![0; payload])
        .expect("writing to memory");
    packet
}

/// A UDP datagram with a payload of so many bytes.
pub(super) fn udp(from: &str, to: &str, payload: usize) -> Vec<u8> {
    let (from, to) = (end(from), end(to));
    let mut packet = Vec::new();
    ip(from, to)
        .udp(from.port(), to.port())
        .write(&mut packet, &vec![0; payload])
        .expect("writing to memory");
    packet
}

/// An ICMP error from a router to the sender of a packet. It quotes the packet's IPv4 header and eight
/// bytes.
pub(super) fn time_exceeded(router: [u8; 4], packet: &[u8]) -> Vec<u8> {
    let sender = packet[12..16].first_chunk().expect("an IPv4 header");
    let mut error = Vec::new();
    PacketBuilder::ipv4(router, *sender, 64)
        .icmpv4(Icmpv4Type::TimeExceeded(
            icmpv4::TimeExceededCode::TtlExceededInTransit,
        ))
        .write(&mut error, &packet[..28])
        .expect("writing to memory");
    error
}

/// Three fragments of a datagram of 1,500 bytes, each with its own header. The first of them is 8
/// bytes of UDP header and the beginning of the payload.
pub(super) fn fragments(from: &str, to: &str) -> Vec<Vec<u8>> {
    const PIECE: usize = 512;
    let whole = udp(from, to, 1_500 - 8);
    let (from, to) = (end(from).ip(), end(to).ip());
    let mut list = Vec::new();
    let header = if from.is_ipv4() { 20 } else { 40 };
    for (number, piece) in whole[header..].chunks(PIECE).enumerate() {
        let offset = u16::try_from(number * PIECE / 8).expect("a small datagram");
        let offset = offset.try_into().expect("a fragment's offset");
        let more = number < 2;
        let mut packet = Vec::new();
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let length = piece.len() as u16;
                let mut header =
                    Ipv4Header::new(length, 64, IpNumber::UDP, from.octets(), to.octets())
                        .expect("a short packet");
                header.identification = 7;
                header.dont_fragment = false;
                header.fragment_offset = offset;
                header.more_fragments = more;
                header.write(&mut packet).expect("writing to memory");
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let fragment = Ipv6FragmentHeader::new(IpNumber::UDP, offset, more, 7);
                let header = Ipv6Header {
                    payload_length: 8 + piece.len() as u16,
                    next_header: IpNumber::IPV6_FRAGMENTATION_HEADER,
                    hop_limit: 64,
                    source: from.octets(),
                    destination: to.octets(),
                    ..Ipv6Header::default()
                };
                header.write(&mut packet).expect("writing to memory");
                fragment.write(&mut packet).expect("writing to memory");
            }
            _ => panic!("one address family"),
        }
        packet.extend_from_slice(piece);
        list.push(packet);
    }
    list
}
