//! The programs in the kernel against the core in user space: the same packets at the same times
//! have to leave the same entries.
//!
//! Needs CAP_BPF and CAP_NET_ADMIN; without them each test says that it was skipped.

mod both;
mod events;
mod frames;
#[path = "../../../flowkeep-core/tests/common/memory.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test crate that includes this uses a part of it"
)]
mod memory;
mod merged;
#[path = "../../../flowkeep-core/tests/common/tunnels.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test crate that includes this uses a part of it"
)]
mod tunnels;

use both::Both;
use flowkeep_bpf::{Device, Hook};
use flowkeep_core::Error;
use flowkeep_core::rules::{Cilium18, Cilium119, RuleSet, Rules};
use flowkeep_core::table::Statistic;

/// The hooks, as a packet's turn.
const HOOKS: [Hook; 3] = [Hook::Ingress, Hook::Egress, Hook::Forward];

#[test]
fn a_handshake_data_and_a_close() {
    let Some(mut both) = Both::new(64) else {
        return;
    };
    for (at, (hook, frame)) in frames::tcp_connection().into_iter().enumerate() {
        both.set_clock(1_000 + at as u64 / 2);
        both.see(hook, Device::Ethernet, &frame);
        both.compare();
    }
    assert_eq!(both.entries(), 1);
}

#[test]
fn udp_echo_errors_fragments_and_tags() {
    let Some(mut both) = Both::new(64) else {
        return;
    };
    for hook in HOOKS {
        for frame in frames::mixture() {
            both.see(hook, Device::Ethernet, &frame);
            both.compare();
        }
    }
    assert!(both.entries() > 8);
}

#[test]
fn packets_that_are_not_what_they_look_like() {
    let Some(mut both) = Both::new(64) else {
        return;
    };
    for hook in HOOKS {
        for frame in frames::deceptive() {
            both.see(hook, Device::Ethernet, &frame);
            both.compare();
        }
    }
    // Each of these is met.
    for error in [
        Error::NetworkMalformed,
        Error::TransportTruncated,
        Error::TransportMalformed,
        Error::FragmentUnknown,
        Error::FragmentOverlap,
        Error::QuoteTruncated,
    ] {
        assert_ne!(both.errors(error), 0, "{error}");
    }
}

#[test]
fn packets_without_a_link_header() {
    let Some(mut both) = Both::new(64) else {
        return;
    };
    for hook in HOOKS {
        for frame in frames::mixture().into_iter().chain(frames::deceptive()) {
            let Some(packet) = frames::without_link(&frame) else {
                continue;
            };
            both.see(hook, Device::Ip, packet);
        }
        both.compare();
    }
    assert!(both.entries() > 8);
}

/// Few ends, so that connections meet again.
#[test]
fn random_packets() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let Some(mut both) = Both::new(32) else {
        return;
    };
    see_random(&mut both, seed, 20_000, (8, 30));
}

/// More connections than there is room for: who stays, who goes and who is refused.
#[test]
fn a_crowded_table() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    for buckets in [1, 2, 3] {
        let Some(mut both) = Both::new(buckets) else {
            return;
        };
        see_random(&mut both, seed, 6_000, (4, 20));
        let counted = both.compare_statistics();
        for statistic in [
            Statistic::Inserted,
            Statistic::EvictedExpired,
            Statistic::EvictedUnassured,
        ] {
            assert_ne!(counted[statistic as usize], 0, "{}", statistic.name());
        }
    }
}

/// What Cilium's rules do otherwise: expired entries that are found, ICMP errors that are related by an
/// entry of their own, connections that begin again.
#[test]
fn random_packets_by_ciliums_rules() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    see_by_rules::<Cilium18>(RuleSet::Cilium18, seed);
    see_by_rules::<Cilium119>(RuleSet::Cilium119, seed);
}

fn see_by_rules<R: Rules>(rules: RuleSet, seed: u64) {
    for (buckets, packets) in [(32, 20_000), (1, 6_000), (2, 6_000)] {
        let Some(mut both) = Both::<R>::with(rules, buckets) else {
            return;
        };
        see_random(&mut both, seed, packets, (8, 30));
        both.compare_statistics();
    }
}

/// Shows both so many packets of chance, and holds the one to the other on the way and at the end.
/// In `leaps` of 256 packets time goes on, by less than `seconds`.
fn see_random<R: Rules>(both: &mut Both<R>, seed: u64, packets: u32, (leaps, seconds): (u8, u64)) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut now = 10_000;
    for number in 0..packets {
        now += u64::from(random.u8(..) < leaps) * random.u64(0..seconds);
        both.set_clock(now);
        let hook = HOOKS[random.usize(..HOOKS.len())];
        let frame = frames::random(&mut random);
        both.see(hook, Device::Ethernet, &frame);
        if number % 100 == 0 {
            both.compare();
        }
    }
    both.compare();
}

/// The packets of the recorded cases: among them are many that are cut or contradict themselves.
#[test]
fn recorded_packets() {
    see_recorded(Both::new(256));
    see_recorded(Both::<Cilium18>::with(RuleSet::Cilium18, 256));
    see_recorded(Both::<Cilium119>::with(RuleSet::Cilium119, 256));
}

fn see_recorded<R: Rules>(both: Option<Both<R>>) {
    let Some(mut both) = both else {
        return;
    };
    let packets = frames::recorded();
    assert!(packets.len() > 1000, "{} packets", packets.len());
    for (number, (egress, frame)) in packets.iter().enumerate() {
        both.set_clock(1_000_000 + number as u64 / 50);
        let hook = if *egress { Hook::Egress } else { Hook::Ingress };
        both.see(hook, Device::Ethernet, frame);
        if number % 500 == 0 {
            both.compare();
        }
    }
    both.compare();
}
