//! One word for a state, whichever command says it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use etherparse::{Icmpv4Type, PacketBuilder, icmpv4::DestUnreachableHeader};
use flowkeep_lab::{Frames, eventually};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::lab::{Lab, end};

const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [192, 0, 2, 2];
/// The server's port. The client's tells connections apart.
const PORT: u16 = 7;

/// From nobody's hardware address to nobody's, so that both hosts leave the frame alone.
fn frame() -> etherparse::PacketBuilderStep<etherparse::Ethernet2Header> {
    PacketBuilder::ethernet2([2, 0, 0, 0, 0, 8], [2, 0, 0, 0, 0, 9])
}

/// A TCP packet of the client or of the server, as the flags' letters say: SYN, ACK, RST, FIN.
pub(crate) fn tcp(
    by_client: bool,
    client: u16,
    flags: &str,
    sequence: u32,
    acknowledged: u32,
) -> Vec<u8> {
    let ((from, from_port), (to, to_port)) = match by_client {
        true => ((CLIENT, client), (SERVER, PORT)),
        false => ((SERVER, PORT), (CLIENT, client)),
    };
    let mut tcp = frame()
        .ipv4(from, to, 64)
        .tcp(from_port, to_port, sequence, 4096);
    for flag in flags.chars() {
        tcp = match flag {
            'S' => tcp.syn(),
            'A' => tcp.ack(acknowledged),
            'R' => tcp.rst(),
            _ => tcp.fin(),
        };
    }
    let mut bytes = Vec::new();
    tcp.write(&mut bytes, &[]).expect("memory");
    bytes
}

fn udp(by_client: bool, client: u16) -> Vec<u8> {
    let ((from, from_port), (to, to_port)) = match by_client {
        true => ((CLIENT, client), (SERVER, PORT)),
        false => ((SERVER, PORT), (CLIENT, client)),
    };
    let mut bytes = Vec::new();
    let udp = frame().ipv4(from, to, 64).udp(from_port, to_port);
    udp.write(&mut bytes, b"data").expect("memory");
    bytes
}

/// The server's host says that nobody listens to this frame.
fn unreachable(quoted: &[u8]) -> Vec<u8> {
    const ETHERNET: usize = 14;
    let kind = Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Port);
    let mut bytes = Vec::new();
    let icmp = frame().ipv4(SERVER, CLIENT, 64).icmpv4(kind);
    icmp.write(&mut bytes, &quoted[ETHERNET..]).expect("memory");
    bytes
}

/// The client's port, the state in which the connection is left, and what is sent: whether by the
/// client, and the frame.
type Exchange = (u16, &'static str, Vec<(bool, Vec<u8>)>);

/// What leaves a connection in each state.
fn exchanges() -> Vec<Exchange> {
    let (ours, theirs) = (true, false);
    // The client's sequence numbers begin at 100, the server's at 500.
    let shake = |port| {
        vec![
            (ours, tcp(ours, port, "S", 100, 0)),
            (theirs, tcp(theirs, port, "SA", 500, 101)),
        ]
    };
    let open = |port| {
        let mut packets = shake(port);
        packets.push((ours, tcp(ours, port, "A", 101, 501)));
        packets
    };
    let with = |mut packets: Vec<_>, more: Vec<_>| {
        packets.extend(more);
        packets
    };
    let question = udp(ours, 2000);
    vec![
        (
            1000,
            "unanswered",
            vec![(ours, tcp(ours, 1000, "S", 100, 0))],
        ),
        (1001, "half-open", shake(1001)),
        (1002, "answered", open(1002)),
        (
            1003,
            "closing",
            with(open(1003), vec![(ours, tcp(ours, 1003, "FA", 101, 501))]),
        ),
        (
            1004,
            "closed",
            with(
                open(1004),
                vec![
                    (ours, tcp(ours, 1004, "FA", 101, 501)),
                    (theirs, tcp(theirs, 1004, "FA", 501, 102)),
                ],
            ),
        ),
        (
            1005,
            "reset",
            with(open(1005), vec![(theirs, tcp(theirs, 1005, "R", 501, 0))]),
        ),
        (
            1006,
            "refused",
            vec![
                (ours, tcp(ours, 1006, "S", 100, 0)),
                (theirs, tcp(theirs, 1006, "RA", 0, 101)),
            ],
        ),
        // The table has no memory of errors, so the watch must not know better.
        (
            2000,
            "unanswered",
            vec![(ours, question.clone()), (theirs, unreachable(&question))],
        ),
        (
            2001,
            "answered",
            vec![(ours, udp(ours, 2001)), (theirs, udp(theirs, 2001))],
        ),
    ]
}

/// The states of connections, by the client's port.
fn states<'v>(connections: impl IntoIterator<Item = &'v Value>) -> BTreeMap<u64, String> {
    let ours = Ipv4Addr::from(CLIENT).to_string();
    let found = connections.into_iter().filter_map(|connection| {
        let is_ours = connection["originator"] == ours && connection["responder_port"] == PORT;
        let port = connection["originator_port"].as_u64()?;
        is_ours.then(|| {
            (
                port,
                connection["state"].as_str().expect("a word").to_owned(),
            )
        })
    });
    found.collect()
}

#[test]
fn a_state_is_the_same_word_everywhere() {
    let Some(lab) = Lab::new() else { return };
    for host in [&lab.here, &lab.there] {
        let set = host.set("ipv6/conf/all/disable_ipv6", "1");
        set.expect("it can be switched off");
    }
    lab.success("attach -i eth0 --timeout-syn 1h --timeout-close 1h --timeout-other 1h");
    let (watching, lines) = lab.start("watch -o ndjson");
    let [here, there] = [&lab.here, &lab.there].map(|host| Frames::open(host, "eth0"));
    let (here, there) = (here.expect("an interface"), there.expect("an interface"));
    // The watch has to have begun.
    let begun = eventually(|| {
        here.send(&udp(true, 9)).expect("it is up");
        lines.recv_timeout(Duration::from_millis(100))
    });
    begun.expect("an event");

    let mut expected = BTreeMap::from([(9, "unanswered".to_owned())]);
    for (port, state, packets) in exchanges() {
        expected.insert(u64::from(port), state.to_owned());
        for (number, (by_client, packet)) in (1..).zip(packets) {
            let side = if by_client { &here } else { &there };
            side.send(&packet).expect("it is up");
            // They cross at different processors, and have to be seen in this order.
            let seen = eventually(|| {
                let list = lab.json("list -o json --no-summary");
                let list = list["connections"].as_array().expect("a list").clone();
                let count = |connection: &Value| {
                    let count = |field: &str| connection[field].as_u64().expect("a number");
                    count("packets_sent") + count("packets_received")
                };
                let found = list.iter().find(|it| it["originator_port"] == port);
                let is_error = port == 2000 && !by_client;
                match found {
                    Some(found) if count(found) == number || is_error => Ok(()),
                    found => Err(found.cloned()),
                }
            });
            assert_eq!(seen, Ok(()), "packet {number} of port {port}");
        }
    }

    let list = lab.json("list -o json");
    let listed = list["connections"].as_array().expect("a list");
    assert_eq!(states(listed), expected, "list");

    let mut watched = BTreeMap::new();
    let all = eventually(|| {
        while let Ok(line) = lines.recv_timeout(Duration::from_millis(100)) {
            let event: Value = serde_json::from_str(&line).expect("JSON");
            watched.append(&mut states([&event["connection"]]));
        }
        watched.insert(9, "unanswered".to_owned());
        if watched == expected { Ok(()) } else { Err(()) }
    });
    assert_eq!(all, Ok(()), "watch: {watched:?}");
    watching.signal(Signal::SIGINT).expect("it runs");
    assert_eq!(end(watching), (String::new(), Some(0)));

    let mut counts = BTreeMap::<&str, u64>::new();
    for state in expected.values() {
        *counts.entry(state).or_default() += 1;
    }
    let stats = lab.json("stats -o json");
    let prometheus = lab.success("stats -o prometheus");
    for (state, count) in stats["by_state"].as_object().expect("states") {
        let expected = counts.get(state.as_str()).copied().unwrap_or(0);
        assert_eq!(count.as_u64(), Some(expected), "stats: {state}");
        let sample = format!("flowkeep_connections{{state=\"{state}\"}} {expected}\n");
        assert!(prometheus.contains(&sample), "{prometheus}");
        let summary = list["summary"]["by_protocol_and_state"].as_array();
        let summed = summary.expect("counts").iter();
        let summed = summed.filter(|cell| cell["state"] == state.as_str());
        let summed: u64 = summed.filter_map(|cell| cell["connections"].as_u64()).sum();
        assert_eq!(summed, expected, "summary: {state}");
    }
    for (state, count) in counts {
        let s = if count == 1 { "" } else { "s" };
        let said = lab.success(&format!("delete --state {state}"));
        assert_eq!(said, format!("deleted {count} connection{s}\n"), "{state}");
    }
    assert_eq!(lab.json("stats -o json")["connections"], 0);
    lab.success("detach --all");
}
