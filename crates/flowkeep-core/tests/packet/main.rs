//! The parser against another one, and against packets that somebody has damaged.

mod frames;
mod measure;
#[path = "../common/stated.rs"]
#[allow(unreachable_pub, reason = "test crates share it")]
mod stated;
#[path = "../common/tunnels.rs"]
#[allow(unreachable_pub, reason = "test crates share it")]
mod tunnels;

use bolero::{TypeGenerator, check};
use etherparse::{Ipv6ExtensionSlice, NetSlice, SlicedPacket, TransportSlice};
use flowkeep_core::Error;
use flowkeep_core::packet::{LinkType, NoFragments, Packet, link, parse, protocol};
use flowkeep_core::rules::Default as Flowkeep;
use flowkeep_core::settings::Settings;
use flowkeep_core::tuple::{Address, Flags, Tuple};

use frames::{Frame, Link};

/// Frames that are tried.
const FRAMES: usize = if cfg!(miri) {
    20
} else if cfg!(debug_assertions) {
    5_000
} else {
    100_000
};

const fn link_type(link: Link) -> LinkType {
    match link {
        Link::None => LinkType::RawIp,
        Link::Cooked => LinkType::LinuxSll,
        Link::Ethernet | Link::Vlan | Link::QinQ => LinkType::Ethernet,
    }
}

/// The authentication header's protocol number (RFC 4302).
const AUTHENTICATION: u8 = 51;

fn ours(bytes: &[u8], link: Link) -> Result<Packet, Error> {
    let settings = Settings::default();
    parse::<Flowkeep, [u8]>(bytes, link_type(link), &settings, &mut NoFragments)
}

/// The other parser's view of a whole packet with a transport header that both know: its tuple,
/// and its TCP flags. Where it steps over an authentication header, that is the protocol to us.
fn theirs(bytes: &[u8], link: Link) -> Option<(Tuple, u8)> {
    let sliced = match link {
        Link::None => SlicedPacket::from_ip(bytes),
        Link::Cooked => SlicedPacket::from_linux_sll(bytes),
        Link::Ethernet | Link::Vlan | Link::QinQ => SlicedPacket::from_ethernet(bytes),
    }
    .ok()?;
    let transport = sliced.transport?;
    let (destination, source, flags, is_authenticated) = match sliced.net? {
        NetSlice::Ipv4(ipv4) => (
            Address::from_v4(ipv4.header().destination()),
            Address::from_v4(ipv4.header().source()),
            Flags::OUT,
            ipv4.extensions().auth.is_some(),
        ),
        NetSlice::Ipv6(ipv6) => (
            Address::from_octets(ipv6.header().destination()),
            Address::from_octets(ipv6.header().source()),
            Flags::IPV6,
            (ipv6.extensions().clone().into_iter())
                .any(|header| matches!(header, Ipv6ExtensionSlice::Authentication(_))),
        ),
        NetSlice::Arp(_) => return None,
    };
    let tuple = |destination_port, source_port, protocol| {
        Tuple::new(
            destination,
            source,
            destination_port,
            source_port,
            protocol,
            flags,
        )
    };
    if is_authenticated {
        return Some((tuple(0, 0, AUTHENTICATION), 0));
    }
    match transport {
        // Ports crossed.
        TransportSlice::Udp(udp) => Some((
            tuple(udp.source_port(), udp.destination_port(), protocol::UDP),
            0,
        )),
        TransportSlice::Tcp(tcp) => {
            let tuple = tuple(tcp.source_port(), tcp.destination_port(), protocol::TCP);
            let all = [
                tcp.fin(),
                tcp.syn(),
                tcp.rst(),
                tcp.psh(),
                tcp.ack(),
                tcp.urg(),
                tcp.ece(),
                tcp.cwr(),
            ];
            let bits = all
                .iter()
                .rev()
                .fold(0, |bits, &flag| bits << 1 | u8::from(flag));
            Some((tuple, bits))
        }
        TransportSlice::Icmpv4(icmp) => match icmp.icmp_type() {
            etherparse::Icmpv4Type::EchoRequest(echo) => {
                Some((tuple(echo.id, 0, protocol::ICMP), 0))
            }
            etherparse::Icmpv4Type::EchoReply(echo) => Some((tuple(0, echo.id, protocol::ICMP), 0)),
            _ => None,
        },
        TransportSlice::Icmpv6(icmp) => match icmp.icmp_type() {
            etherparse::Icmpv6Type::EchoRequest(echo) => {
                Some((tuple(echo.id, 0, protocol::ICMPV6), 0))
            }
            etherparse::Icmpv6Type::EchoReply(echo) => {
                Some((tuple(0, echo.id, protocol::ICMPV6), 0))
            }
            _ => None,
        },
        _ => None,
    }
}

#[test]
fn well_formed_frames_are_read_as_another_parser_reads_them() {
    check!()
        .with_iterations(FRAMES)
        .with_type::<Frame>()
        .for_each(|frame| {
            let (bytes, link) = (frame.bytes(), frame.link);
            let packet = ours(&bytes, link).expect("it is well formed");
            let expected = theirs(&bytes, link).expect("it is well formed");
            assert_eq!((packet.tuple, packet.tcp_flags), expected);
            assert_eq!(packet.layout.length as usize, frame.ip_length());
            assert!(!packet.later_fragment && packet.quote.is_none());
        });
}

/// A damage to a frame.
#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Damage {
    Flip { at: u8, bits: u8 },
    Set { at: u8, value: u8 },
    Cut { at: u8 },
}

impl Damage {
    fn apply(self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        match self {
            Self::Flip { at, bits } => {
                if let Some(byte) = bytes.get_mut(usize::from(at)) {
                    *byte ^= bits;
                }
            }
            Self::Set { at, value } => {
                if let Some(byte) = bytes.get_mut(usize::from(at)) {
                    *byte = value;
                }
            }
            Self::Cut { at } => bytes.truncate(usize::from(at) % length.max(1)),
        }
    }
}

#[test]
fn damaged_frames_are_never_read_otherwise_than_another_parser_reads_them() {
    check!()
        .with_iterations(FRAMES)
        .with_type::<(Frame, [Damage; 2])>()
        .for_each(|(frame, damages)| {
            let mut bytes = frame.bytes();
            for damage in damages {
                damage.apply(&mut bytes);
            }
            // Either may refuse what the other takes: they check different things.
            if let (Ok(packet), Some(expected)) =
                (ours(&bytes, frame.link), theirs(&bytes, frame.link))
            {
                assert_eq!((packet.tuple, packet.tcp_flags), expected, "{bytes:02x?}");
            }
        });
}

#[test]
fn what_follows_a_packet_in_its_frame_is_not_read() {
    check!()
        .with_iterations(FRAMES)
        .with_type::<(Frame, [Damage; 2], [u8; 24])>()
        .for_each(|(frame, damages, padding)| {
            let mut bytes = frame.bytes();
            let whole = ours(&[&bytes[..], padding].concat(), frame.link);
            assert_eq!(whole, ours(&bytes, frame.link), "{bytes:02x?}");
            for damage in damages {
                damage.apply(&mut bytes);
            }
            let Ok(found) = link(&bytes[..], link_type(frame.link)) else {
                return;
            };
            let Some(end) = stated::end(&bytes, found.network, found.family) else {
                return;
            };
            let alone = ours(&bytes[..end], frame.link);
            assert_eq!(ours(&bytes, frame.link), alone, "{bytes:02x?}");
            let padded = [&bytes[..end], padding].concat();
            assert_eq!(ours(&padded, frame.link), alone, "{padded:02x?}");
        });
}
