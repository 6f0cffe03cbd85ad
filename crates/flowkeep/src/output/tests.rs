//! Tests of every format.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::connection::{Change, ConnectionState, EventKind, IcmpError, Timestamp, Traffic};
use crate::sample::sample;

/// Output that can be read after its writer was dropped.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no other thread").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A ping that a router answered, twice, and that began before [`sample`].
fn ping() -> Connection {
    let error = IcmpError {
        time: Timestamp(1_500_000_000_000_000_000),
        sender: [203, 0, 113, 9].into(),
        icmp_type: 11,
        code: 0,
    };
    Connection {
        protocol: 1,
        originator: ([192, 0, 2, 1], 77).into(),
        responder: ([198, 51, 100, 3], 0).into(),
        state: ConnectionState::Refused,
        expired: true,
        received: Traffic::default(),
        start: Timestamp(1_500_000_000_000_000_000),
        end: Timestamp(1_500_000_000_000_000_000),
        icmp_errors: vec![error, error],
        ..sample()
    }
}

fn summary() -> Summary {
    Summary {
        packets: 1_234_567,
        bytes: 5_000_000,
        first: Some(Timestamp(1_500_000_000_000_000_000)),
        last: Some(Timestamp(1_500_000_090_000_000_000)),
        connections: 1_002,
        by_protocol_and_state: [
            ((1, ConnectionState::Refused), 2),
            ((6, ConnectionState::Answered), 1_000),
        ]
        .into(),
        errors: vec![("truncated header", 3)],
    }
}

type Make = fn(Shared, Content) -> Box<dyn Output>;

fn table(out: Shared, content: Content) -> Box<dyn Output> {
    Box::new(Table::new(out, content, false, true))
}

fn json(out: Shared, content: Content) -> Box<dyn Output> {
    Box::new(Json::new(out, content))
}

fn ndjson(out: Shared, content: Content) -> Box<dyn Output> {
    Box::new(Ndjson::new(out, content))
}

fn csv(out: Shared, content: Content) -> Box<dyn Output> {
    Box::new(Csv::new(out, content).expect("memory"))
}

/// The output of a format for some connections or events and a summary.
fn written(make: Make, content: Content, connections: &[Connection], summarize: bool) -> String {
    let out = Shared::default();
    let mut output = make(out.clone(), content);
    for connection in connections {
        match content {
            Content::Events => output.event(&Event {
                time: connection.end,
                kind: if connection.icmp_errors.is_empty() {
                    EventKind::Changed(Change::Reply)
                } else {
                    EventKind::Changed(Change::Related)
                },
                tcp_flags: if connection.protocol == 6 { 0x12 } else { 0 },
                connection: connection.clone(),
            }),
            _ => output.connection(connection),
        }
        .expect("memory");
    }
    let summary = summary();
    let ending = Ending {
        summary: &summary,
        shown: connections.len() as u64,
        elapsed: Some(Duration::from_millis(500)),
    };
    output.finish(summarize.then_some(&ending)).expect("memory");
    let bytes = out.0.lock().expect("no other thread").clone();
    String::from_utf8(bytes).expect("text")
}

#[test]
fn table_is_sorted_and_aligned() {
    assert_eq!(
        written(table, Content::Connections, &[sample(), ping()], true),
        "\
PROTO  ORIGINATOR       RESPONDER         STATE     PKTS SENT   SENT  PKTS RCVD  RECEIVED  START (UTC)                 DURATION
icmp   192.0.2.1 id 77  198.51.100.3      refused           3  400 B          0       0 B  2017-07-14 02:40:00.000000       0 s
  icmp: time to live exceeded from 203.0.113.9 (x2)
tcp    192.0.2.1:40000  198.51.100.2:443  answered          3  400 B          2   2.0 KiB  2020-09-13 12:26:40.000000    1.25 s

packets     1,234,567, 4.8 MiB
time (UTC)  2017-07-14 02:40:00.000000 to 2017-07-14 02:41:30.000000 (1 min 30 s)
connections 1,002, 2 shown
replayed in 500.0 ms, 2,469,134 packets/s

PROTO  UNANSWERED  HALF-OPEN  ANSWERED  CLOSING  CLOSED  RESET  REFUSED
icmp            -          -         -        -       -      -        2
tcp             -          -     1,000        -       -      -        -

PACKETS  NOT TRACKED
      3  truncated header
"
    );
}

#[test]
fn table_can_keep_the_order_and_have_colors() {
    let make: Make = |out, content| Box::new(Table::new(out, content, true, false));
    let text = written(make, Content::Connections, &[sample(), ping()], false);
    let first = text.find("\u{1b}[32manswered\u{1b}[0m").expect("green");
    let second = text.find("\u{1b}[31mrefused\u{1b}[0m").expect("red");
    assert!(first < second);
    assert!(text.starts_with("\u{1b}[1mPROTO\u{1b}[0m  "), "{text}");
}

#[test]
fn events_for_people() {
    assert_eq!(
        written(table, Content::Events, &[sample(), ping()], false),
        "\
2020-09-13 12:26:41.250000 reply    tcp    192.0.2.1:40000 > 198.51.100.2:443 answered [S.] sent 3/400 B received 2/2.0 KiB
2017-07-14 02:40:00.000000 related  icmp   192.0.2.1 id 77 > 198.51.100.3 refused icmp: time to live exceeded from 203.0.113.9
"
    );
}

#[test]
fn json_is_one_object() {
    let text = written(json, Content::Connections, &[sample(), ping()], true);
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        value["connections"][0],
        serde_json::json!({
            "protocol": "tcp",
            "originator": "192.0.2.1",
            "originator_port": 40000,
            "responder": "198.51.100.2",
            "responder_port": 443,
            "state": "answered",
            "expired": false,
            "packets_sent": 3,
            "bytes_sent": 400,
            "packets_received": 2,
            "bytes_received": 2048,
            "icmp_errors": [],
            "start": "2020-09-13T12:26:40.000000001Z",
            "end": "2020-09-13T12:26:41.250000001Z",
            "duration": 1.25,
            "originator_flags": ["syn", "psh", "ack"],
            "responder_flags": ["syn", "ack"],
        })
    );
    assert_eq!(
        value["connections"][1]["icmp_errors"][1],
        serde_json::json!({
            "time": "2017-07-14T02:40:00.000000000Z",
            "sender": "203.0.113.9",
            "type": 11,
            "code": 0,
            "name": "time to live exceeded",
        })
    );
    assert_eq!(value["connections"][1].get("originator_flags"), None);
    assert_eq!(
        value["summary"],
        serde_json::json!({
            "packets": 1_234_567,
            "bytes": 5_000_000,
            "first": "2017-07-14T02:40:00.000000000Z",
            "last": "2017-07-14T02:41:30.000000000Z",
            "connections": 1_002,
            "by_protocol_and_state": [
                { "protocol": "icmp", "state": "refused", "connections": 2 },
                { "protocol": "tcp", "state": "answered", "connections": 1_000 },
            ],
            "errors": { "truncated header": 3 },
            "shown": 2,
            "elapsed": 0.5,
            "packets_per_second": 2_469_134.0,
        })
    );
}

#[test]
fn json_is_valid_whatever_its_parts() {
    let parts = [Content::Connections, Content::Events, Content::Summary];
    for content in parts {
        let connections = match content {
            Content::Summary => 0..=0,
            _ => 0..=3,
        };
        for count in connections {
            for summarize in [false, true] {
                let text = written(json, content, &vec![ping(); count], summarize);
                let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                if let Some(name) = content.name() {
                    assert_eq!(value[name].as_array().map(Vec::len), Some(count));
                }
                assert_eq!(value.get("summary").is_some(), summarize);
                let alone = written(ndjson, content, &vec![ping(); count], summarize);
                let lines = alone.lines().inspect(|line| {
                    let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
                    assert!(value.is_object());
                });
                let summary = content == Content::Summary && summarize;
                assert_eq!(lines.count(), count + usize::from(summary));
            }
        }
    }
}

#[test]
fn csv_has_the_columns_of_its_header() {
    assert_eq!(
        written(csv, Content::Connections, &[sample(), ping()], true),
        "\
protocol,originator,originator_port,responder,responder_port,state,expired,packets_sent,bytes_sent,packets_received,bytes_received,icmp_errors,start,end,duration
tcp,192.0.2.1,40000,198.51.100.2,443,answered,false,3,400,2,2048,0,2020-09-13T12:26:40.000000001Z,2020-09-13T12:26:41.250000001Z,1.250000000
icmp,192.0.2.1,77,198.51.100.3,0,refused,true,3,400,0,0,2,2017-07-14T02:40:00.000000000Z,2017-07-14T02:40:00.000000000Z,0.000000000
"
    );
    let text = written(csv, Content::Events, &[sample()], false);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines[0].len(), lines[1].len());
    assert_eq!(lines[0][..4], ["time", "event", "tcp_flags", "protocol"]);
    assert_eq!(lines[1][1..4], ["reply", "S.", "tcp"]);
}
