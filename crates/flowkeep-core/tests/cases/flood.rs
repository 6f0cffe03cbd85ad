//! Plays a flood: set-up, forgeries, genuine packets.

use fastrand::Rng;

use crate::format::{Flood, Forge, ForgedAck, ForgedSeq, Sender};
use crate::frame::{self, Tcp};
use crate::play::{START, step};
use crate::tracker::{Host, Tracker};

/// Forgeries that no right guess is among.
const TRIES: u32 = 1000;

/// Plays a flood of `count` forgeries, and says what came out otherwise than wanted.
pub(crate) fn flood(
    flood: &Flood,
    count: u64,
    seed: u64,
    tracker: &mut dyn Tracker,
) -> Result<(), String> {
    tracker.reset(flood.mode);
    let mut now = START;
    for (index, packet) in flood.setup.iter().enumerate() {
        now = START + packet.at_ms;
        step(packet, flood.ip, &flood.isn, now, tracker)
            .map_err(|difference| format!("set-up, packet {index}: {difference}"))?;
    }
    let begin = now;
    let mut forger = Forger {
        flood,
        random: Rng::with_seed(seed),
        last_syn: 0,
    };
    for index in 0..count {
        now = begin + (index + 1) * flood.flood_ms / count;
        let template = match &flood.forge.followed_by {
            Some(second) if index % 2 == 1 => second,
            _ => &flood.forge,
        };
        let forged = forger.forge(template);
        let verdict = tracker.track(&frame::tcp(&forged, flood.ip), now);
        check(flood, verdict, now, tracker)
            .map_err(|difference| format!("forgery {index} ({forged:?}): {difference}"))?;
    }
    let end = begin + flood.flood_ms;
    for (index, packet) in flood.then.iter().enumerate() {
        step(packet, flood.ip, &flood.isn, end + packet.at_ms, tracker)
            .map_err(|difference| format!("then, packet {index}: {difference}"))?;
    }
    Ok(())
}

fn check(
    flood: &Flood,
    verdict: &'static str,
    now: u64,
    tracker: &dyn Tracker,
) -> Result<(), String> {
    let check = &flood.check;
    if !check.verdicts.iter().any(|allowed| allowed == verdict) {
        return Err(format!("verdict {verdict}"));
    }
    let Some(entry) = tracker.entry() else {
        return Err("no entry".into());
    };
    if !check.states.iter().any(|allowed| allowed == entry.state) {
        return Err(format!("state {}", entry.state));
    }
    if entry.expires < now + check.min_timeout_s * 1000 {
        let left = entry.expires.saturating_sub(now);
        return Err(format!("{left} ms are left"));
    }
    match tracker.entries() {
        1 => Ok(()),
        entries => Err(format!("{entries} entries")),
    }
}

struct Forger<'f> {
    flood: &'f Flood,
    random: Rng,
    /// Sequence number of the last forged SYN.
    last_syn: u32,
}

impl Forger<'_> {
    fn forge(&mut self, forge: &Forge) -> Tcp {
        let from = match forge.from {
            Sender::Client => Host::Client,
            Sender::Server => Host::Server,
            Sender::Either if self.random.bool() => Host::Client,
            Sender::Either => Host::Server,
            Sender::Router => panic!("routers forge nothing"),
        };
        let all = forge.flags.all();
        let flags = frame::flags(&all[self.random.usize(..all.len())]);
        let seq = self.seq(forge, from);
        let ack = if frame::has_ack(flags) {
            self.ack(forge.ack, from)
        } else {
            0
        };
        if flags == frame::flags("S") {
            self.last_syn = seq;
        }
        Tcp {
            from,
            flags,
            seq,
            ack,
            win: forge.win,
            urg: 0,
            options: Vec::new(),
            len: forge.len,
            bad: None,
        }
    }

    fn seq(&mut self, forge: &Forge, from: Host) -> u32 {
        let base = self.flood.isn.of(from);
        let range = |sides: &Option<crate::format::Sides<[i64; 2]>>| {
            *sides.as_ref().expect("a range of numbers").of(from)
        };
        match forge.seq {
            ForgedSeq::InWindowInexact => {
                let [first, last] = range(&forge.seq_range);
                base.wrapping_add(self.random.i64(first..=last) as u32)
            }
            ForgedSeq::OutOfWindow => {
                let [first, last] = range(&forge.seq_not_in);
                self.draw(base, |relative| {
                    !(first..=last).contains(&i64::from(relative as i32))
                })
            }
            ForgedSeq::Random => {
                let exact = self.flood.exact.of(from).clone();
                self.draw(base, |relative| !is_one_of(&exact, relative))
            }
        }
    }

    fn ack(&mut self, ack: ForgedAck, from: Host) -> u32 {
        let base = self.flood.isn.of(from.other());
        match ack {
            ForgedAck::None => 0,
            ForgedAck::Random => {
                let exact = self.flood.exact_ack.of(from).clone();
                self.draw(base, |relative| !is_one_of(&exact, relative))
            }
            ForgedAck::Exact => {
                let exact = self.flood.exact.of(from.other());
                let last = exact.last().expect("a number that is exact");
                base.wrapping_add(*last as u32)
            }
            ForgedAck::SynPlusOne => self.last_syn.wrapping_add(1),
        }
    }

    /// A random number, drawn again until it is allowed.
    fn draw(&mut self, base: u32, allowed: impl Fn(u32) -> bool) -> u32 {
        for _ in 0..TRIES {
            let relative = self.random.u32(..);
            if allowed(relative) {
                return base.wrapping_add(relative);
            }
        }
        panic!("no number is allowed");
    }
}

fn is_one_of(exact: &[i64], relative: u32) -> bool {
    exact.iter().any(|&number| number as u32 == relative)
}
