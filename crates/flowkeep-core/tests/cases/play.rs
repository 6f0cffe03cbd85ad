//! Plays a case: after each packet verdict, state, lifetime and counter, and at last the end.

use std::fmt::Write;

use crate::format::{Case, End, Isn, Packet};
use crate::frame;
use crate::tracker::{Entry, Tracker, timeout};

/// When a case begins, in milliseconds.
pub(crate) const START: u64 = 1_000_000;

/// Plays a case, and says what came out otherwise than wanted.
pub(crate) fn case(case: &Case, tracker: &mut dyn Tracker) -> Result<(), String> {
    tracker.reset(case.mode);
    for (index, packet) in case.packets.iter().enumerate() {
        let now = START + packet.at_ms;
        step(packet, case.ip, &case.isn, now, tracker)
            .map_err(|difference| format!("packet {index}: {difference}"))?;
    }
    end(&case.end, tracker).map_err(|difference| format!("at the end: {difference}"))
}

/// What comes out, packet by packet.
pub(crate) fn listing(case: &Case, tracker: &mut dyn Tracker) -> String {
    tracker.reset(case.mode);
    let mut text = String::new();
    for packet in &case.packets {
        let now = START + packet.at_ms;
        let verdict = tracker.track(&frame::of(packet, case.ip, &case.isn), now);
        let flags = if packet.flags.is_empty() {
            "-"
        } else {
            &packet.flags
        };
        let (state, left) = tracker.entry().map_or(("none", 0), |entry| {
            (entry.state, entry.expires.saturating_sub(now) / 1000)
        });
        let _ = write!(text, " {flags}:{verdict}/{state}/{left}s");
    }
    text
}

/// One packet, with all that is said of it.
pub(crate) fn step(
    packet: &Packet,
    ip: u8,
    isn: &Isn,
    now: u64,
    tracker: &mut dyn Tracker,
) -> Result<(), String> {
    let before = tracker.entry();
    let reason = packet.reason.as_deref();
    let counted = reason.map_or(0, |reason| tracker.counted(reason));
    let verdict = tracker.track(&frame::of(packet, ip, isn), now);
    expect("verdict", &packet.want, verdict)?;
    let after = tracker.entry();
    let state = after.as_ref().map_or("none", |entry| entry.state);
    expect("state", &packet.want_state, state)?;
    if let Some(want) = &packet.want_timeout {
        lifetime(
            want,
            before.as_ref(),
            after.as_ref(),
            now,
            tracker.granularity(),
        )?;
    }
    if let Some(reason) = reason {
        let more = tracker.counted(reason) - counted;
        if more != 1 {
            return Err(format!("{reason} counted {more} times, not once"));
        }
    }
    Ok(())
}

fn expect(what: &str, want: &str, have: &str) -> Result<(), String> {
    if want.split('|').any(|want| want == have) {
        Ok(())
    } else {
        Err(format!("{what} {have}, not {want}"))
    }
}

fn end(want: &End, tracker: &dyn Tracker) -> Result<(), String> {
    let entry = tracker.entry();
    if entry.is_some() != want.entry {
        return Err(format!("an entry: {}, not {}", entry.is_some(), want.entry));
    }
    let state = entry.as_ref().map_or("none", |entry| entry.state);
    expect("state", &want.state, state)?;
    let originator = entry.as_ref().map(|entry| entry.originator);
    if originator != want.originator {
        return Err(format!(
            "originator {originator:?}, not {:?}",
            want.originator
        ));
    }
    let assured = entry.is_some_and(|entry| entry.assured);
    if want.assured.is_some_and(|want| want != assured) {
        return Err(format!("assured: {assured}"));
    }
    Ok(())
}

/// Holds the end of a lifetime against the classes that would be right.
fn lifetime(
    want: &str,
    before: Option<&Entry>,
    after: Option<&Entry>,
    now: u64,
    granularity: u64,
) -> Result<(), String> {
    let expires = after.map(|entry| entry.expires);
    let right = |class: &str| match (expected(class, before, after, now), expires) {
        (Some(want), Some(have)) => want.abs_diff(have) <= granularity,
        (want, have) => want == have,
    };
    if want.split('|').any(right) {
        return Ok(());
    }
    let left = |expires: Option<u64>| {
        expires.map_or_else(
            || "none".into(),
            |expires| format!("{:.3} s", (expires as f64 - now as f64) / 1000.0),
        )
    };
    Err(format!(
        "lifetime {} (before: {}), not {want}",
        left(expires),
        left(before.map(|entry| entry.expires))
    ))
}

/// When an entry expires that is of the timeout class `class`.
fn expected(class: &str, before: Option<&Entry>, after: Option<&Entry>, now: u64) -> Option<u64> {
    let seconds = |seconds: u64| Some(now + seconds * 1000);
    if let Some(whole) = class.strip_suffix("/2") {
        return expected(whole, before, after, now).map(|expires| now + (expires - now) / 2);
    }
    match class {
        "none" => None,
        "unchanged" => before.map(|entry| entry.expires),
        "doubtful" => before.map(|entry| entry.expires.min(now + timeout::AT_MOST * 1000)),
        "syn" => seconds(timeout::SYN),
        "syn_recv" => seconds(timeout::SYN_RECV),
        "established" => seconds(timeout::ESTABLISHED),
        "fin_wait" => seconds(timeout::FIN_WAIT),
        "half_closed" => seconds(timeout::HALF_CLOSED),
        "last_ack" => seconds(timeout::LAST_ACK),
        "time_wait" => seconds(timeout::TIME_WAIT),
        "close" => seconds(timeout::CLOSE),
        "unacked" | "retrans" | "zero_window" | "picked_up" => {
            seconds(own(after?.state).min(timeout::AT_MOST))
        }
        _ => panic!("{class} is no timeout class"),
    }
}

/// A state's own timeout, in seconds.
fn own(state: &str) -> u64 {
    match state {
        "syn_sent" | "syn_sent2" => timeout::SYN,
        "syn_recv" => timeout::SYN_RECV,
        "established" => timeout::ESTABLISHED,
        "fin_wait" => timeout::FIN_WAIT,
        "half_closed" => timeout::HALF_CLOSED,
        "last_ack" => timeout::LAST_ACK,
        "time_wait" => timeout::TIME_WAIT,
        "closed" => timeout::CLOSE,
        _ => panic!("{state} is no state"),
    }
}
