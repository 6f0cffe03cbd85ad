//! Frames: Ethernet, IPv4 or IPv6, TCP with options and checksums, ICMP errors with quotations.

use crate::format::{Bad, Icmp, Isn, Options, Packet, Sender};
use crate::tracker::Host;

/// The flow of every case: addresses as in `FORMAT.md`.
pub(crate) const CLIENT_PORT: u16 = 40_000;
pub(crate) const SERVER_PORT: u16 = 80;
const CLIENT_V4: [u8; 4] = [10, 9, 1, 2];
const SERVER_V4: [u8; 4] = [10, 9, 2, 2];
const ROUTER_V4: [u8; 4] = [10, 9, 1, 1];
const CLIENT_V6: [u8; 16] = [0xfd, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const SERVER_V6: [u8; 16] = [0xfd, 9, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const ROUTER_V6: [u8; 16] = [0xfd, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

const TCP: u8 = 6;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const TCP_ACK: u16 = 0x10;

/// A TCP segment with absolute numbers.
#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    pub(crate) from: Host,
    /// All nine.
    pub(crate) flags: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) win: u16,
    pub(crate) urg: u16,
    pub(crate) options: Vec<u8>,
    pub(crate) len: usize,
    pub(crate) bad: Option<Bad>,
}

/// The frame of a case's packet.
pub(crate) fn of(packet: &Packet, ip: u8, isn: &Isn) -> Vec<u8> {
    let from = match packet.from {
        Sender::Client | Sender::Either => Host::Client,
        Sender::Server => Host::Server,
        Sender::Router => {
            let icmp = packet.icmp.as_ref().expect("a router sends ICMP errors");
            return icmp_error(icmp, ip, isn);
        }
    };
    let relative = |number: i64, base: u32| {
        let base = if packet.abs { 0 } else { base };
        base.wrapping_add(number as u32)
    };
    let other = isn.of(from.other());
    tcp(
        &Tcp {
            from,
            flags: flags(&packet.flags),
            seq: relative(packet.seq, isn.of(from)),
            ack: packet.ack.map_or(0, |ack| relative(ack, other)),
            win: packet.win,
            urg: packet.urg,
            options: options(&packet.opts, |edge| relative(edge, other)),
            len: packet.len,
            bad: packet.bad,
        },
        ip,
    )
}

/// The bits of flags given as letters.
pub(crate) fn flags(letters: &str) -> u16 {
    letters
        .chars()
        .map(|letter| match letter {
            'F' => 0x001,
            'S' => 0x002,
            'R' => 0x004,
            'P' => 0x008,
            'A' => TCP_ACK,
            'U' => 0x020,
            'E' => 0x040,
            'C' => 0x080,
            'N' => 0x100,
            _ => panic!("{letter} is no TCP flag"),
        })
        .sum()
}

pub(crate) const fn has_ack(flags: u16) -> bool {
    flags & TCP_ACK != 0
}

pub(crate) fn tcp(segment: &Tcp, ip: u8) -> Vec<u8> {
    let (source, destination) = (segment.from, segment.from.other());
    let header = 20 + segment.options.len();
    let mut bytes = Vec::with_capacity(header + segment.len);
    for host in [source, destination] {
        bytes.extend(port(host).to_be_bytes());
    }
    bytes.extend(segment.seq.to_be_bytes());
    bytes.extend(segment.ack.to_be_bytes());
    let words = match segment.bad {
        Some(Bad::Offset) => 15,
        _ => header / 4,
    };
    bytes.extend(((words as u16) << 12 | segment.flags).to_be_bytes());
    bytes.extend(segment.win.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(segment.urg.to_be_bytes());
    bytes.extend(&segment.options);
    bytes.resize(header + segment.len, 0x5a);
    let mut sum = checksum(ip, source, destination, TCP, &bytes);
    if segment.bad == Some(Bad::Checksum) {
        sum ^= 0x5555;
    }
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    if segment.bad == Some(Bad::Short) {
        bytes.truncate(12);
    }
    in_ip(
        ip,
        address(ip, source),
        address(ip, destination),
        TCP,
        &bytes,
    )
}

const fn port(host: Host) -> u16 {
    match host {
        Host::Client => CLIENT_PORT,
        Host::Server => SERVER_PORT,
    }
}

/// Of that length which the version has.
fn address(ip: u8, host: Host) -> &'static [u8] {
    match (ip, host) {
        (4, Host::Client) => &CLIENT_V4,
        (4, Host::Server) => &SERVER_V4,
        (_, Host::Client) => &CLIENT_V6,
        (_, Host::Server) => &SERVER_V6,
    }
}

/// A frame of the wire, and who sent it by its addresses: the client, or somebody else.
pub(crate) fn is_from_client(source: &[u8]) -> bool {
    source == CLIENT_V4 || source == CLIENT_V6
}

/// Padded to words with no-operations.
fn options(options: &Options, relative: impl Fn(i64) -> u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mss) = options.mss {
        bytes.extend([2, 4]);
        bytes.extend(mss.to_be_bytes());
    }
    if options.sack_ok {
        bytes.extend([4, 2]);
    }
    if let Some(stamps) = options.ts {
        bytes.extend([8, 10]);
        bytes.extend(stamps.iter().flat_map(|stamp| stamp.to_be_bytes()));
    }
    if let Some(scale) = options.wscale {
        bytes.extend([3, 3, scale]);
    }
    if !options.sack.is_empty() {
        bytes.extend([5, 2 + 8 * options.sack.len() as u8]);
        let edges = options.sack.iter().flatten();
        bytes.extend(edges.flat_map(|&edge| relative(edge).to_be_bytes()));
    }
    for (kind, hex) in &options.raw {
        let value: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal"))
            .collect();
        bytes.push(*kind);
        if *kind > 1 {
            bytes.push(2 + value.len() as u8);
        }
        bytes.extend(value);
    }
    bytes.resize(bytes.len().next_multiple_of(4), 1);
    bytes
}

fn icmp_error(icmp: &Icmp, ip: u8, isn: &Isn) -> Vec<u8> {
    let quote = &icmp.quote;
    let base = |host| if quote.abs { 0 } else { isn.of(host) };
    let mut quoted = tcp(
        &Tcp {
            from: Host::Client,
            flags: flags(&quote.flags),
            seq: base(Host::Client).wrapping_add(quote.seq as u32),
            ack: base(Host::Server).wrapping_add(quote.ack as u32),
            win: 65_535,
            urg: 0,
            options: Vec::new(),
            len: quote.len,
            bad: None,
        },
        ip,
    )
    .split_off(14);
    let transport = if ip == 4 { 20 } else { 40 };
    if let Some(port) = quote.port.as_u64() {
        let port = u16::try_from(port).expect("a port");
        quoted[transport..transport + 2].copy_from_slice(&port.to_be_bytes());
    }
    let mut bytes = vec![icmp.icmp_type, icmp.code, 0, 0, 0, 0];
    bytes.extend(icmp.mtu.to_be_bytes());
    bytes.extend(&quoted[..transport + 20]);
    let (protocol, sum) = if ip == 4 {
        (ICMP, fold(sum(&bytes)))
    } else {
        let pseudo = pseudo_header(&ROUTER_V6, &CLIENT_V6, ICMPV6, bytes.len());
        (ICMPV6, fold(pseudo + sum(&bytes)))
    };
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    let router: &[u8] = if ip == 4 { &ROUTER_V4 } else { &ROUTER_V6 };
    in_ip(ip, router, address(ip, Host::Client), protocol, &bytes)
}

fn in_ip(ip: u8, source: &[u8], destination: &[u8], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(54 + payload.len());
    bytes.extend([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    if ip == 4 {
        bytes.extend([0x08, 0x00, 0x45, 0]);
        bytes.extend((20 + payload.len() as u16).to_be_bytes());
        bytes.extend([0, 1, 0x40, 0, 64, protocol, 0, 0]);
        bytes.extend(source);
        bytes.extend(destination);
        let sum = fold(sum(&bytes[14..34]));
        bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    } else {
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        bytes.extend((payload.len() as u16).to_be_bytes());
        bytes.extend([protocol, 64]);
        bytes.extend(source);
        bytes.extend(destination);
    }
    bytes.extend(payload);
    bytes
}

fn checksum(ip: u8, source: Host, destination: Host, protocol: u8, bytes: &[u8]) -> u16 {
    let (source, destination) = (address(ip, source), address(ip, destination));
    fold(pseudo_header(source, destination, protocol, bytes.len()) + sum(bytes))
}

fn pseudo_header(source: &[u8], destination: &[u8], protocol: u8, length: usize) -> u64 {
    sum(source) + sum(destination) + u64::from(protocol) + length as u64
}

fn sum(bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let pairs: u64 = pairs
        .iter()
        .map(|&pair| u64::from(u16::from_be_bytes(pair)))
        .sum();
    pairs + rest.first().map_or(0, |&last| u64::from(last) << 8)
}

/// The Internet checksum (RFC 1071).
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
