//! Records as other processors and attackers of the table's memory may leave them.

use fastrand::Rng;
use flowkeep_core::protocol::tcp::{Connection, Fate, Mode, Policy, Segment, Seq, State, Words};

use crate::compare;
use crate::flow::Flow;
use crate::mutate;
use crate::states::Host;
use crate::wire::{Style, Wire};
use crate::with_seeds;

/// Of a packet's words some are written when an exchange fails: judged again, it leads to where it
/// would have, or to where it would have if it had come twice.
#[test]
fn a_packet_may_be_judged_again_after_a_part_was_written() {
    with_seeds(|seed| {
        let mut random = Rng::with_seed(seed);
        let mut wire = Wire::new(Style::random(&mut random));
        let mut pair = compare::Pair::new(crate::states::Mode::Strict, true, false);
        let spoilt = [0, 20][random.usize(..2)];
        let mut now = 1_000_000;
        for _ in 0..150 {
            let mut segment = wire.next(&mut random);
            if random.u8(..) < spoilt {
                segment = mutate::mutated(&segment, pair.model.entry.as_ref(), &mut random);
            }
            now += random.u32(..20);
            let policy = Policy {
                astray: segment.astray,
                ..Policy::default()
            };
            if let Some((before, bits)) = pair.machine.record() {
                let header = compare::of(&segment);
                let by_originator = pair.machine.originator() == Some(segment.from);
                again(seed, &before, bits, &header, by_originator, &policy);
            }
            pair.track(&segment, now).expect("they agree");
        }
    });
}

fn again(
    seed: u64,
    before: &Words,
    bits: u8,
    segment: &Segment,
    by_originator: bool,
    policy: &Policy,
) {
    let generation = before.memory as u8;
    let unpack = |words: &Words| {
        words
            .unpack(bits, generation, by_originator)
            .expect("the generation is right")
    };
    let mut connection = unpack(before);
    let judgement = connection.judge(segment, policy);
    if judgement.fate != Fate::Update {
        return;
    }
    let (after, after_bits) = connection.pack(generation);
    // Windows and edges may be wider than they would have been, as after a duplicate, and how
    // often something came is not exact anyway.
    let inexact = 0xf_ffff << 40 | 3 << 60;
    let exact = |(words, bits): (Words, u8)| {
        let sides = (words.originator & !inexact, words.responder & !inexact);
        (sides, words.memory, bits & 31)
    };
    let once = exact((after, after_bits));
    connection.judge(segment, policy);
    let twice = exact(connection.pack(generation));
    let mut partly = *before;
    for step in 0..4 {
        match (step, by_originator) {
            (0, _) => partly.memory = after.memory,
            (1, true) | (2, false) => partly.originator = after.originator,
            (1, false) | (2, true) => partly.responder = after.responder,
            _ => partly.windows = after.windows,
        }
        let mut second = unpack(&partly);
        second.judge(segment, policy);
        let again = exact(second.pack(generation));
        assert!(
            again == once || again == twice,
            "seed {seed}, after {step}: {segment:?}\n{:?}\n{connection:?}\n{second:?}",
            unpack(before),
        );
    }
}

/// Whatever is in a record, judging is total, and what is packed comes back.
#[test]
fn any_words_can_be_judged() {
    with_seeds(|seed| {
        let mut random = Rng::with_seed(seed);
        for _ in 0..100 {
            let generation = random.u8(..);
            let mut word = || random.u64(..) & !0xff | u64::from(generation);
            let words = Words {
                originator: word(),
                responder: word(),
                windows: word(),
                memory: word(),
            };
            let mut connection = words
                .unpack(random.u8(..), generation, random.bool())
                .expect("the generation is right");
            assert!(words.unpack(0, generation.wrapping_add(1), true).is_none());
            let near = [
                connection.own.end,
                connection.other.end,
                Seq(random.u32(..)),
            ];
            let mut number = || near[random.usize(..3)].plus(random.u32(..4000)).minus(2000);
            let (seq, ack) = (number(), number());
            let segment = Segment {
                seq,
                ack,
                payload: random.u32(..) >> random.u32(..32),
                sacked: random.u32(..) >> random.u32(..32),
                window: random.u16(..),
                flags: random.u16(..0x200),
                scale: random.u8(..16),
                reserved: [0; 3],
            };
            let policy = Policy {
                mode: [Mode::Strict, Mode::Liberal, Mode::OneWay][random.usize(..3)],
                loose: random.bool(),
                syn_ack_picks_up: random.bool(),
                astray: random.bool(),
            };
            connection.judge(&segment, &policy);
            let (packed, bits) = connection.pack(generation);
            let again = packed
                .unpack(bits, generation, connection.by_originator)
                .expect("the generation is right");
            let (twice, twice_bits) = again.pack(generation);
            assert_eq!(
                (twice, twice_bits),
                (packed, bits),
                "seed {seed}: {connection:?}"
            );
            let _ = connection.quote_fits(segment.seq);
        }
    });
}

/// A FIN of each side at the same moment: whichever is written first, both count.
#[test]
fn two_fins_at_the_same_moment_both_count() {
    let mut flow = Flow::new(compare::MACHINE);
    let policy = Policy::default();
    let segment = |flags: u16, seq: u32, ack: u32| Segment {
        seq: Seq(seq),
        ack: Seq(ack),
        window: 1000,
        flags,
        scale: Segment::NO_SCALE,
        ..Segment::default()
    };
    flow.track(&segment(0x02, 99, 0), Host::Client, &policy, 0);
    flow.track(&segment(0x12, 499, 100), Host::Server, &policy, 0);
    flow.track(&segment(0x10, 100, 500), Host::Client, &policy, 0);
    let (words, bits) = flow.record().expect("it is open");
    let unpack = |words: &Words, bits, by_originator| -> Connection {
        words
            .unpack(bits, words.memory as u8, by_originator)
            .expect("the generation is right")
    };
    // Both have read the same.
    let mut first = unpack(&words, bits, true);
    let mut second = unpack(&words, bits, false);
    first.judge(&segment(0x11, 100, 500), &policy);
    let server_fin = segment(0x11, 500, 100);
    second.judge(&server_fin, &policy);
    let (by_first, first_bits) = first.pack(words.memory as u8);
    let (by_second, _) = second.pack(words.memory as u8);
    // The second writes its own word, and then loses the race for the state word.
    let both = Words {
        responder: by_second.responder,
        ..by_first
    };
    let mut again = unpack(&both, first_bits, false);
    again.judge(&server_fin, &policy);
    assert_eq!(again.state, State::LastAck);
}
