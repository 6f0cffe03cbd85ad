//! Holds the machine to the model, packet by packet.

use flowkeep_core::protocol::tcp::{self, Policy, Reason, Seq, Timeouts};

use crate::flow::Flow;
use crate::states::{self, Connection, Host, Model, Segment, Settings, State, Verdict};

/// In milliseconds. Short ones, so that an exchange sees some end.
pub(crate) const MACHINE: Timeouts = Timeouts {
    syn_sent: 60_000,
    syn_recv: 50_000,
    established: 400_000,
    fin_wait: 120_000,
    half_closed: 350_000,
    last_ack: 31_000,
    time_wait: 125_000,
    closed: 10_000,
    unanswered: 300_000,
};

/// In seconds.
const MODEL: states::Timeouts = states::Timeouts {
    syn_sent: 60,
    syn_recv: 50,
    established: 400,
    fin_wait: 120,
    half_closed: 350,
    last_ack: 31,
    time_wait: 125,
    closed: 10,
    at_most: 300,
};

/// Both, side by side.
pub(crate) struct Pair {
    pub(crate) model: Model,
    pub(crate) machine: Flow,
    policy: Policy,
}

/// What is compared.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    verdict: &'static str,
    reason: &'static str,
    entry: Option<Entry>,
}

/// Of one side, in the order of the machine's fields.
type Numbers = (u32, u32, u32, Option<u32>);

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    state: &'static str,
    originator: Host,
    assured: bool,
    expires: u64,
    /// END, LIMIT, WIN, ACKED of client and server, where they mean something.
    numbers: Option<[Numbers; 2]>,
}

impl Pair {
    pub(crate) fn new(mode: states::Mode, loose: bool, syn_ack_picks_up: bool) -> Self {
        Self {
            model: Model::new(Settings {
                mode,
                loose,
                syn_ack_picks_up,
                timeouts: MODEL,
            }),
            machine: Flow::new(MACHINE),
            policy: Policy {
                mode: match mode {
                    states::Mode::Strict => tcp::Mode::Strict,
                    states::Mode::Liberal => tcp::Mode::Liberal,
                    states::Mode::OneWay => tcp::Mode::OneWay,
                },
                loose,
                syn_ack_picks_up,
                astray: false,
            },
        }
    }

    /// Both judge a packet. What the model says of it, or how they differ.
    pub(crate) fn track(&mut self, segment: &Segment, now: u32) -> Result<Verdict, String> {
        let answer = self.model.track(segment, u64::from(now));
        let policy = Policy {
            astray: segment.astray,
            ..self.policy
        };
        let judgement = self.machine.track(&of(segment), segment.from, &policy, now);
        let model = Outcome {
            verdict: match answer.verdict {
                Verdict::New => "new",
                Verdict::Established => "established",
                Verdict::Reply => "reply",
                Verdict::Invalid => "invalid",
            },
            reason: answer.reason.map_or("none", states::Reason::name),
            entry: self.model.entry.as_ref().map(of_model),
        };
        let machine = Outcome {
            verdict: match judgement.verdict {
                tcp::Verdict::New => "new",
                tcp::Verdict::Established => "established",
                tcp::Verdict::Reply => "reply",
                tcp::Verdict::Invalid => "invalid",
            },
            reason: Reason::name(judgement.reason),
            entry: self.machine.entry().map(of_machine),
        };
        if model == machine {
            Ok(answer.verdict)
        } else {
            Err(format!("model   {model:?}\nmachine {machine:?}"))
        }
    }

    /// Whether a quotation relates, by both.
    pub(crate) fn quote(&self, from: Host, seq: u32) -> Result<(), String> {
        let model = self
            .model
            .entry
            .is_some_and(|entry| states::quote_fits(&entry, from, seq));
        let machine = self.machine.quote_fits(from, Seq(seq));
        if model == machine {
            Ok(())
        } else {
            Err(format!(
                "quotation of {seq}: model {model}, machine {machine}"
            ))
        }
    }
}

/// The segment in the machine's words.
pub(crate) fn of(segment: &Segment) -> tcp::Segment {
    let flag = |set: bool, flag: u16| if set { flag } else { 0 };
    let sacked = segment
        .highest_sack()
        .map_or(0, |edge| edge.wrapping_sub(segment.ack));
    tcp::Segment {
        seq: Seq(segment.seq),
        ack: Seq(segment.ack),
        payload: segment.len,
        sacked,
        window: segment.win,
        flags: flag(segment.syn, tcp::flag::SYN)
            | flag(segment.fin, tcp::flag::FIN)
            | flag(segment.rst, tcp::flag::RST)
            | flag(segment.ack_flag, tcp::flag::ACK),
        scale: segment.offered_scale().unwrap_or(tcp::Segment::NO_SCALE),
        reserved: [0; 3],
    }
}

fn of_model(connection: &Connection) -> Entry {
    let side = |host| {
        let side = connection.side(host);
        (
            side.end.unwrap_or(0),
            side.limit.unwrap_or(0),
            side.window().unwrap_or(0),
            side.acked,
        )
    };
    let closed_early =
        connection.state == State::Closed && connection.side(connection.originator).acks == 0;
    let known = !matches!(connection.state, State::SynSent | State::SynSent2) && !closed_early;
    Entry {
        state: connection.state.name(),
        originator: connection.originator,
        assured: connection.assured,
        expires: connection.expires,
        numbers: known.then(|| [side(Host::Client), side(Host::Server)]),
    }
}

fn of_machine((connection, originator, expires): (tcp::Connection, Host, u32)) -> Entry {
    let side = |numbers: &tcp::Numbers| {
        (
            numbers.end.0,
            numbers.limit.0,
            numbers.window(),
            numbers.acked_known.then_some(numbers.acked.0),
        )
    };
    let mut sides = [side(&connection.own), side(&connection.other)];
    if originator == Host::Server {
        sides.reverse();
    }
    let closed_early = connection.state == tcp::State::Closed && connection.own.acks == 0;
    let known = !connection.state.opening() && !closed_early;
    Entry {
        state: connection.state.name(),
        originator,
        assured: connection.assured,
        expires: u64::from(expires),
        numbers: known.then_some(sides),
    }
}
