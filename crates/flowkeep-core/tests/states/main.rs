//! TCP's machine against the model in `model/`, and what has to hold of both, over exchanges of
//! two honest endpoints that are then spoilt.
//!
//! A failure prints its seed and the packets that led to it. `FLOWKEEP_SEED=N` begins there,
//! `FLOWKEEP_FUZZ_MS=N` goes on for that long; a plain run takes a second or two.

mod compare;
mod flow;
mod mutate;
#[path = "model/mod.rs"]
mod states;
mod torn;
mod wire;

use std::time::{Duration, Instant};

use compare::Pair;
use fastrand::Rng;
use states::{Host, Mode, Segment, State, Verdict};
use wire::{Style, Wire};

/// Packets of an exchange.
const PACKETS: usize = 200;
/// Exchanges of a plain run.
const EXCHANGES: u64 = 1000;

/// Calls `exchange` with one seed after the other.
fn with_seeds(exchange: impl Fn(u64)) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|value| value.parse::<u64>().expect("a number"))
    };
    let first = number("FLOWKEEP_SEED").unwrap_or(0);
    let (begin, time) = (Instant::now(), number("FLOWKEEP_FUZZ_MS"));
    for seed in first.. {
        exchange(seed);
        let over = match time {
            Some(time) => begin.elapsed() > Duration::from_millis(time),
            None => seed - first >= EXCHANGES,
        };
        if over {
            println!("{} exchanges", seed - first + 1);
            break;
        }
    }
}

fn show(packets: &[(u32, Segment)]) -> String {
    let shown = packets.len().saturating_sub(20);
    packets[shown..]
        .iter()
        .map(|(now, segment)| format!("{now} {segment:?}\n"))
        .collect()
}

#[test]
fn the_machine_says_what_the_model_says() {
    with_seeds(|seed| {
        let mut random = Rng::with_seed(seed);
        let mode = [Mode::Strict, Mode::Strict, Mode::Liberal, Mode::OneWay][random.usize(..4)];
        let mut pair = Pair::new(mode, random.u8(..8) != 0, random.u8(..8) == 0);
        let mut wire = Wire::new(Style::random(&mut random));
        // Of 256 packets, so many are spoilt.
        let spoilt = [0, 8, 40, 128][random.usize(..4)];
        let mut now: u32 = 1_000_000;
        let mut packets = Vec::new();
        for _ in 0..PACKETS {
            let mut segment = wire.next(&mut random);
            if random.u8(..) < spoilt {
                segment = mutate::mutated(&segment, pair.model.entry.as_ref(), &mut random);
            }
            now += match random.u8(..64) {
                0 => random.u32(..500_000),
                1 => random.u32(..20_000),
                _ => random.u32(..20),
            };
            packets.push((now, segment));
            let quoted = if random.bool() {
                Host::Client
            } else {
                Host::Server
            };
            let outcome = pair
                .track(&segment, now)
                .and_then(|_| pair.quote(quoted, segment.seq));
            if let Err(difference) = outcome {
                panic!("seed {seed}, {mode:?}:\n{}{difference}", show(&packets));
            }
        }
    });
}

/// No packet of an honest endpoint is invalid where the tracker has seen the handshake, however
/// much is lost before it and behind it, and overtaken.
#[test]
fn no_legal_packet_is_invalid() {
    with_seeds(|seed| {
        let mut random = Rng::with_seed(seed);
        let style = Style {
            unseen: 0,
            resets: false,
            ..Style::random(&mut random)
        };
        let mut pair = Pair::new(Mode::Strict, true, false);
        let mut wire = Wire::new(style);
        let mut now: u32 = 1_000_000;
        let mut packets = Vec::new();
        for _ in 0..PACKETS {
            let segment = wire.next(&mut random);
            now += random.u32(..20);
            packets.push((now, segment));
            match pair.track(&segment, now) {
                Ok(Verdict::Invalid) => {
                    let entry = pair.model.entry;
                    panic!("seed {seed}, {style:?}:\n{}{entry:?}", show(&packets));
                }
                Ok(_) => {}
                Err(difference) => panic!("seed {seed}:\n{difference}"),
            }
        }
    });
}

/// However it is flooded with numbers that are near the right ones but none of them, a connection
/// stays open, and what is proven of its numbers stays as it is.
#[test]
fn nothing_inexact_ends_a_connection() {
    with_seeds(|seed| {
        let mut random = Rng::with_seed(seed);
        let mut style = Style::random(&mut random);
        style.unseen = 0;
        style.resets = false;
        style.simultaneous = false;
        let mut pair = Pair::new(Mode::Strict, true, false);
        let mut wire = Wire::new(style);
        let mut now: u32 = 1_000_000;
        let mut genuine = wire.next(&mut random);
        for _ in 0..30 {
            now += 1;
            pair.track(&genuine, now).expect("they agree");
            genuine = wire.next(&mut random);
        }
        let Some(before) = pair.model.entry else {
            return;
        };
        if before.state != State::Established || !before.assured {
            return;
        }
        for _ in 0..1000 {
            let forged = mutate::mutated(&genuine, Some(&before), &mut random);
            let Some(entry) = pair.model.entry else {
                panic!("seed {seed}: it is gone");
            };
            let lucky = |number: u32| {
                [Host::Client, Host::Server]
                    .map(|host| (entry.side(host), entry.sent_up_to(host)))
                    .into_iter()
                    .flat_map(|(side, sent)| [side.end, side.acked, Some(sent)])
                    .flatten()
                    .chain([genuine.seq, genuine.ack, genuine.end()])
                    .any(|exact| exact.wrapping_sub(number).wrapping_add(3) <= 6)
            };
            if lucky(forged.seq) || lucky(forged.end()) || lucky(forged.ack) {
                continue;
            }
            pair.track(&forged, now).expect("they agree");
            let after = pair.model.entry.expect("it is still there");
            assert_eq!(after.state, State::Established, "seed {seed}: {forged:?}");
            assert_eq!(
                after.originator, before.originator,
                "seed {seed}: {forged:?}"
            );
            for host in [Host::Client, Host::Server] {
                assert_eq!(
                    after.side(host).end,
                    before.side(host).end,
                    "seed {seed}: {forged:?}"
                );
            }
        }
    });
}
