//! Packets as they may lie in memory: headers behind the first buffer, tags beside the packet.
//!
//! They are written as they are, from nobody's hardware address to nobody's, so that both hosts'
//! network stacks leave them alone: Flowkeep has just what was sent.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use etherparse::PacketBuilder;
use flowkeep_bpf::{Events, Hook};
use flowkeep_core::packet::protocol;
use flowkeep_lab::{Connection, Frames, Host, Traffic, eventually, tunnel};

use crate::network::{Network, PAIRS};
use crate::view::{Key, View};

/// Bytes of payload: more than a page. What fits into one, the kernel puts into the first buffer.
const PAGED: usize = 4_200;
/// Bytes that an interface takes, more than that.
const MTU: &str = "mtu 9000";

/// What a packet is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Udp,
    /// A SYN.
    Tcp,
    /// UDP behind IPv4 options, or an IPv6 extension header.
    UdpBehindOptions,
}

const KINDS: [Kind; 3] = [Kind::Udp, Kind::Tcp, Kind::UdpBehindOptions];

/// A question and its answer, of the same length.
struct Exchange {
    key: Key,
    packets: [Vec<u8>; 2],
}

impl Exchange {
    /// From a port of the client that no other has.
    fn new([client, server]: [IpAddr; 2], port: usize, kind: Kind, data: usize) -> Result<Self> {
        let client = SocketAddr::new(client, 10_000 + u16::try_from(port)?);
        let server = SocketAddr::new(server, 443);
        let key = Key {
            protocol: match kind {
                Kind::Tcp => protocol::TCP,
                Kind::Udp | Kind::UdpBehindOptions => protocol::UDP,
            },
            originator: client,
            responder: server,
        };
        let packets = [
            packet(client, server, kind, data)?,
            packet(server, client, kind, data)?,
        ];
        Ok(Self { key, packets })
    }

    /// What is to be known once so many of its packets were seen.
    fn connection(&self, seen: usize) -> Connection {
        let [sent, received] = [0, 1].map(|at| match self.packets[at].len() as u64 {
            bytes if seen > at => Traffic { packets: 1, bytes },
            _ => Traffic::default(),
        });
        self.key.with(sent, received)
    }
}

/// An IP packet.
fn packet(from: SocketAddr, to: SocketAddr, kind: Kind, data: usize) -> Result<Vec<u8>> {
    let data = vec![0; data];
    let ip = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), 64),
        _ => anyhow::bail!("{from} and {to} are of two families"),
    };
    let (from, to) = (from.port(), to.port());
    let mut packet = Vec::new();
    match kind {
        Kind::Udp | Kind::UdpBehindOptions => ip.udp(from, to).write(&mut packet, &data)?,
        Kind::Tcp => ip.tcp(from, to, 1, 1000).syn().write(&mut packet, &data)?,
    }
    if let Kind::UdpBehindOptions = kind {
        add_options(&mut packet);
    }
    Ok(packet)
}

/// Gives an IP packet options that do nothing. Nobody here looks at IPv4's checksum.
fn add_options(packet: &mut Vec<u8>) {
    let (length_at, header, options): (_, _, &[u8]) = if packet[0] >> 4 == 4 {
        packet[0] += 1;
        // Three no-operations and the end (RFC 791, 3.1).
        (2, 20, &[1, 1, 1, 0])
    } else {
        // Hop-by-hop options with four bytes of padding (RFC 8200, 4.2 and 4.3).
        let next = std::mem::replace(&mut packet[6], 0);
        (4, 40, &[next, 0, 1, 4, 0, 0, 0, 0])
    };
    let length = u16::from_be_bytes([packet[length_at], packet[length_at + 1]]);
    let length = length + options.len() as u16;
    packet[length_at..][..2].copy_from_slice(&length.to_be_bytes());
    packet.splice(header..header, options.iter().copied());
}

/// From nobody's hardware address to nobody's.
const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8];
const VLAN: u16 = 0x8100;

/// An Ethernet frame with so many tags.
fn frame(packet: &[u8], tags: usize) -> Vec<u8> {
    let mut frame = ADDRESSES.to_vec();
    for id in 5..5 + tags as u16 {
        frame.extend(VLAN.to_be_bytes());
        frame.extend(id.to_be_bytes());
    }
    frame.extend(ether_type(packet).to_be_bytes());
    frame.extend(packet);
    frame
}

const fn ether_type(packet: &[u8]) -> u16 {
    if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd }
}

/// Lets an interface have packets of more than one buffer, and more than a page.
fn open_up(host: &Host, interface: &str) -> Result<()> {
    host.ip(&format!("link set {interface} {MTU}"))?;
    host.run("ethtool", &format!("-K {interface} tx on sg on"))
}

/// Bytes of a frame in its first buffer: it ends before the IP header, in it, behind IPv4's, in the
/// ports, behind IPv6's, before TCP's flags.
const CUTS: [usize; 6] = [14, 24, 34, 36, 54, 67];

/// Both ways, with and without tags.
#[test]
fn headers_behind_the_first_buffer() -> Result<()> {
    let Some(network) = Network::build()? else {
        return Ok(());
    };
    let ends = [(&network.client, "eth0"), (&network.router, "lan0")];
    let (mut views, mut wires) = (Vec::new(), Vec::new());
    for (host, interface) in ends {
        open_up(host, interface)?;
        let hooks = [(interface, Hook::Ingress), (interface, Hook::Egress)];
        views.push(View::open(interface, host, &hooks)?);
        wires.push(Frames::open(host, interface)?);
    }
    let mut exchanges = Vec::new();
    for pair in PAIRS {
        for cut in CUTS {
            for kind in KINDS {
                for tags in 0..=2 {
                    let exchange = Exchange::new(pair, exchanges.len(), kind, PAGED)?;
                    exchanges.push((exchange, cut, tags));
                }
            }
        }
    }
    for (at, wire) in wires.iter().enumerate() {
        for (exchange, cut, tags) in &exchanges {
            wire.send_cut(&frame(&exchange.packets[at], *tags), *cut)?;
        }
        for view in &mut views {
            let sent = exchanges.iter();
            let sent = sent.map(|(exchange, ..)| exchange.connection(at + 1));
            view.settle_alone(sent.collect())?;
        }
    }
    Ok(())
}

/// As [`CUTS`], where the IP header comes first.
const CUTS_OF_IP: [usize; 5] = [1, 8, 20, 22, 53];

#[test]
fn headers_behind_the_first_buffer_without_a_link_header() -> Result<()> {
    let Some(network) = Network::build()? else {
        return Ok(());
    };
    let _tunnel = tunnel(&network.client, "tun0", &network.server, "tun0")?;
    open_up(&network.client, "tun0")?;
    let view = View::open("client", &network.client, &[("tun0", Hook::Egress)])?;
    let wire = Frames::open(&network.client, "tun0")?;
    let mut sent = Vec::new();
    for pair in PAIRS {
        for cut in CUTS_OF_IP {
            for kind in KINDS {
                let exchange = Exchange::new(pair, sent.len(), kind, PAGED)?;
                wire.send_cut(&exchange.packets[0], cut)?;
                sent.push(exchange.connection(1));
            }
        }
    }
    view.settle_alone(sent)
}

/// What a program sees of a frame: the type in its Ethernet header, and its length.
type Seen = (u16, usize);

/// What was seen of the frames that were sent here, in no order, once there are so many.
fn seen(events: &mut Events, count: usize) -> Result<Vec<Seen>> {
    let mut seen = Vec::new();
    eventually(|| {
        for event in events.by_ref() {
            let (addresses, rest) = event.packet.bytes.split_at_checked(12).context("cut")?;
            if addresses == ADDRESSES {
                let ether_type = rest.first_chunk().context("cut")?;
                seen.push((u16::from_be_bytes(*ether_type), event.packet.whole as usize));
            }
        }
        ensure!(seen.len() == count, "{} of {count}", seen.len());
        Ok(())
    })?;
    seen.sort_unstable();
    Ok(seen)
}

/// The client sends tagged frames: the tags are in the packets. Where one arrives, the kernel takes
/// its first tag out and keeps it beside the packet, and so it is when a bridge sends it on.
#[test]
fn tags_beside_the_packet() -> Result<()> {
    let Some(network) = Network::build()? else {
        return Ok(());
    };
    let (client, router) = (&network.client, &network.router);
    // It would report that it listens to other switches.
    router.ip("link add bridge0 type bridge mcast_snooping 0")?;
    for interface in ["lan0", "wan0"] {
        router.ip(&format!("link set {interface} master bridge0"))?;
    }
    router.ip("link set bridge0 up")?;
    let mut views = [
        View::open("client", client, &[("eth0", Hook::Egress)])?,
        View::open("router", router, &[("lan0", Hook::Ingress)])?,
        View::open("router's other side", router, &[("wan0", Hook::Egress)])?,
        View::open("server", &network.server, &[("eth0", Hook::Ingress)])?,
    ];
    let mut events = Vec::new();
    for view in &mut views {
        events.push(view.events()?);
    }
    let wire = Frames::open(client, "eth0")?;
    let (mut sent, mut tags_inside, mut tag_beside) = (Vec::new(), Vec::new(), Vec::new());
    for pair in PAIRS {
        for tags in 0..=2 {
            let exchange = Exchange::new(pair, sent.len(), Kind::Udp, 100)?;
            let packet = &exchange.packets[0];
            let frame = frame(packet, tags);
            wire.send(&frame)?;
            let kind = |tags| if tags == 0 { ether_type(packet) } else { VLAN };
            tags_inside.push((kind(tags), frame.len()));
            let beside = tags.min(1);
            tag_beside.push((kind(tags - beside), frame.len() - 4 * beside));
            sent.push(exchange.connection(1));
        }
    }
    tags_inside.sort_unstable();
    tag_beside.sort_unstable();
    let expected = [&tags_inside, &tag_beside, &tag_beside, &tag_beside];
    for ((view, events), expected) in views.iter_mut().zip(&mut events).zip(expected) {
        view.settle_alone(sent.clone())?;
        assert_eq!(
            &seen(events, expected.len())?,
            expected,
            "at the {}",
            view.name
        );
    }
    Ok(())
}
