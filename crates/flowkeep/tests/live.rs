//! The commands of a live tracker, run as people run them, on hosts of their own.
#![cfg(all(feature = "cli", target_os = "linux"))]

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use aya::maps::{Array, MapData};
use aya::programs::{SchedClassifier, TcAttachType};
use flowkeep_lab::{Background, Host, available, cable, eventually};
use flowkeep_memory::Words;
use nix::sys::signal::Signal;
use serde_json::Value;

/// Far more than anything takes: whoever waits this long waits in vain.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host that tracks, and its neighbour, who answers.
struct Lab {
    here: Host,
    there: Host,
}

impl Lab {
    /// 192.0.2.1 here and 192.0.2.2 there, on interfaces called eth0; nothing if this machine does
    /// not allow it.
    fn new() -> Option<Self> {
        if !available(&["ping"]) {
            return None;
        }
        let hosts = || {
            let (here, there) = (Host::new()?, Host::new()?);
            cable(&here, "eth0", &there, "eth0")?;
            here.ip("address add 192.0.2.1/24 dev eth0")?;
            there.ip("address add 192.0.2.2/24 dev eth0")?;
            anyhow::Ok(Self { here, there })
        };
        Some(hosts().expect("a lab"))
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = self.here.command(env!("CARGO_BIN_EXE_flowkeep"));
        command.args(arguments.split_whitespace());
        command
    }

    fn flowkeep(&self, arguments: &str) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// What it writes when all goes well.
    fn success(&self, arguments: &str) -> String {
        let output = self.flowkeep(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{arguments}: {out}{err}");
        assert_eq!(err, "", "{arguments}");
        out
    }

    /// What it complains of, and the status that it ends with.
    fn failure(&self, arguments: &str) -> (String, Option<i32>) {
        let output = self.flowkeep(arguments);
        assert_eq!(text(&output.stdout), "", "{arguments}");
        let complaint = text(&output.stderr);
        assert_eq!(complaint.lines().count(), 1, "one sentence: {complaint}");
        let complaint = complaint.strip_prefix("flowkeep: ").expect("our name");
        (complaint.trim_end().to_owned(), output.status.code())
    }

    fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.success(arguments)).expect("JSON")
    }

    /// Starts one that goes on. Its lines come as it writes them.
    fn start(&self, arguments: &str) -> (Background, Receiver<String>) {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Background::start(&mut command).expect("the program runs");
        let stdout = running.child().stdout.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        // Ends with the program.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                // Nobody may want to hear more.
                let _ = sender.send(line.expect("text"));
            }
        });
        (running, lines)
    }

    fn run(&self, arguments: &str) -> Background {
        let (running, lines) = self.start(&format!("run {arguments}"));
        let line = lines.recv_timeout(PATIENCE).expect("a line");
        assert!(line.starts_with("tracking "), "{line}");
        running
    }

    fn ping(&self) {
        self.here
            .run("ping", "-q -c 1 192.0.2.2")
            .expect("an answer");
    }

    /// The names of what is in the folder of trackers; nothing if it is not there.
    fn pins(&self) -> Option<Vec<String>> {
        self.here.enter(|| {
            let entries = std::fs::read_dir("/sys/fs/bpf/flowkeep").ok()?;
            let names = entries.map(|entry| entry.expect("readable").file_name());
            Some(
                names
                    .map(|name| name.into_string().expect("text"))
                    .collect(),
            )
        })
    }

    /// Pings that are tracked, as `flowkeep list` has them.
    fn pings(&self) -> Vec<Value> {
        let list = self.json("list -o json -p icmp");
        list["connections"].as_array().expect("a list").clone()
    }
}

/// Programs on an interface of this host, by tcx links and by filters.
fn attached(lab: &Lab) -> usize {
    let links = lab.here.enter(|| {
        [TcAttachType::Ingress, TcAttachType::Egress].map(|side| {
            // Kernels before 6.6 have no links to ask for.
            SchedClassifier::query_tcx("eth0", side).map_or(0, |(_, programs)| programs.len())
        })
    });
    let filters = ["ingress", "egress"].map(|side| {
        let mut tc = lab.here.command("tc");
        let output = tc.args(["filter", "show", "dev", "eth0", side]).output();
        text(&output.expect("tc runs").stdout).lines().count()
    });
    links.into_iter().chain(filters).sum()
}

/// Waits until there are no pins and no programs: the kernel detaches a moment after the last one
/// who held a link has let it go.
fn nothing_is_left(lab: &Lab) {
    let left = eventually(|| match (lab.pins(), attached(lab)) {
        (None, 0) => Ok(()),
        left => Err(left),
    });
    assert_eq!(left, Ok(()), "nothing is left");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// What a process complains of until it ends, and the status that it ends with.
fn end(mut running: Background) -> (String, Option<i32>) {
    let status = eventually(|| {
        running
            .child()
            .try_wait()
            .ok()
            .flatten()
            .ok_or("it goes on")
    });
    let stderr = running.child().stderr.take().expect("piped");
    let complaints = io::read_to_string(stderr).expect("text");
    (complaints, status.expect("it ends").code())
}

#[test]
fn a_host_is_tracked_while_it_runs() {
    let Some(lab) = Lab::new() else { return };
    let running = lab.run("-i eth0");
    lab.ping();
    let pings = lab.pings();
    let ping = pings.first().expect("the ping");
    assert_eq!(ping["originator"], "192.0.2.1");
    assert_eq!(ping["responder"], "192.0.2.2");
    assert_eq!(ping["state"], "answered");
    for direction in ["sent", "received"] {
        assert_eq!(ping[format!("packets_{direction}")], 1);
        assert_eq!(ping[format!("bytes_{direction}")], 84);
    }

    let stats = lab.json("stats -o json");
    assert_eq!(stats["by_state"]["answered"], 1);
    assert!(stats["entries"]["inserted"].as_u64() >= Some(1));

    assert_eq!(
        lab.success("delete -p icmp -a 192.0.2.9"),
        "deleted 0 connections\n"
    );
    assert_eq!(
        lab.success("delete -p icmp -a 192.0.2.2"),
        "deleted 1 connection\n"
    );
    assert!(lab.pings().is_empty());
    lab.ping();
    assert_eq!(lab.pings().len(), 1);
    lab.success("flush");
    assert!(lab.pings().is_empty());

    let (complaint, code) = lab.failure("run -i eth0");
    assert!(complaint.starts_with("another 'flowkeep run' has /sys/fs/bpf/flowkeep"));
    assert_eq!(code, Some(4));

    assert!(attached(&lab) > 0);
    running.signal(Signal::SIGINT).expect("it runs");
    assert_eq!(end(running), (String::new(), Some(0)));
    nothing_is_left(&lab);
    let (complaint, code) = lab.failure("list");
    assert!(
        complaint.starts_with("no tracker in /sys/fs/bpf/flowkeep"),
        "{complaint}"
    );
    assert_eq!(code, Some(5));
}

#[test]
fn what_is_attached_goes_on_and_outlives_a_run() {
    let Some(lab) = Lab::new() else { return };
    let said = lab.success("attach -i eth0 --connections 1000 --timeout-other 1h");
    assert_eq!(said, "tracking eth0 as a host\n");
    lab.ping();
    assert_eq!(lab.pings().len(), 1);

    // A run over the same interface joins it, and leaves it as it was.
    let running = lab.run("-i eth0");
    lab.ping();
    assert_eq!(lab.pings().len(), 2);
    running.signal(Signal::SIGTERM).expect("it runs");
    assert_eq!(end(running), (String::new(), Some(0)));
    lab.ping();
    let pings = lab.pings();
    assert_eq!(pings.len(), 3);
    assert!(
        pings.iter().all(|ping| ping["packets_sent"] == 1),
        "each counted once"
    );

    let settings = lab.success("set --timeout-tcp 2d");
    assert!(settings.contains("timeout-tcp      172800 s"), "{settings}");
    assert!(settings.contains("timeout-other    3600 s"), "{settings}");

    for arguments in ["set", "delete -p 253"] {
        let full = File::create("/dev/full").expect("Linux has it");
        let output = lab.command(arguments).stdout(full).output();
        let output = output.expect("the program runs");
        assert_eq!(output.status.code(), Some(1), "{arguments}");
        assert!(text(&output.stderr).starts_with("flowkeep: cannot write: "));
    }

    for (wrong, complaint) in [
        (
            "attach -i eth0 --connections 9999",
            "has room for 1152 connections, not ",
        ),
        (
            "attach -i eth0 --forward",
            "eth0 is tracked as a host already",
        ),
        ("attach -i eth1", "no interface eth1 here"),
        ("detach -i lo", "tracked are eth0"),
        ("run -i eth0 --folder /tmp", "is not in a BPF file system"),
    ] {
        let (said, _) = lab.failure(wrong);
        assert!(said.contains(complaint), "{wrong}: {said}");
    }
    assert_eq!(lab.pings().len(), 3, "nothing of that did any harm");

    assert_eq!(lab.success("detach -i eth0"), "no longer tracking eth0\n");
    assert_eq!(lab.pins(), None, "nothing is left behind");
}

#[test]
fn what_is_attached_is_attached_whole() {
    let Some(lab) = Lab::new() else { return };
    let (attaching, _lines) = lab.start("attach -i eth0");
    let begun = eventually(|| lab.pins().ok_or(()).map(drop));
    assert_eq!(begun, Ok(()));
    attaching.signal(Signal::SIGINT).expect("not waited for");
    assert_eq!(end(attaching), (String::new(), Some(0)));
    let attached = lab.pins().unwrap_or_default();
    let attached = attached.iter().filter(|pin| pin.contains('@'));
    assert_eq!(attached.count(), 2, "both directions");
    lab.success("detach --all");
}

#[test]
fn a_run_that_was_killed_is_followed_by_another() {
    let Some(lab) = Lab::new() else { return };
    drop(lab.run("-i eth0 --connections 1000"));
    assert!(
        lab.pins()
            .is_some_and(|pins| !pins.iter().any(|pin| pin.contains('@')))
    );
    if !matches!(flowkeep_bpf::support::tcx(), Ok(true)) {
        // A filter stays, and goes on tracking.
        assert!(attached(&lab) > 0);
        assert_eq!(lab.success("detach --all"), "no longer tracking eth0\n");
        return nothing_is_left(&lab);
    }
    // The kernel takes the programs away a moment later.
    let told = eventually(|| {
        let output = lab.flowkeep("list");
        assert!(output.status.success());
        match text(&output.stderr) {
            told if told.contains(" was killed") => Ok(()),
            told => Err(told),
        }
    });
    assert_eq!(told, Ok(()));
    let (complaint, code) = lab.failure("watch");
    assert!(complaint.ends_with(" has ended"), "{complaint}");
    assert_eq!(code, Some(5));
    // Of another size, too: nobody uses what is left.
    let running = lab.run("-i eth0 --connections 2000");
    lab.ping();
    assert_eq!(lab.pings().len(), 1);
    running.signal(Signal::SIGINT).expect("it runs");
    assert_eq!(end(running), (String::new(), Some(0)));
    assert_eq!(lab.pins(), None);
}

#[test]
fn interfaces_may_go() {
    let Some(lab) = Lab::new() else { return };
    cable(&lab.here, "eth1", &lab.there, "eth1").expect("another cable");
    let running = lab.run("-i eth0,eth1");
    lab.here.ip("link delete eth1").expect("it was there");
    lab.ping();
    assert_eq!(lab.pings().len(), 1, "the other one is still tracked");
    lab.here.ip("link delete eth0").expect("it was there");
    let (complaints, code) = end(running);
    let (gone, last) = complaints.split_at(complaints.rfind("flowkeep: no").expect("last words"));
    // In either order, if it has looked away meanwhile.
    let mut gone: Vec<&str> = gone.lines().collect();
    gone.sort_unstable();
    assert_eq!(
        gone,
        [
            "flowkeep: eth0 has gone, and is no longer tracked",
            "flowkeep: eth1 has gone, and is no longer tracked",
        ]
    );
    assert_eq!(last, "flowkeep: no interface is left to track\n");
    assert_eq!(code, Some(1));
    assert_eq!(lab.pins(), None, "nothing is left behind");
}

#[test]
fn without_privileges_a_sentence_says_which() {
    let Some(lab) = Lab::new() else { return };
    for arguments in ["run -i eth0", "attach -i eth0", "detach --all"] {
        // Still root, who may read the program, but without capabilities.
        let mut command = lab.here.command("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all"]);
        command.arg(env!("CARGO_BIN_EXE_flowkeep"));
        let output = command.args(arguments.split(' ')).output();
        let output = output.expect("setpriv runs");
        let complaint = text(&output.stderr);
        if !arguments.starts_with("detach") {
            assert!(
                complaint.starts_with("flowkeep: no CAP_BPF, "),
                "{complaint}"
            );
            assert_eq!(output.status.code(), Some(3));
        }
        assert_eq!(complaint.lines().count(), 1, "{arguments}: {complaint}");
    }
    nothing_is_left(&lab);
}

#[test]
fn a_pinned_table_of_another_version_is_not_touched() {
    let Some(lab) = Lab::new() else { return };
    lab.success("attach -i eth0 --connections 1000");
    assert!(attached(&lab) > 0);
    lab.here.enter(|| {
        let header = "/sys/fs/bpf/flowkeep/HEADER";
        std::fs::remove_file(header).expect("it is pinned");
        let other: Array<_, u64> = Array::create(1, 0).expect("a map");
        other.pin(header).expect("its place is free");
    });
    for command in ["list", "stats", "run -i eth0", "attach -i eth0"] {
        let (complaint, code) = lab.failure(command);
        assert!(complaint.contains("/flowkeep/HEADER: "), "{complaint}");
        assert!(
            complaint.contains("'flowkeep detach --all' takes it away"),
            "{complaint}"
        );
        assert_eq!(code, Some(1), "{command}");
    }
    lab.success("detach --all");
    nothing_is_left(&lab);
}

#[test]
fn where_nothing_can_be_pinned_nothing_is_attached() {
    let Some(lab) = Lab::new() else { return };
    let refused = |what: &str| {
        for command in ["run -i eth0", "attach -i eth0"] {
            let (complaint, _) = lab.failure(command);
            assert!(complaint.contains(what), "{complaint}");
        }
        nothing_is_left(&lab);
    };
    let mount = |arguments| lab.here.run("mount", arguments).expect("it can be mounted");
    mount("-o remount,ro /sys/fs/bpf");
    refused("Read-only file system");
    mount("-t tmpfs none /sys/fs/bpf");
    refused("is not in a BPF file system");
}

#[test]
fn what_happens_is_watched_and_its_packets_are_written() {
    let Some(lab) = Lab::new() else { return };
    lab.success("attach -i eth0");
    let file = format!(
        "{}/watched-{}",
        env!("CARGO_TARGET_TMPDIR"),
        std::process::id()
    );
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
    std::fs::remove_file(&file).expect("it was written");
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

#[test]
fn nobody_is_told_after_a_watch_that_was_killed() {
    let Some(lab) = Lab::new() else { return };
    let running = lab.run("-i eth0");
    let watched = || {
        let word = std::mem::offset_of!(flowkeep_bpf::abi::Config, watched) / 8;
        let config = MapData::from_pin("/sys/fs/bpf/flowkeep/CONFIG").expect("it is pinned");
        let words = Words::shared(config.fd(), 8 * (word + 1)).expect("it is mapped by all");
        words[word].load(Relaxed)
    };
    let becomes = |wanted| {
        let reached = eventually(|| match lab.here.enter(watched) {
            found if found == wanted => Ok(()),
            other => Err(other),
        });
        assert_eq!(reached, Ok(()));
    };
    let (watching, _lines) = lab.start("watch");
    becomes(1);
    drop(watching);
    becomes(0);
    drop(running);
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

#[test]
fn this_machine_offers_what_the_tests_need() {
    let Some(lab) = Lab::new() else { return };
    let said = lab.success("check");
    for line in [
        "privileges       yes",
        "programs         yes  loaded and verified",
    ] {
        assert!(said.contains(line), "{said}");
    }
}
