//! How a tracker begins, goes on and ends.

use std::fs::File;
use std::thread;
use std::time::Duration;

use flowkeep_lab::{cable, eventually};
use nix::sys::signal::Signal;

use crate::lab::{Lab, attached, end, nothing_is_left, text};

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
    assert!(complaint.starts_with("another 'flowkeep run' uses /sys/fs/bpf/flowkeep"));
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
fn the_packets_of_its_interfaces_are_told() {
    let Some(lab) = Lab::new() else { return };
    let (running, lines) = lab.start("run -i eth0 --interval 1s");
    let mut said = String::new();
    let told = eventually(|| {
        lab.ping();
        said = lines.recv().expect("it goes on");
        let (before, _) = said.split_once(" packets/s on eth0, table ").ok_or(())?;
        let (_, rate) = before.rsplit_once(' ').ok_or(())?;
        (rate != "0").then_some(()).ok_or(())
    });
    assert_eq!(told, Ok(()), "{said}");
    drop(running);
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
            "holds 1,152 connections, but --connections asks for 9,999; ",
        ),
        (
            "attach -i eth0 --forward",
            "eth0 is tracked as a host already",
        ),
        ("attach -i eth1", "no interface eth1 here"),
        ("detach -i lo", "it tracks eth0"),
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
            "flowkeep: eth0 was removed, and is no longer tracked",
            "flowkeep: eth1 was removed, and is no longer tracked",
        ]
    );
    assert_eq!(last, "flowkeep: no interface is left to track\n");
    assert_eq!(code, Some(1));
    assert_eq!(lab.pins(), None, "nothing is left behind");
}

#[test]
fn an_interface_that_was_attached_may_go_and_come_back() {
    let Some(lab) = Lab::new() else { return };
    lab.success("attach -i eth0");
    lab.here.ip("link delete eth0").expect("it was there");
    let (said, code) = lab.failure("attach -i eth0");
    assert!(said.starts_with("no interface eth0 here; "), "{said}");
    assert_eq!(code, Some(1));
    assert!(lab.pings().is_empty(), "the table is still there");

    cable(&lab.here, "eth0", &lab.there, "eth0").expect("another cable");
    lab.here.address("eth0", "192.0.2.1/24").expect("ours");
    lab.there.address("eth0", "192.0.2.2/24").expect("theirs");
    lab.ping();
    assert!(lab.pings().is_empty(), "another one, which nobody tracks");
    lab.success("attach -i eth0");
    lab.ping();
    assert_eq!(lab.pings().len(), 1);

    lab.here.ip("link delete eth0").expect("it was there");
    assert_eq!(lab.success("detach -i eth0"), "no longer tracking eth0\n");
    assert_eq!(lab.pins(), None, "nothing is left behind");
}

/// Several at once: one of them has the folder, and the others say so.
#[test]
fn of_many_at_once_one_has_the_tracker() {
    let Some(lab) = Lab::new() else { return };
    for (arguments, done) in [
        ("attach -i eth0", "tracking eth0 as a host"),
        ("detach -i eth0", "no longer tracking eth0"),
    ] {
        let ends: Vec<_> = thread::scope(|scope| {
            let running = [(); 6].map(|()| scope.spawn(|| lab.flowkeep(arguments)));
            let outputs = running.into_iter().map(|thread| thread.join());
            outputs.map(|output| output.expect("no panic")).collect()
        });
        let (well, ill): (Vec<_>, Vec<_>) = ends.iter().partition(|end| end.status.success());
        for output in ill {
            // Who comes late finds what the first one has left.
            let complaint = text(&output.stderr);
            let expected = match output.status.code() {
                Some(4) => "flowkeep: another 'flowkeep run' uses /sys/fs/bpf/flowkeep; ",
                Some(5) => "flowkeep: no tracker in /sys/fs/bpf/flowkeep; ",
                _ => "nothing else",
            };
            assert!(complaint.starts_with(expected), "{arguments}: {complaint}");
        }
        assert!(!well.is_empty(), "{arguments}");
        assert!(well.iter().all(|end| text(&end.stdout).trim() == done));
        lab.ping();
        if arguments.starts_with("attach") {
            assert_eq!(lab.pings().len(), 1);
        }
    }
    nothing_is_left(&lab);
}

/// While one runs, nobody else changes what it has; in a folder of its own another one may run.
#[test]
fn two_trackers_have_a_folder_each() {
    let Some(lab) = Lab::new() else { return };
    let running = lab.run("-i eth0");
    for arguments in [
        "run -i lo",
        "attach -i eth0",
        "detach -i eth0",
        "detach --all",
    ] {
        let (said, code) = lab.failure(arguments);
        let expected = "another 'flowkeep run' uses /sys/fs/bpf/flowkeep; ";
        assert!(said.starts_with(expected), "{arguments}: {said}");
        assert_eq!(code, Some(4));
    }
    // Where there are no links a side has one filter of ours: the other has an interface too.
    let by_links = matches!(flowkeep_bpf::support::tcx(), Ok(true));
    let interface = if by_links {
        "eth0"
    } else {
        let (said, code) = lab.failure("run -i eth0 --folder /sys/fs/bpf/other");
        let expected = "eth0: another flowkeep is attached there by a filter; ";
        assert!(said.starts_with(expected), "{said}");
        assert_eq!(code, Some(1));
        "lo"
    };
    let folder = "--folder /sys/fs/bpf/other";
    lab.success(&format!("attach -i {interface} {folder}"));
    for (arguments, remedy) in [
        ("--forward", format!("detach -i {interface}")),
        ("--connections 7", "detach --all".to_owned()),
    ] {
        let (said, _) = lab.failure(&format!("attach -i {interface} {arguments} {folder}"));
        let remedy = format!("'flowkeep {remedy} {folder}'");
        assert!(said.contains(&remedy), "{said}");
    }
    lab.success(&format!("detach --all {folder}"));
    let other = lab.run(&format!("-i {interface} {folder}"));
    lab.ping();
    if !by_links {
        lab.here
            .run("ping", "-q -c 1 127.0.0.1")
            .expect("an answer");
    }
    // On the loopback device both ends are this host's, and each has an entry.
    for (folder, expected) in [("flowkeep", 1), ("other", if by_links { 1 } else { 2 })] {
        let list = lab.json(&format!(
            "list -p icmp -o json --folder /sys/fs/bpf/{folder}"
        ));
        let pings = list["connections"].as_array().map(Vec::len);
        assert_eq!(pings, Some(expected), "{folder}");
    }
    for running in [running, other] {
        running.signal(Signal::SIGTERM).expect("it runs");
        assert_eq!(end(running), (String::new(), Some(0)));
    }
    nothing_is_left(&lab);
}

/// The verifier gives up when a signal arrives, also one that only stops a process for a while.
#[test]
fn a_start_that_is_stopped_goes_on() {
    let Some(lab) = Lab::new() else { return };
    let (mut starting, lines) = lab.start("attach -i eth0");
    // Once the first program is attached the second one is verified.
    let mut begun = false;
    while !begun && starting.child().try_wait().expect("ours").is_none() {
        let pins = lab.pins().unwrap_or_default();
        begun = pins.iter().any(|pin| pin.contains('@'));
    }
    for _ in 0..12 {
        for signal in [Signal::SIGSTOP, Signal::SIGCONT] {
            starting.signal(signal).expect("nobody has waited for it");
        }
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(end(starting), (String::new(), Some(0)));
    assert_eq!(lines.recv().as_deref(), Ok("tracking eth0 as a host"));
    lab.success("detach --all");
    nothing_is_left(&lab);
}
