//! Whose rules a host is tracked by.

use flowkeep_lab::{Frames, eventually};
use nix::sys::signal::Signal;

use crate::lab::{Lab, PATIENCE, attached, end, nothing_is_left};
use crate::states::tcp;

/// The client's port.
const CLIENT: u16 = 1000;

/// By the rules of Cilium 1.8, a SYN after a RST is the same connection's, which goes on with its
/// counters. By those of both versions, a second entry relates ICMP errors.
#[test]
fn a_host_is_tracked_by_the_rules_that_were_asked_for() {
    let Some(lab) = Lab::new() else { return };
    for host in [&lab.here, &lab.there] {
        let set = host.set("ipv6/conf/all/disable_ipv6", "1");
        set.expect("it can be switched off");
    }
    let [here, there] = [&lab.here, &lab.there].map(|host| Frames::open(host, "eth0"));
    let (here, there) = (here.expect("an interface"), there.expect("an interface"));
    for (rules, said, after_reopening, entries) in [
        ("default", "", 1, 1),
        ("cilium18", ", by the rules of Cilium 1.8", 5, 2),
        ("cilium119", ", by the rules of Cilium 1.19", 1, 2),
    ] {
        assert_eq!(
            lab.success(&format!("attach -i eth0 --rules {rules}")),
            format!("tracking eth0 as a host{said}\n")
        );
        for (side, packet, expected) in [
            (&here, tcp(true, CLIENT, "S", 100, 0), 1),
            (&there, tcp(false, CLIENT, "SA", 500, 101), 2),
            (&here, tcp(true, CLIENT, "A", 101, 501), 3),
            (&there, tcp(false, CLIENT, "R", 501, 0), 4),
            (&here, tcp(true, CLIENT, "S", 900_000, 0), after_reopening),
        ] {
            side.send(&packet).expect("it is up");
            // They cross at different processors, and have to be seen in this order.
            let seen = eventually(|| match packets(&lab) {
                Some(packets) if packets == expected => Ok(()),
                found => Err(found),
            });
            assert_eq!(seen, Ok(()), "{expected} packets by the rules {rules}");
        }
        let inserted = &lab.json("stats -o json")["entries"]["inserted"];
        assert_eq!(inserted, entries, "by the rules {rules}");
        lab.success("detach --all");
    }
}

/// How many packets the client's connection has.
fn packets(lab: &Lab) -> Option<u64> {
    let list = lab.json("list -o json");
    let connections = list["connections"].as_array().expect("a list").iter();
    let mut ours = connections.filter(|it| it["originator_port"] == CLIENT);
    let found = ours.next()?;
    assert_eq!(ours.next(), None, "one connection is one line");
    let count = |field: &str| found[field].as_u64().expect("a number");
    Some(count("packets_sent") + count("packets_received"))
}

#[test]
fn a_pinned_table_keeps_its_rules() {
    let Some(lab) = Lab::new() else { return };
    lab.success("attach -i eth0 --rules cilium119");
    lab.ping();
    let said = lab.success("attach -i eth0");
    assert_eq!(
        said,
        "tracking eth0 as a host, by the rules of Cilium 1.19\n"
    );
    let (said, _) = lab.failure("run -i eth0 --rules cilium18");
    assert!(
        said.contains("by the rules of Cilium 1.19, but --rules asks for those of Cilium 1.8; "),
        "{said}"
    );
    assert_eq!(lab.pings().len(), 1, "nothing of that did any harm");
    lab.success("detach --all");

    // Nobody uses what is left of a tracker that was killed.
    drop(lab.run("-i eth0 --rules cilium119"));
    if !matches!(flowkeep_bpf::support::tcx(), Ok(true)) {
        // A filter stays, and goes on tracking.
        assert!(attached(&lab) > 0);
        lab.success("detach --all");
        return nothing_is_left(&lab);
    }
    let (running, lines) = lab.start("run -i eth0 --rules default");
    let line = lines.recv_timeout(PATIENCE);
    assert_eq!(line.as_deref(), Ok("tracking eth0 as a host"));
    running.signal(Signal::SIGINT).expect("it runs");
    assert_eq!(end(running), (String::new(), Some(0)));
    nothing_is_left(&lab);
}
