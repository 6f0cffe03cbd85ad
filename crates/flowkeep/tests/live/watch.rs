//! Events, as they happen.

use std::net::UdpSocket;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use aya::maps::MapData;
use flowkeep_bpf::Clock;
use flowkeep_lab::eventually;
use flowkeep_memory::Words;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::lab::{Lab, PATIENCE, end};

#[test]
fn what_happens_is_watched_and_its_packets_are_written() {
    let Some(lab) = Lab::new() else { return };
    lab.success("attach -i eth0");
    let name = format!("flowkeep-watched-{}", std::process::id());
    // Not cargo's folder, which other kernels' machines have not.
    let path = std::env::temp_dir().join(name);
    let file = path.display();
    let (watching, lines) = lab.start(&format!(
        "watch -p icmp -e new,reply -c 2 -o ndjson --write {file}"
    ));
    // It has to have begun to see a ping.
    let first = eventually(|| {
        lab.ping();
        lines.recv_timeout(Duration::from_millis(500))
    });
    let second = lines.recv_timeout(PATIENCE);
    let events = [first, second].map(|line| {
        let line = line.expect("an event");
        serde_json::from_str::<Value>(&line).expect("JSON")
    });
    for (event, (kind, state)) in events
        .iter()
        .zip([("new", "unanswered"), ("reply", "answered")])
    {
        assert_eq!(event["event"], kind);
        assert_eq!(event["connection"]["state"], state);
        assert_eq!(event["connection"]["originator"], "192.0.2.1");
    }
    assert_eq!(end(watching), (String::new(), Some(0)));

    let replayed = lab.json(&format!("replay -o json {file}"));
    std::fs::remove_file(&path).expect("it was written");
    let [ping] = replayed["connections"]
        .as_array()
        .expect("a list")
        .as_slice()
    else {
        panic!("one ping: {replayed}");
    };
    for (number, field) in [
        (1, "packets_sent"),
        (1, "packets_received"),
        (84, "bytes_sent"),
    ] {
        assert_eq!(ping[field], number);
    }
    let port = "originator_port";
    assert_eq!(ping[port], events[0]["connection"][port]);
    lab.success("detach --all");
}

/// Until when the programs send events.
fn watched(lab: &Lab) -> u64 {
    lab.here.enter(|| {
        let word = std::mem::offset_of!(flowkeep_bpf::abi::Config, watched) / 8;
        let config = MapData::from_pin("/sys/fs/bpf/flowkeep/CONFIG").expect("it is pinned");
        let words = Words::shared(config.fd(), 8 * (word + 1)).expect("it is mapped by all");
        words[word].load(Relaxed)
    })
}

/// Waits until this is true of [`watched()`].
fn becomes(lab: &Lab, wanted: impl Fn(u64) -> bool) {
    let reached = eventually(|| match watched(lab) {
        found if wanted(found) => Ok(()),
        other => Err(other),
    });
    assert_eq!(reached, Ok(()), "now it is {}", Clock::now().ticks());
}

#[test]
fn a_run_notices_that_a_watch_was_killed() {
    let Some(lab) = Lab::new() else { return };
    let running = lab.run("-i eth0");
    let (watching, _lines) = lab.start("watch");
    becomes(&lab, |until| until > Clock::now().ticks());
    drop(watching);
    becomes(&lab, |until| until == 0);
    drop(running);
}

/// No later command has to clear anything: what a reader promises to the programs ends by itself.
#[test]
fn without_a_run_a_killed_watch_is_forgotten() {
    let Some(lab) = Lab::new() else { return };
    lab.success("attach -i eth0");
    let (watching, _lines) = lab.start("watch");
    // It is renewed while the command runs, whether or not there are events.
    let mut before = 0;
    for _ in 0..2 {
        becomes(&lab, |until| until > before && until > Clock::now().ticks());
        before = watched(&lab);
    }
    let last = watched(&lab);
    drop(watching);
    becomes(&lab, |until| until < Clock::now().ticks());
    assert!(
        watched(&lab) <= last + 2_000_000_000,
        "it was not renewed after that"
    );
    // Another one may watch at once.
    let (watching, _lines) = lab.start("watch");
    becomes(&lab, |until| until > Clock::now().ticks());
    watching.signal(Signal::SIGINT).expect("it runs");
    assert_eq!(end(watching), (String::new(), Some(0)));
    assert_eq!(watched(&lab), 0);
    lab.success("detach --all");
}

#[test]
fn expiries_are_watched_and_swept() {
    let Some(lab) = Lab::new() else { return };
    lab.success("attach -i eth0 --timeout-other 1");
    let (watching, lines) = lab.start("watch -e expired -p icmp -c 2 -o ndjson");
    let next = || {
        lab.ping();
        let line = lines.recv_timeout(PATIENCE).expect("an event");
        serde_json::from_str::<Value>(&line).expect("JSON")
    };
    let event = next();
    assert_eq!(event["event"], "expired");
    assert_eq!(event["connection"]["responder"], "192.0.2.2");
    assert_eq!(event["connection"]["state"], "answered");
    let (complaint, code) = lab.failure("watch");
    assert!(
        complaint.starts_with("another 'flowkeep watch' reads"),
        "{complaint}"
    );
    assert_eq!(code, Some(4));
    next();
    assert_eq!(end(watching), (String::new(), Some(0)));
    assert!(lab.json("stats -o json")["entries"]["removed"].as_u64() >= Some(1));
    lab.success("detach --all");
}

#[test]
fn who_watches_is_told_when_the_tracker_ends() {
    let Some(lab) = Lab::new() else { return };
    // The same interface twice is one.
    lab.success("attach -i eth0,eth0 --timeout-other 1");
    let (watching, lines) = lab.start("watch -e expired -p icmp");
    lab.ping();
    lines.recv_timeout(PATIENCE).expect("an event");
    lab.success("detach --all");
    let complaint = "flowkeep: the tracker in /sys/fs/bpf/flowkeep has ended\n";
    assert_eq!(end(watching), (complaint.to_owned(), Some(5)));
}

/// The reader is stopped while more events arrive than the buffer holds. Those that are shown and
/// those that are dropped are all that were sent.
#[test]
fn events_that_come_faster_than_they_are_read_are_counted() {
    /// Ports that are sent to: twice as many as there are events in a full buffer.
    const FLOOD: std::ops::Range<u16> = 10_000..40_000;
    let Some(lab) = Lab::new() else { return };
    // Nothing but what is sent here makes an event.
    for host in [&lab.here, &lab.there] {
        let set = host.set("ipv6/conf/all/disable_ipv6", "1");
        set.expect("it can be switched off");
    }
    lab.here
        .ip("neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth0")
        .expect("nobody answers there");
    lab.success("attach -i eth0 --timeout-other 1h");
    let socket = lab.here.enter(|| UdpSocket::bind("192.0.2.1:0"));
    let socket = socket.expect("a socket");
    let send = |port: u16| {
        let sent = socket.send_to(&[0; 100], ("192.0.2.9", port));
        assert_eq!(sent.ok(), Some(100));
    };

    let (watching, lines) = lab.start("watch -p udp -o ndjson");
    // It has to have begun.
    let mut early = 0;
    let first = eventually(|| {
        early += 1;
        send(early);
        lines.recv_timeout(Duration::from_millis(100))
    });
    first.expect("an event");
    watching.signal(Signal::SIGSTOP).expect("it runs");
    FLOOD.for_each(send);
    watching.signal(Signal::SIGCONT).expect("it runs");
    // Whatever came before the last one is shown or lost when that is shown.
    let (mut shown, mut last) = (0, FLOOD.end - 1);
    loop {
        let Ok(line) = lines.recv_timeout(Duration::from_millis(100)) else {
            last += 1;
            send(last);
            continue;
        };
        let event: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(event["event"], "new");
        let port = event["connection"]["responder_port"].as_u64().expect("one");
        shown += u64::from(port >= FLOOD.start.into());
        if port == u64::from(last) {
            break;
        }
    }
    watching.signal(Signal::SIGINT).expect("it runs");
    let (complaints, code) = end(watching);
    assert_eq!(code, Some(0));
    let sum = complaints.lines().last().expect("a sum").replace(',', "");
    let words: Vec<_> = sum.split(' ').collect();
    let ["flowkeep:", _, "events", "shown", lost, "dropped"] = words[..] else {
        panic!("{complaints}");
    };
    let lost: u64 = lost.parse().expect("a number");
    assert!(lost > 0, "{complaints}");
    assert_eq!(shown + lost, u64::from(last - FLOOD.start) + 1);
    let told = complaints.contains(" events dropped: they arrive faster than they are read\n");
    assert!(told, "{complaints}");

    // Each is tracked, whether it was told of or not.
    let stats = lab.json("stats -o json");
    let all = u64::from(early) + u64::from(last - FLOOD.start) + 1;
    assert_eq!(stats["connections"], all);
    lab.success("detach --all");
}
