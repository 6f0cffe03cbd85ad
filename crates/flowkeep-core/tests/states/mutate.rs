//! Spoils packets: mostly by numbers that a tracker has something to say about.

use fastrand::Rng;

use crate::states::{Connection, Host, Segment};

/// A packet like `segment`, but wrong in some way, or out of the blue.
pub(crate) fn mutated(
    segment: &Segment,
    connection: Option<&Connection>,
    random: &mut Rng,
) -> Segment {
    let mut spoilt = *segment;
    for _ in 0..random.u8(1..4) {
        match random.u8(..20) {
            0..=4 => spoilt.seq = number(spoilt.from, connection, spoilt.seq, random),
            5..=8 => spoilt.ack = number(spoilt.from.other(), connection, spoilt.ack, random),
            9 => spoilt.syn = !spoilt.syn,
            10 => spoilt.fin = !spoilt.fin,
            11 => spoilt.rst = !spoilt.rst,
            12 => spoilt.ack_flag = !spoilt.ack_flag,
            13 => {
                spoilt.len = match random.u8(..4) {
                    0 => 0,
                    1 => 1,
                    2 => random.u32(..70_000),
                    _ => random.u32(..2000),
                }
            }
            14 => spoilt.win = [0, 1, u16::MAX, random.u16(..)][random.usize(..4)],
            15 => spoilt.from = spoilt.from.other(),
            16 => {
                let edge = number(spoilt.from.other(), connection, spoilt.ack, random);
                spoilt.sack[random.usize(..4)] = Some(edge);
            }
            17 => spoilt.wscale = [None, Some(0), Some(random.u8(..))][random.usize(..3)],
            18 => spoilt.astray = true,
            // A bare RST, SYN or FIN of exact numbers.
            _ => {
                spoilt.rst = random.bool();
                spoilt.fin = !spoilt.rst && random.bool();
                spoilt.syn = !spoilt.rst && !spoilt.fin;
                spoilt.ack_flag = random.bool();
                spoilt.len = 0;
                spoilt.seq = number(spoilt.from, connection, spoilt.seq, random);
            }
        }
    }
    spoilt
}

/// A number of `host`: near one that the connection's bounds hang on, or anything.
fn number(host: Host, connection: Option<&Connection>, old: u32, random: &mut Rng) -> u32 {
    let near = match random.u8(..8) {
        0 => return random.u32(..),
        1 => old,
        _ => connection.map_or(old, |connection| {
            let side = connection.side(host);
            let other = connection.side(host.other());
            let end = side.end.unwrap_or(old);
            let limit = side.limit.unwrap_or(end);
            let window = other.window().unwrap_or(66_000);
            let remembered = connection.sent_up_to(host);
            [
                end,
                end,
                limit,
                limit.wrapping_add(window),
                end.wrapping_sub(window),
                end.wrapping_add(66_000),
                end.wrapping_sub(66_000),
                end.wrapping_add(side.window().unwrap_or(0)),
                side.acked.unwrap_or(end),
                remembered,
            ][random.usize(..10)]
        }),
    };
    match random.u8(..6) {
        0 => near.wrapping_add(random.u32(..2000)),
        1 => near.wrapping_sub(random.u32(..2000)),
        2 => near.wrapping_add(1),
        3 => near.wrapping_sub(1),
        _ => near,
    }
}
