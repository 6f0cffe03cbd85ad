//! Tests of the replay.

mod fragments;
mod packets;

use std::net::SocketAddr;

use etherparse::{IpNumber, Ipv6Header};
use flowkeep_core::packet::LinkType;

use self::packets::{ACK, FIN, PSH, RST, SYN, end, fragments, tcp, time_exceeded, udp};
use super::{Options, Replay, RuleSet, Summary};
use crate::connection::{
    Change, Connection, ConnectionState, Event, EventKind, IcmpError, Timestamp, Traffic,
};

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;
/// When the captures here begin, in seconds since the Unix epoch.
const START: f64 = 1_700_000_000.0;

const CLIENT: &str = "10.0.0.1:40000";
const SERVER: &str = "192.0.2.1:443";
const CLIENT_6: &str = "[2001:db8::1]:40000";
const SERVER_6: &str = "[2001:db8:1::1]:443";

/// A frame: seconds after the start, link type, bytes on the wire, captured bytes.
type Frame = (f64, LinkType, u32, Vec<u8>);

/// The results of a replay.
struct Replayed {
    connections: Vec<Connection>,
    summary: Summary,
    events: Vec<Event>,
}

fn replay(options: Options, frames: &[Frame]) -> Replayed {
    let mut replay = Replay::new(options).expect("memory for a small table");
    let (mut events, mut connections) = (Vec::new(), Vec::new());
    for (after, link, length, data) in frames {
        let time = Timestamp(((START + after) * 1e3).round() as u64 * (SECOND / 1000));
        replay.packet(*link, time, *length, data, &mut |event| events.push(event));
    }
    let summary = replay.finish(&mut |event| events.push(event), &mut |connection| {
        connections.push(connection.clone());
    });
    Replayed {
        connections,
        summary,
        events,
    }
}

fn connections(frames: &[Frame]) -> Vec<Connection> {
    let replayed = replay(Options::default(), frames);
    assert_eq!(replayed.summary.errors, []);
    replayed.connections
}

/// An IP packet that was captured whole, without a link header.
fn at(after: f64, packet: Vec<u8>) -> Frame {
    (after, LinkType::RawIp, packet.len() as u32, packet)
}

const fn traffic(packets: u64, bytes: u64) -> Traffic {
    Traffic { packets, bytes }
}

/// The ends and the traffic of the only connection.
fn only(list: &[Connection]) -> (SocketAddr, SocketAddr, Traffic, Traffic) {
    let [connection] = list else {
        panic!("one connection: {list:?}");
    };
    let Connection {
        originator,
        responder,
        sent,
        received,
        ..
    } = connection;
    (*originator, *responder, *sent, *received)
}

#[test]
fn the_side_that_sends_first_is_the_originator() {
    for (one, other, header) in [(CLIENT, SERVER, 20), (SERVER_6, CLIENT_6, 40)] {
        let list = connections(&[
            at(0.0, udp(one, other, 10)),
            at(0.1, udp(other, one, 100)),
            at(0.2, udp(other, one, 200)),
        ]);
        let sent = traffic(1, header + 8 + 10);
        let received = traffic(2, 2 * (header + 8) + 300);
        assert_eq!(only(&list), (end(one), end(other), sent, received));
        assert_eq!(list[0].state, ConnectionState::Answered);
    }
}

#[test]
fn a_syn_ack_answers_a_syn_that_was_not_captured() {
    let list = connections(&[
        at(0.0, tcp(SERVER, CLIENT, SYN | ACK, 0)),
        at(0.1, tcp(CLIENT, SERVER, ACK, 0)),
    ]);
    let each = traffic(1, 40);
    assert_eq!(only(&list), (end(CLIENT), end(SERVER), each, each));
    assert_eq!(list[0].originator_flags, ACK);
    assert_eq!(list[0].responder_flags, SYN | ACK);
}

#[test]
fn the_flags_of_the_first_packet_are_kept() {
    let list = connections(&[at(0.0, tcp(CLIENT, SERVER, PSH | ACK, 5))]);
    assert_eq!(list[0].originator_flags, PSH | ACK);
    assert_eq!(list[0].responder_flags, 0);
}

/// A connection from handshake to close, in half a second.
fn whole(after: f64) -> Vec<Frame> {
    vec![
        at(after, tcp(CLIENT, SERVER, SYN, 0)),
        at(after + 0.1, tcp(SERVER, CLIENT, SYN | ACK, 0)),
        at(after + 0.2, tcp(CLIENT, SERVER, ACK, 0)),
        at(after + 0.3, tcp(CLIENT, SERVER, FIN | ACK, 0)),
        at(after + 0.4, tcp(SERVER, CLIENT, FIN | ACK, 0)),
        at(after + 0.5, tcp(CLIENT, SERVER, ACK, 0)),
    ]
}

#[test]
fn a_reused_port_is_another_connection() {
    let mut frames = whole(0.0);
    frames.extend(whole(1.0));
    let list = connections(&frames);
    assert_eq!(list.len(), 2);
    for connection in &list {
        assert_eq!(connection.sent, traffic(4, 160));
        assert_eq!(connection.received, traffic(2, 80));
        assert_eq!(connection.state, ConnectionState::Closed);
    }
    assert_eq!(list[1].start.since(list[0].start), SECOND);
}

#[test]
fn packet_time_ends_a_connection() {
    let ping = |after| at(after, udp(CLIENT, SERVER, 0));
    assert_eq!(connections(&[ping(0.0), ping(60.0)]).len(), 1);
    let list = connections(&[ping(0.0), ping(61.0)]);
    assert_eq!(list.len(), 2);
    assert!(list[0].expired && !list[1].expired);
    assert_eq!(list[0].sent, traffic(1, 28));
}

#[test]
fn a_lone_reset_is_a_closed_connection() {
    let reset = |after| at(after, tcp(CLIENT, SERVER, RST, 0));
    let frames = [reset(0.0), reset(60.0)];
    let list = connections(&frames);
    assert_eq!(list.len(), 2);
    assert_eq!(list[0].originator_flags, RST);
    assert_eq!(list[0].sent, traffic(1, 40));
    // Repeated at once it is the same one.
    assert_eq!(connections(&[reset(0.0), reset(0.1)]).len(), 1);
    // Cilium's rules treat it as a SYN.
    let rules = RuleSet::Cilium119;
    let replayed = replay(
        Options {
            rules,
            ..Options::default()
        },
        &frames,
    );
    assert_eq!(replayed.connections.len(), 1);
}

#[test]
fn fragments_belong_together_in_any_order() {
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for (from, to, header) in [(CLIENT, SERVER, 20), (CLIENT_6, SERVER_6, 48)] {
        let pieces = fragments(from, to);
        for order in orders {
            let frames = order.map(|number| at(number as f64 / 10.0, pieces[number].clone()));
            let list = connections(&frames);
            let sent = traffic(3, 1_500 + 3 * header);
            assert_eq!(
                only(&list),
                (end(from), end(to), sent, traffic(0, 0)),
                "{order:?}"
            );
        }
    }
}

#[test]
fn fragments_without_their_first_are_counted() {
    for (from, to) in [(CLIENT, SERVER), (CLIENT_6, SERVER_6)] {
        let pieces = fragments(from, to);
        let frames: Vec<Frame> = (1..3)
            .map(|number| at(0.0, pieces[number].clone()))
            .collect();
        let replayed = replay(Options::default(), &frames);
        assert_eq!(replayed.connections, []);
        assert_eq!(replayed.summary.errors, [("fragment without its first", 2)]);
    }
}

#[test]
fn an_icmp_error_belongs_to_the_connection_that_it_quotes() {
    let packet = udp(CLIENT, SERVER, 100);
    let router = [198, 51, 100, 7];
    let list = connections(&[
        at(0.0, packet.clone()),
        at(0.5, time_exceeded(router, &packet)),
    ]);
    let nothing = traffic(0, 0);
    let sent = traffic(1, 128);
    assert_eq!(only(&list), (end(CLIENT), end(SERVER), sent, nothing));
    assert_eq!(list[0].state, ConnectionState::Refused);
    let time = Timestamp(list[0].start.0 + SECOND / 2);
    let sender = router.into();
    let (icmp_type, code) = (11, 0);
    let error = IcmpError {
        time,
        sender,
        icmp_type,
        code,
    };
    assert_eq!(list[0].icmp_errors, [error]);
}

#[test]
fn an_icmp_error_about_an_unknown_connection_is_counted() {
    let other = udp(CLIENT, "192.0.2.1:444", 100);
    let frames = [
        at(0.0, udp(CLIENT, SERVER, 100)),
        at(0.5, time_exceeded([198, 51, 100, 7], &other)),
    ];
    let replayed = replay(Options::default(), &frames);
    assert_eq!(replayed.connections.len(), 1);
    assert_eq!(replayed.connections[0].icmp_errors, []);
    let error = ("ICMP error about no known connection", 1);
    assert_eq!(replayed.summary.errors, [error]);
}

#[test]
fn a_length_of_0_means_the_rest_of_the_frame() {
    // IPv4 before segmentation by the network card.
    let mut packet = tcp(CLIENT, SERVER, ACK, 100);
    packet[2..4].fill(0);
    let list = connections(&[(0.0, LinkType::RawIp, 30_000, packet)]);
    assert_eq!(list[0].sent, traffic(1, 30_000));
    // IPv6 that is longer than its header could say, cut when it was captured.
    let mut packet = tcp(CLIENT_6, SERVER_6, ACK, 100);
    packet[4..6].fill(0);
    let list = connections(&[(0.0, LinkType::RawIp, 100_000, packet)]);
    assert_eq!(list[0].sent, traffic(1, 100_000));
}

/// An IP packet in an Ethernet frame with this type, padded to the shortest frame.
fn ethernet(ethertype: u16, tag: &[u8], packet: &[u8]) -> Frame {
    let mut frame = vec![2; 12];
    frame.extend(ethertype.to_be_bytes());
    frame.extend(tag);
    frame.extend(packet);
    frame.resize(frame.len().max(60), 0);
    (0.0, LinkType::Ethernet, frame.len() as u32, frame)
}

#[test]
fn padding_is_not_counted() {
    let list = connections(&[ethernet(0x0800, &[], &udp(CLIENT, SERVER, 1))]);
    assert_eq!(list[0].sent, traffic(1, 29));
    // No transport, no payload: nothing but the IPv6 header, and six bytes behind it.
    let header = Ipv6Header {
        next_header: IpNumber(99),
        ..Ipv6Header::default()
    };
    let list = connections(&[ethernet(0x86dd, &[], &header.to_bytes())]);
    assert_eq!(list[0].sent, traffic(1, 40));
}

#[test]
fn security_group_tags_are_skipped() {
    // Version, length, the tag, and the type of what follows.
    let tag = [1, 1, 0, 1, 0, 9, 0x08, 0x00];
    let list = connections(&[ethernet(0x8909, &tag, &udp(CLIENT, SERVER, 50))]);
    let sent = traffic(1, 78);
    let nothing = traffic(0, 0);
    assert_eq!(only(&list), (end(CLIENT), end(SERVER), sent, nothing));
}

#[test]
fn a_point_of_view_changes_no_connection() {
    let mut frames = whole(0.0);
    frames.push(at(0.6, udp(SERVER, CLIENT, 1)));
    frames.push(at(0.7, udp(CLIENT, SERVER, 2)));
    frames.push(at(0.8, tcp("192.0.2.9:80", "10.0.0.9:5000", SYN | ACK, 0)));
    let packet = udp("10.0.0.2:7", "192.0.2.2:7", 9);
    frames.push(at(0.9, packet.clone()));
    frames.push(at(1.0, time_exceeded([198, 51, 100, 7], &packet)));
    let passing = connections(&frames);
    assert_eq!(passing.len(), 4);
    for local in ["10.0.0.0/8", "192.0.2.0/24", "203.0.113.0/24"] {
        let local = vec![local.parse().expect("a prefix")];
        let replayed = replay(
            Options {
                local,
                ..Options::default()
            },
            &frames,
        );
        assert_eq!(replayed.connections, passing);
    }
}

#[test]
fn events_come_in_the_order_of_time() {
    let mut frames = whole(0.0);
    let packet = udp("10.0.0.2:7", "192.0.2.2:7", 9);
    frames.push(at(0.6, packet.clone()));
    frames.push(at(0.7, time_exceeded([198, 51, 100, 7], &packet)));
    // The first one has been closed for long enough by then.
    frames.push(at(20.0, tcp("10.0.0.3:1", SERVER, SYN, 0)));
    let options = Options {
        events: true,
        ..Options::default()
    };
    let replayed = replay(options, &frames);
    let kinds: Vec<(EventKind, u8, u8)> = replayed
        .events
        .iter()
        .map(|event| (event.kind, event.connection.protocol, event.tcp_flags))
        .collect();
    assert_eq!(
        kinds,
        [
            (EventKind::Changed(Change::New), 6, SYN),
            (EventKind::Changed(Change::Reply), 6, SYN | ACK),
            (EventKind::Changed(Change::Report), 6, ACK),
            (EventKind::Changed(Change::Closing), 6, FIN | ACK),
            (EventKind::Changed(Change::Closing), 6, FIN | ACK),
            // The last ACK is nothing new.
            (EventKind::Changed(Change::New), 17, 0),
            (EventKind::Changed(Change::Related), 17, 0),
            (EventKind::Expired, 6, 0),
            (EventKind::Changed(Change::New), 6, SYN),
        ]
    );
    assert!(replayed.events.is_sorted_by_key(|event| event.time));
    // An event has its connection just after it.
    let sent: Vec<u64> = (replayed.events.iter())
        .map(|event| event.connection.sent.packets)
        .collect();
    assert_eq!(sent, [1, 1, 2, 3, 3, 1, 1, 4, 1]);
    // A second after its lifetime, which the second FIN cut to 10 s.
    let expired = replayed.events[7].time.since(replayed.events[0].time);
    assert_eq!(expired, 11 * SECOND);
    // Events change no connection.
    assert_eq!(replayed.connections, connections(&frames));
}

#[test]
fn a_syn_on_a_closed_connection_is_reported_as_reopened() {
    let mut frames = whole(0.0);
    frames.extend(whole(1.0));
    let options = Options {
        events: true,
        ..Options::default()
    };
    let replayed = replay(options, &frames);
    let reopened: Vec<usize> = (0..replayed.events.len())
        .filter(|&number| replayed.events[number].kind == EventKind::Changed(Change::Reopened))
        .collect();
    assert_eq!(reopened, [5]);
    assert_eq!(replayed.events[5].connection.sent, traffic(1, 40));
}

#[test]
fn the_table_grows_with_the_connections() {
    const CONNECTIONS: u32 = 20_000;
    let mut frames = Vec::new();
    for reply in [false, true] {
        for number in 0..CONNECTIONS {
            let client = format!("10.1.{}.{}:4000", number / 250, number % 250);
            let packet = if reply {
                udp(SERVER, &client, 0)
            } else {
                udp(&client, SERVER, 0)
            };
            let after = f64::from(number) / f64::from(CONNECTIONS);
            frames.push(at(after + if reply { 1.0 } else { 0.0 }, packet));
        }
    }
    let options = Options {
        connections: 1,
        ..Options::default()
    };
    let replayed = replay(options, &frames);
    assert_eq!(replayed.summary.errors, []);
    assert_eq!(replayed.summary.connections, u64::from(CONNECTIONS));
    assert_eq!(replayed.connections.len(), CONNECTIONS as usize);
    let each = traffic(1, 28);
    for connection in &replayed.connections {
        assert_eq!((connection.sent, connection.received), (each, each));
        assert_eq!(connection.responder, end(SERVER));
    }
    let starts = replayed
        .connections
        .iter()
        .map(|connection| connection.start);
    assert!(starts.is_sorted());
}

#[test]
fn under_ciliums_rules_an_expired_connection_continues() {
    let frames = [
        at(0.0, udp(CLIENT, SERVER, 0)),
        at(0.1, udp(SERVER, CLIENT, 0)),
        at(100.0, udp(CLIENT, SERVER, 0)),
    ];
    for (rules, count) in [
        (RuleSet::Cilium18, 1),
        (RuleSet::Cilium119, 1),
        (RuleSet::Default, 2),
    ] {
        let options = Options {
            rules,
            ..Options::default()
        };
        let replayed = replay(options, &frames);
        assert_eq!(replayed.connections.len(), count, "{rules:?}");
        assert_eq!(replayed.connections[0].originator, end(CLIENT));
        assert_eq!(replayed.connections[0].state, ConnectionState::Answered);
        let packets = replayed.connections.iter().map(|one| one.sent.packets);
        assert_eq!(packets.sum::<u64>(), 2);
    }
}
