//! TCP as STATES.md, section 3 has it: plain, slow, and written from the text before the machine
//! of `flowkeep_core::protocol::tcp` was. The two share no line.
//!
//! One value is one flow between two hosts. Times are milliseconds. What the text leaves open is
//! decided here in words, and `docs/states.md` says why.
#![allow(
    dead_code,
    reason = "each test crate that includes this uses a part of it"
)]

mod bounds;
mod numbers;
mod open;
mod opening;
mod repeats;
mod reset;
mod restart;
mod segment;
mod side;
mod terms;

pub(crate) use bounds::quote_fits;
#[allow(
    unused_imports,
    reason = "each test crate that includes this uses a part of it"
)]
pub(crate) use side::{Side, after};
pub(crate) use terms::*;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) originator: Host,
    pub(crate) state: State,
    /// Who sent the first FIN.
    pub(crate) first_fin: Option<Host>,
    pub(crate) assured: bool,
    client: Side,
    server: Side,
    pub(crate) memory: Memory,
    /// The originator's last SYN, where it is not the highest.
    latest_syn: Option<Syn>,
    /// Acknowledgement of an ACK that answered the SYN without acknowledging it.
    stray_ack: Option<u32>,
    /// The last packet that moved no number, folded to 12 bits, and how often it came again.
    last: Option<u16>,
    repeats: u8,
    /// When it expires.
    pub(crate) expires: u64,
}

impl Connection {
    pub(crate) fn side(&self, host: Host) -> &Side {
        match host {
            Host::Client => &self.client,
            Host::Server => &self.server,
        }
    }

    pub(crate) fn side_mut(&mut self, host: Host) -> &mut Side {
        match host {
            Host::Client => &mut self.client,
            Host::Server => &mut self.server,
        }
    }

    /// Whether the responder has been seen.
    fn answered(&self) -> bool {
        let responder = self.side(self.originator.other());
        match self.state {
            State::SynSent => self.stray_ack.is_some(),
            State::SynSent2 => true,
            _ => responder.scale.is_some() || responder.acks > 0,
        }
    }

    fn own_timeout(&self, timeouts: &Timeouts) -> u64 {
        match self.state {
            State::SynSent | State::SynSent2 => timeouts.syn_sent,
            State::SynRecv => timeouts.syn_recv,
            State::Established => timeouts.established,
            State::FinWait => timeouts.fin_wait,
            State::HalfClosed => timeouts.half_closed,
            State::LastAck => timeouts.last_ack,
            State::TimeWait => timeouts.time_wait,
            State::Closed => timeouts.closed,
        }
    }
}

/// The tracker of one flow.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) settings: Settings,
    pub(crate) entry: Option<Connection>,
}

impl Model {
    pub(crate) const fn new(settings: Settings) -> Self {
        Self {
            settings,
            entry: None,
        }
    }

    /// Judges a packet.
    pub(crate) fn track(&mut self, segment: &Segment, now: u64) -> Answer {
        if self.entry.is_some_and(|entry| entry.expires < now) {
            self.entry = None;
        }
        let Some(kind) = segment.kind() else {
            return Answer {
                verdict: Verdict::Invalid,
                reason: Some(Reason::Flags),
            };
        };
        let reopens = kind == Kind::Syn
            && self
                .entry
                .is_some_and(|entry| matches!(entry.state, State::Closed | State::TimeWait));
        let Some(mut entry) = self.entry.filter(|_| !reopens) else {
            return self.first(kind, segment, now);
        };
        let answered = entry.answered();
        let step = match entry.state {
            State::SynSent => entry.in_syn_sent(kind, segment, &self.settings),
            State::SynSent2 => entry.in_syn_sent2(kind, segment),
            _ => entry.in_open(kind, segment, &self.settings),
        };
        let verdict = match (step.invalid, segment.from == entry.originator) {
            (true, _) => Verdict::Invalid,
            (false, false) => Verdict::Reply,
            // Once a one-way connection has shown a second packet it is established.
            (false, true) if answered => Verdict::Established,
            (false, true) => match (self.settings.mode, entry.state) {
                (Mode::OneWay, State::SynSent) => Verdict::New,
                (Mode::OneWay, _) => Verdict::Established,
                _ => Verdict::New,
            },
        };
        self.set_lifetime(&mut entry, step.lifetime, now);
        self.entry = (!step.remove).then_some(entry);
        Answer {
            verdict,
            reason: step.reason,
        }
    }

    fn set_lifetime(&self, entry: &mut Connection, lifetime: Lifetime, now: u64) {
        let timeouts = &self.settings.timeouts;
        let own = entry.own_timeout(timeouts);
        let one_way = self.settings.mode == Mode::OneWay && !entry.answered();
        entry.expires = match lifetime {
            Lifetime::Unchanged => entry.expires,
            Lifetime::Own | Lifetime::AtMost if one_way => now + own * 1000 / 2,
            Lifetime::Own => now + own * 1000,
            Lifetime::AtMost => now + own.min(timeouts.at_most) * 1000,
            Lifetime::Doubtful => entry.expires.min(now + timeouts.at_most * 1000),
        };
    }

    /// A packet without an entry, or a SYN that begins a new connection in the place of a closed
    /// one: from either side, whoever has closed it.
    fn first(&mut self, kind: Kind, segment: &Segment, now: u64) -> Answer {
        let mode = self.settings.mode;
        let (originator, state, verdict) = match kind {
            Kind::Syn => (segment.from, State::SynSent, Verdict::New),
            Kind::SynAck if mode == Mode::OneWay => (segment.from, State::SynRecv, Verdict::New),
            Kind::SynAck if self.settings.syn_ack_picks_up => {
                (segment.from.other(), State::SynRecv, Verdict::Reply)
            }
            Kind::Ack if !segment.fin && self.settings.loose => {
                (segment.from, State::Established, Verdict::New)
            }
            _ => {
                return Answer {
                    verdict: Verdict::Invalid,
                    reason: Some(match kind {
                        Kind::SynAck => Reason::SynAckStray,
                        Kind::SynFinAck => Reason::Flags,
                        Kind::Ack if !segment.fin => Reason::MidStream,
                        _ => Reason::NoEntry,
                    }),
                };
            }
        };
        let mut entry = Connection {
            originator,
            state,
            first_fin: None,
            assured: false,
            client: Side::UNSEEN,
            server: Side::UNSEEN,
            memory: Memory::Nothing,
            latest_syn: None,
            stray_ack: None,
            last: None,
            repeats: 0,
            expires: 0,
        };
        match kind {
            Kind::Syn => entry.first_syn(segment),
            _ => entry.pick_up(segment),
        }
        let lifetime = match state {
            // Picked up and unanswered.
            State::Established => Lifetime::AtMost,
            _ => Lifetime::Own,
        };
        self.set_lifetime(&mut entry, lifetime, now);
        self.entry = Some(entry);
        Answer {
            verdict,
            reason: None,
        }
    }
}
