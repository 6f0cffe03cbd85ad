//! Tests of the comparison.

use super::compare::{Comparison, Kind, compare};
use super::record::{Bytes, Counts, ICMP, Record, Records};
use super::{arkime, explained, ndpi, zeek};

const ZEEK: &str = "\
### A note of the test framework.
#separator \\x09
#fields\tts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents\tip_proto
#types\ttime\taddr\tport\taddr\tport\tenum\tcount\tcount\tcount\tcount\tset[string]\tcount
X\t192.0.2.1\t1000\t192.0.2.2\t80\ttcp\t3\t160\t2\t90\t-\t6
X\t2001:db8::1\t128\t2001:db8::2\t129\ticmp\t-\t-\t0\t0\tCHhAvVGS1DHFjwGM9\t58
#close X
";

fn shown(records: &Records) -> Vec<String> {
    records.rows.iter().map(ToString::to_string).collect()
}

#[test]
fn zeek_rows_are_read_by_their_header() {
    let records = zeek::read(ZEEK).expect("a conn.log");
    assert_eq!(
        shown(&records),
        [
            "tcp 192.0.2.1 1000 > 192.0.2.2 80 sent 3/160 received 2/90",
            "icmpv6 2001:db8::1 128 > 2001:db8::2 129 sent ?/? received 0/0",
        ]
    );
    let tunnelled: Vec<bool> = records.rows.iter().map(|row| row.tunnelled).collect();
    assert_eq!(tunnelled, [false, true]);
    assert_eq!(records.bytes, Bytes::Packets);
}

#[test]
fn zeek_rows_may_be_cut_to_some_columns() {
    let text = "### A note.\nts\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\thistory\torig_pkts\n\
                X\t192.0.2.1\t1000\t192.0.2.2\t80\tSh\t8\n";
    let records = zeek::read(text).expect("some columns of a conn.log");
    assert_eq!(
        shown(&records),
        ["? 192.0.2.1 1000 > 192.0.2.2 80 sent 8/? received ?/?"]
    );
    let comparison = compare(vec![ours(8, 320)], &records);
    assert_eq!((comparison.equal, comparison.differences.len()), (1, 0));
    assert!(zeek::read("### A note.\n").is_err());
    assert!(zeek::read(&text.replace("1000", "http")).is_err());
}

#[test]
fn ndpi_flows_are_read_both_ways_and_one_way() {
    let text = "Unknown\t24\t6428\t14\n\n\
        \t1\tTCP 192.0.2.1:1000 <-> 192.0.2.2:80 [proto: 7/HTTP][7 pkts/485 bytes <-> 3 pkts/180 \
        bytes][URL: a -> b]\n\
        \t2\tUDP [2001:db8::1]:5353 -> [ff02::fb]:5353 [proto: 8/MDNS][1 pkts/82 bytes -> 0 pkts/0 \
        bytes]\n\
        \t3\tICMP 192.0.2.1:0 -> 192.0.2.2:0 [proto: 81/ICMP][2 pkts/196 bytes -> 0 pkts/0 bytes]\n\
        \t4\t19 192.0.2.1:0 -> 192.0.2.2:0 [proto: 0/Unknown][1 pkts/86 bytes -> 0 pkts/0 bytes]\n";
    let records = ndpi::read(text).expect("a list of flows");
    assert_eq!(
        shown(&records),
        [
            "tcp 192.0.2.1 1000 > 192.0.2.2 80 sent 7/485 received 3/180",
            "udp 2001:db8::1 5353 > ff02::fb 5353 sent 1/82 received 0/0",
            "icmp 192.0.2.1 0 > 192.0.2.2 0 sent 2/196 received 0/0",
            "19 192.0.2.1 0 > 192.0.2.2 0 sent 1/86 received 0/0",
        ]
    );
}

#[test]
fn arkime_sessions_without_addresses_or_packets_are_no_connections() {
    let text = r#"[
        {"ipProtocol": 17,
         "source": {"ip": "192.0.2.1", "port": 1000, "packets": 1, "bytes": 70},
         "destination": {"ip": "192.0.2.2", "port": 53, "packets": 1, "bytes": 90}},
        {"ipProtocol": 6,
         "source": {"ip": "192.0.2.1", "port": 1000, "packets": 0, "bytes": 0},
         "destination": {"ip": "192.0.2.2", "port": 80, "packets": 0, "bytes": 0}},
        {"ipProtocol": 0,
         "source": {"packets": 2, "bytes": 84}, "destination": {"packets": 0, "bytes": 0}}
    ]"#;
    let records = arkime::read(text).expect("a list of sessions");
    assert_eq!(
        shown(&records),
        ["udp 192.0.2.1 1000 > 192.0.2.2 53 sent 1/70 received 1/90"]
    );
}

/// A TCP connection of ours that nobody answered.
fn ours(packets: u64, bytes: u64) -> Record {
    let end = |address: &str, port| (address.parse().expect("an address"), port);
    let mut record = Record::new(Some(6), end("192.0.2.1", 1000), end("192.0.2.2", 80));
    record.sent = Counts::new(packets, bytes);
    record.received = Counts::new(0, 0);
    record
}

/// What comes of ours and theirs.
fn compared(ours: &[Record], theirs: &[Record], bytes: Bytes) -> (usize, Vec<Kind>) {
    let theirs = Records {
        rows: theirs.to_vec(),
        bytes,
        portless: &[ICMP],
    };
    let Comparison {
        equal, differences, ..
    } = compare(ours.to_vec(), &theirs);
    let kinds = differences.iter().map(|difference| difference.kind);
    (equal, kinds.collect())
}

#[test]
fn every_kind_of_difference_is_told() {
    let connection = ours(3, 120);
    let one = |theirs| compared(std::slice::from_ref(&connection), &[theirs], Bytes::Packets);
    assert_eq!(one(ours(3, 120)), (1, vec![]));
    assert_eq!(one(ours(4, 120)), (0, vec![Kind::Packets]));
    assert_eq!(one(ours(3, 121)), (0, vec![Kind::Bytes]));
    assert_eq!(one(ours(3, 120).reversed()), (0, vec![Kind::Originator]));
    assert_eq!(one(ours(2, 120).reversed()), (0, vec![Kind::Packets]));
    let mut elsewhere = ours(3, 120);
    elsewhere.responder.1 = 81;
    let both = vec![Kind::OnlyTheirs, Kind::OnlyOurs];
    assert_eq!(one(elsewhere.clone()), (0, both));
    elsewhere.tunnelled = true;
    assert_eq!(one(elsewhere), (0, vec![Kind::Tunnelled, Kind::OnlyOurs]));
}

#[test]
fn of_several_connections_the_equal_ones_belong_together() {
    let list = [ours(1, 40), ours(2, 80), ours(3, 120)];
    let theirs = [ours(3, 120), ours(9, 360), ours(1, 40)];
    let (equal, kinds) = compared(&list, &theirs, Bytes::Packets);
    assert_eq!((equal, kinds), (2, vec![Kind::Packets]));
    let theirs = [ours(2, 80), ours(2, 80).reversed()];
    let (equal, kinds) = compared(&list, &theirs, Bytes::Packets);
    assert_eq!((equal, kinds), (1, vec![Kind::Packets, Kind::OnlyOurs]));
    let theirs = [ours(9, 360), ours(2, 80).reversed(), ours(1, 40)];
    let (equal, kinds) = compared(&list, &theirs, Bytes::Packets);
    assert_eq!((equal, kinds), (1, vec![Kind::Originator, Kind::Packets]));
}

#[test]
fn ports_that_a_record_does_not_tell_do_not_matter() {
    let icmp = |port| {
        let mut record = ours(3, 252);
        (record.protocol, record.originator.1) = (Some(ICMP), port);
        record
    };
    let both = compared(&[icmp(77)], &[icmp(8)], Bytes::Packets);
    assert_eq!(both, (1, vec![]));
}

#[test]
fn frames_have_a_header_and_may_have_padding() {
    let frames =
        |theirs| compared(&[ours(2, 80)], &[ours(2, theirs)], Bytes::Frames) == (1, vec![]);
    // Two packets of 40 bytes: 54 bytes each with the header, 60 with padding.
    assert!(frames(108));
    assert!(frames(120));
    assert!(!frames(107));
    assert!(!frames(80));
    // No packet is shorter than 20 bytes, so no frame has more than 26 of padding.
    assert!(frames(108 + 52));
    assert!(!frames(108 + 53));
}

#[test]
fn what_is_not_explained_is_told() {
    let list = explained::read().expect("the list is well-formed");
    let row = list.first().expect("there are differences");
    assert_eq!(row.kind, Kind::OnlyOurs.name());
    let told = explained::unexplained("no such capture", &[], &list);
    assert_eq!(told, []);
    // Nothing was found where something is explained.
    let told = explained::unexplained(&row.capture, &[], &list);
    assert!(told.iter().any(|&(kind, found, explained)| {
        kind == Kind::OnlyOurs && found == 0 && explained >= row.count
    }));
    // One was found where nothing is.
    let differs = compare(vec![ours(1, 40)], &zeek::read(ZEEK).expect("a conn.log"));
    let told = explained::unexplained("no such capture", &differs.differences, &list);
    assert_eq!(told, [(Kind::Tunnelled, 1, 0), (Kind::Packets, 1, 0)]);
}

#[test]
fn the_document_has_a_row_for_each_explanation() {
    let document = include_str!("../../../docs/agreement.md");
    for row in explained::read().expect("the list is well-formed") {
        let line = format!(
            "| {} | {} | {} | {} |",
            row.capture, row.kind, row.count, row.reason
        );
        assert!(document.contains(&line), "docs/agreement.md lacks: {line}");
    }
}
