//! The command, run as people run it.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Two DNS questions, one of which is answered, a second apart; times from 2020-09-13 12:26:40.
fn questions() -> Vec<Vec<u8>> {
    let client = ([192, 0, 2, 1], 40_000);
    let other = ([192, 0, 2, 2], 40_001);
    let server = ([198, 51, 100, 53], 53);
    vec![
        record(0, &udp(client, server, 20)),
        record(250_000, &udp(server, client, 100)),
        record(1_000_000, &udp(other, server, 30)),
    ]
}

/// A UDP packet of raw IP, with a payload of zeros.
fn udp(from: ([u8; 4], u16), to: ([u8; 4], u16), payload: u16) -> Vec<u8> {
    let mut datagram = [from.1, to.1, 8 + payload, 0]
        .map(u16::to_be_bytes)
        .concat();
    datagram.resize(8 + usize::from(payload), 0);
    ip(17, from.0, to.0, &datagram)
}

/// A packet of raw IPv4.
fn ip(protocol: u8, from: [u8; 4], to: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
    packet.extend(from);
    packet.extend(to);
    let sum: u32 = packet
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

fn record(microseconds: u32, packet: &[u8]) -> Vec<u8> {
    let length = packet.len() as u32;
    let mut record = Vec::new();
    let second = 1_600_000_000 + microseconds / 1_000_000;
    for word in [second, microseconds % 1_000_000, length, length] {
        record.extend(word.to_le_bytes());
    }
    record.extend(packet);
    record
}

/// A capture of raw IP.
fn capture(records: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    file.extend(records.concat());
    file
}

/// A file that is gone when the test is.
struct File(PathBuf);

impl File {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let name = format!("{}-{name}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, bytes).expect("writable");
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().expect("the name of a test's file")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // What is left behind harms nobody.
        drop(fs::remove_file(&self.0));
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowkeep"));
    command.args(arguments).env_remove("CLICOLOR_FORCE");
    command
}

fn flowkeep(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the program runs")
}

/// What it writes when all goes well.
fn success(arguments: &[&str]) -> String {
    let output = flowkeep(arguments);
    assert_eq!(text(&output.stderr), "", "{arguments:?}");
    assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    text(&output.stdout).to_owned()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// The originators' ports of the connections that are listed.
fn listed(arguments: &[&str]) -> Vec<u16> {
    let lines = success(&[&["replay", "-o", "ndjson"], arguments].concat());
    let connections = lines.lines().map(|line| {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        value["originator_port"].as_u64().expect("a port") as u16
    });
    let mut ports: Vec<u16> = connections.collect();
    ports.sort_unstable();
    ports
}

#[test]
fn connections_are_listed_with_a_summary() {
    let file = File::new("list.pcap", &capture(&questions()));
    let output = success(&["replay", file.name()]);
    let (list, summary) = output.split_once("\n\n").expect("two parts");
    assert_eq!(
        list,
        "\
PROTO  ORIGINATOR       RESPONDER         STATE       PKTS SENT  SENT  PKTS RCVD  RECEIVED  START (UTC)                 DURATION
udp    192.0.2.1:40000  198.51.100.53:53  answered            1  48 B          1     128 B  2020-09-13 12:26:40.000000  250.0 ms
udp    192.0.2.2:40001  198.51.100.53:53  unanswered          1  58 B          0       0 B  2020-09-13 12:26:41.000000       0 s"
    );
    assert!(summary.starts_with("packets     3, 234 B\n"), "{summary}");
    let only = success(&["replay", "--no-summary", file.name()]);
    assert_eq!(only.trim_end(), list);
    let only = success(&["replay", "--summary", file.name()]);
    assert!(only.starts_with("packets     3, 234 B\n"), "{only}");
}

#[test]
fn icmp_errors_stand_with_their_connection() {
    let mut records = questions();
    // The server's host says, twice: port unreachable, quoting the question.
    let question = &records[2][16..];
    let mut error = vec![3, 3, 0, 0, 0, 0, 0, 0];
    error.extend(&question[..28]);
    let error = ip(1, [198, 51, 100, 53], [192, 0, 2, 2], &error);
    records.push(record(1_000_500, &error));
    records.push(record(1_000_900, &error));
    let file = File::new("icmp.pcap", &capture(&records));
    let arguments = ["replay", "--no-summary", "--state", "refused", file.name()];
    assert_eq!(
        success(&arguments),
        "\
PROTO  ORIGINATOR       RESPONDER         STATE    PKTS SENT  SENT  PKTS RCVD  RECEIVED  START (UTC)                 DURATION
udp    192.0.2.2:40001  198.51.100.53:53  refused          1  58 B          0       0 B  2020-09-13 12:26:41.000000       0 s
  icmp: port unreachable from 198.51.100.53 (x2)
"
    );
    let events = success(&["replay", "-e", "--no-summary", file.name()]);
    let related: Vec<_> = events
        .lines()
        .filter(|line| line.contains(" related "))
        .collect();
    assert_eq!(related.len(), 2);
    assert_eq!(
        related[0],
        "2020-09-13 12:26:41.000500 related  udp    192.0.2.2:40001 > 198.51.100.53:53 refused \
         icmp: port unreachable from 198.51.100.53"
    );
}

#[test]
fn filters_choose_connections_but_the_summary_counts_all() {
    let file = File::new("filter.pcap", &capture(&questions()));
    for (filter, ports) in [
        (vec!["--state", "unanswered,reset"], vec![40_001]),
        (vec!["--state", "closed"], vec![]),
        (vec!["--protocol", "tcp,17"], vec![40_000, 40_001]),
        (vec!["-p", "tcp"], vec![]),
        (vec!["--port", "53"], vec![40_000, 40_001]),
        (vec!["--port", "1-52,40001-50000"], vec![40_001]),
        (vec!["--address", "198.51.100.0/24"], vec![40_000, 40_001]),
        (vec!["-a", "192.0.2.1", "-a", "203.0.113.1"], vec![40_000]),
        (vec!["-a", "192.0.2.1", "--port", "40001"], vec![]),
        (vec!["--top", "1"], vec![40_000]),
        (vec!["--top", "1", "--by", "duration"], vec![40_000]),
        (vec!["--top", "5", "--state", "unanswered"], vec![40_001]),
    ] {
        assert_eq!(
            listed(&[&filter[..], &[file.name()]].concat()),
            ports,
            "{filter:?}"
        );
    }
    let output = success(&["replay", "-o", "json", "-p", "tcp", file.name()]);
    let value: serde_json::Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!(value["connections"], serde_json::json!([]));
    assert_eq!(value["summary"]["packets"], 3);
    assert_eq!(value["summary"]["connections"], 2);
}

#[test]
fn files_streams_and_compression_are_all_the_same() {
    let records = questions();
    let whole = File::new("whole.pcap", &capture(&records));
    // Connections that have not ended come in no order.
    let sorted = |output: &str| {
        let mut lines: Vec<_> = output.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let csv = |files: &[&str]| sorted(&success(&[&["replay", "-o", "csv"], files].concat()));
    let expected = csv(&[whole.name()]);
    assert_eq!(expected.len(), 3);

    let first = File::new("first.pcap", &capture(&records[..1]));
    let rest = File::new("rest.pcap", &capture(&records[1..]));
    assert_eq!(csv(&[first.name(), rest.name()]), expected);

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&capture(&records)).expect("memory");
    let gzip = File::new("whole.gz", &gzip.finish().expect("memory"));
    assert_eq!(csv(&[gzip.name()]), expected);

    let zstd = zstd::encode_all(&capture(&records)[..], 1).expect("memory");
    let mut child = command(&["replay", "-o", "csv", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&zstd).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(sorted(text(&output.stdout)), expected);
}

#[test]
fn events_come_in_the_order_of_time() {
    let file = File::new("events.pcap", &capture(&questions()));
    let output = success(&["replay", "--events", "-o", "csv", file.name()]);
    let events: Vec<_> = output
        .lines()
        .skip(1)
        .map(|line| line.split(',').take(2).collect::<Vec<_>>())
        .filter(|event| ["new", "reply"].contains(&event[1]))
        .collect();
    assert_eq!(
        events,
        [
            ["2020-09-13T12:26:40.000000000Z", "new"],
            ["2020-09-13T12:26:40.250000000Z", "reply"],
            ["2020-09-13T12:26:41.000000000Z", "new"],
        ]
    );
    let people = success(&["replay", "--events", "--no-summary", file.name()]);
    assert!(
        people.starts_with(
            "2020-09-13 12:26:40.000000 new      udp    192.0.2.1:40000 > 198.51.100.53:53 \
             unanswered\n"
        ),
        "{people}"
    );
}

#[test]
fn events_are_handed_on_at_once_from_a_stream() {
    let mut child = command(&["replay", "--events", "-o", "ndjson", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut stdin = child.stdin.take().expect("piped");
    stdin
        .write_all(&capture(&questions()[..1]))
        .expect("it reads");
    // The stream stays open. Were the event kept back, this would wait for ever; so, after ample
    // time, the stream is closed, and what then comes is told from what came before.
    let mut stdout = child.stdout.take().expect("piped");
    let (seen, wait) = mpsc::channel::<()>();
    let closer = thread::spawn(move || {
        let in_time = wait.recv_timeout(Duration::from_secs(30)).is_ok();
        drop(stdin);
        in_time
    });
    let mut event = [0; 8];
    stdout.read_exact(&mut event).expect("an event");
    assert_eq!(text(&event), "{\"time\":");
    // The closer may have given up.
    let _ = seen.send(());
    assert!(closer.join().expect("no panic"), "kept back until the end");
    drop(stdout);
    child.wait().expect("it ends");
}

#[test]
fn what_was_read_before_an_error_is_shown() {
    let mut bytes = capture(&questions());
    bytes.truncate(bytes.len() - 10);
    let cut = File::new("cut.pcap", &bytes);
    let whole = File::new("after.pcap", &capture(&questions()[2..]));
    let arguments = [
        "replay",
        "-o",
        "json",
        cut.name(),
        "no/such.pcap",
        whole.name(),
    ];
    let output = flowkeep(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let errors: Vec<_> = text(&output.stderr).lines().collect();
    assert_eq!(
        errors[0],
        format!(
            "flowkeep: {}: byte 232: the file ends in the middle of a packet: at least 10 more \
             bytes should follow (cut off, or still being written)",
            cut.name()
        )
    );
    assert!(
        errors[1].starts_with("flowkeep: no/such.pcap: cannot open: "),
        "{errors:?}"
    );
    assert_eq!(errors.len(), 2);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(value["summary"]["packets"], 3);
    assert_eq!(value["summary"]["connections"], 2);
}

#[test]
fn clamped_times_are_told_but_lose_nothing() {
    let mut records = questions();
    records[1][4..8].copy_from_slice(&1_000_000_u32.to_le_bytes());
    let file = File::new("time.pcap", &capture(&records));
    let output = flowkeep(&["replay", "--summary", "-o", "json", file.name()]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stderr),
        format!(
            "flowkeep: {}: byte 88: impossible time on 1 packet from here on: clamped\n",
            file.name()
        )
    );
}

#[test]
fn wrong_command_lines_are_refused() {
    for arguments in [
        &["replay"][..],
        &["replay", "--top", "-1", "x"],
        &["replay", "--port", "90-80", "x"],
        &["replay", "--state", "done", "x"],
        &["replay", "--protocol", "tpc", "x"],
        &["replay", "--address", "localhost", "x"],
        &["replay", "--local", "10.0.0.0/33", "x"],
        &["replay", "--connections", "0", "x"],
        &["replay", "--by", "packets", "x"],
        &["replay", "--events", "--top", "3", "x"],
        &["replay", "--summary", "-o", "csv", "x"],
        &["reply", "x"],
    ] {
        let output = flowkeep(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
        assert!(text(&output.stderr).starts_with("error: "), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let server = ([198, 51, 100, 53], 53);
    let records: Vec<_> = (1..=20_000)
        .map(|port| record(u32::from(port), &udp(([192, 0, 2, 1], port), server, 1)))
        .collect();
    let file = File::new("pipe.pcap", &capture(&records));
    for format in ["table", "json", "ndjson", "csv"] {
        let mut child = command(&["replay", "-o", format, file.name()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut stdout = child.stdout.take().expect("piped");
        stdout.read_exact(&mut [0; 20]).expect("a beginning");
        drop(stdout);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(text(&output.stderr), "", "{format}");
        assert_eq!(output.status.code(), Some(0), "{format}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = fs::File::options().write(true).open("/dev/full");
    let full = full.expect("Linux has it");
    let file = File::new("full.pcap", &capture(&questions()));
    let output = command(&["replay", file.name()])
        .stdout(full)
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("flowkeep: cannot write: "));
}

#[test]
fn colours_are_for_terminals_or_on_demand() {
    let file = File::new("colour.pcap", &capture(&questions()));
    assert!(!success(&["replay", file.name()]).contains('\u{1b}'));
    assert!(success(&["replay", "--color", "always", file.name()]).contains("\u{1b}[32manswered"));
    assert!(!success(&["replay", "--color", "never", file.name()]).contains('\u{1b}'));
}

#[test]
fn help_and_completions_are_there() {
    let help = success(&["replay", "--help"]);
    for word in ["Examples:", "Exit status:", "--local", "unanswered"] {
        assert!(help.contains(word), "{word}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(success(&["completions", shell]).contains("flowkeep"));
    }
}
