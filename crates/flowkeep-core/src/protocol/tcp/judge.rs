//! From a packet to its judgement.

use super::segment::flag;
use super::{
    Connection, Fate, Judgement, Memory, Mode, Numbers, Policy, Reason, Segment, State, Timeout,
    Verdict,
};

/// What a segment is by its flags; PSH, URG, ECE, CWR and AE are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Syn,
    SynAck,
    /// Legal where a fast open is answered and closed at once.
    SynFinAck,
    Rst,
    /// With or without FIN: every segment after the first carries an ACK (RFC 9293, 3.10.7.4).
    Ack,
}

impl Kind {
    #[inline]
    pub(super) const fn of(segment: &Segment) -> Option<Self> {
        const SYN_ACK: u16 = flag::SYN | flag::ACK;
        const SYN_FIN_ACK: u16 = SYN_ACK | flag::FIN;
        const RST_ACK: u16 = flag::RST | flag::ACK;
        const FIN_ACK: u16 = flag::FIN | flag::ACK;
        match segment.flags & flag::KIND {
            flag::ACK | FIN_ACK => Some(Self::Ack),
            flag::SYN => Some(Self::Syn),
            SYN_ACK => Some(Self::SynAck),
            flag::RST | RST_ACK => Some(Self::Rst),
            SYN_FIN_ACK => Some(Self::SynFinAck),
            _ => None,
        }
    }
}

/// What a packet did, before anybody asks from which side it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) valid: bool,
    pub(super) reason: Reason,
    pub(super) timeout: Timeout,
    pub(super) fate: Fate,
}

impl Step {
    /// It belongs, and renews the entry.
    pub(super) const fn renews(timeout: Timeout) -> Self {
        Self {
            valid: true,
            reason: Reason::None,
            timeout,
            fate: Fate::Update,
        }
    }

    /// It belongs, and renews nothing. Something may have been remembered of it.
    pub(super) const fn passes(reason: Reason) -> Self {
        Self {
            valid: true,
            reason,
            timeout: Timeout::Unchanged,
            fate: Fate::Update,
        }
    }

    pub(super) const fn invalid(reason: Reason) -> Self {
        Self {
            valid: false,
            reason,
            timeout: Timeout::Unchanged,
            fate: Fate::Keep,
        }
    }

    pub(super) const fn with_fate(self, fate: Fate) -> Self {
        Self { fate, ..self }
    }

    pub(super) const fn with_timeout(self, timeout: Timeout) -> Self {
        Self { timeout, ..self }
    }

    pub(super) const fn with_reason(self, reason: Reason) -> Self {
        Self { reason, ..self }
    }
}

impl Connection {
    /// The first packet of a connection: of none that is known, or a SYN in place of a closed
    /// one. If its fate is [`Fate::Begin`] this is the new connection, seen from its sender;
    /// otherwise nothing of it means anything.
    pub fn begin(&mut self, segment: &Segment, policy: &Policy) -> Judgement {
        *self = Self::EMPTY;
        let Some(kind) = Kind::of(segment) else {
            return Judgement::invalid(Reason::Flags);
        };
        let mut timeout = Timeout::Own;
        let mut verdict = Verdict::New;
        match kind {
            Kind::Syn => self.begin_by_syn(segment),
            Kind::SynAck if policy.mode == Mode::OneWay => {
                self.pick_up(segment);
                self.state = State::SynRecv;
            }
            Kind::SynAck if policy.syn_ack_picks_up => {
                self.pick_up(segment);
                self.state = State::SynRecv;
                self.by_originator = false;
                verdict = Verdict::Reply;
            }
            Kind::SynAck => return Judgement::invalid(Reason::SynAckStray),
            Kind::SynFinAck => return Judgement::invalid(Reason::Flags),
            Kind::Rst => return Judgement::invalid(Reason::NoEntry),
            Kind::Ack if segment.has(flag::FIN) => return Judgement::invalid(Reason::NoEntry),
            Kind::Ack if !policy.loose => return Judgement::invalid(Reason::MidStream),
            Kind::Ack => {
                self.pick_up(segment);
                self.state = State::Established;
                timeout = Timeout::AtMost;
            }
        }
        Judgement {
            verdict,
            reason: Reason::None,
            timeout: self.halved(timeout, policy),
            fate: Fate::Begin,
        }
    }

    /// A packet of a known connection, which is seen from the packet's sender.
    ///
    /// With [`Fate::Update`], judging a packet again after some of the words that it changed have
    /// been written, in the order that [`Words`](super::Words) gives, leads to the same state:
    /// numbers grow to where they are, and states follow from them.
    pub fn judge(&mut self, segment: &Segment, policy: &Policy) -> Judgement {
        let Some(kind) = Kind::of(segment) else {
            return Judgement::invalid(Reason::Flags);
        };
        // RFC 9293, 3.6.1, and whoever has reset the old connection.
        if kind == Kind::Syn && matches!(self.state, State::TimeWait | State::Closed) {
            return self.begin(segment, policy);
        }
        let answered = self.answered();
        let step = match self.state {
            State::SynSent if self.by_originator => {
                self.originator_in_syn_sent(kind, segment, policy)
            }
            State::SynSent => self.responder_in_syn_sent(kind, segment, policy),
            State::SynSent2 => self.in_syn_sent2(kind, segment, policy),
            _ => self.in_live(kind, segment, policy),
        };
        Judgement {
            verdict: self.verdict(step.valid, answered, policy),
            reason: step.reason,
            timeout: self.halved(step.timeout, policy),
            fate: step.fate,
        }
    }

    #[inline]
    fn in_live(&mut self, kind: Kind, segment: &Segment, policy: &Policy) -> Step {
        if self.never_open() {
            return Step::invalid(Reason::NoEntry);
        }
        let before = *self;
        let step = match kind {
            Kind::Ack => self.segment(segment, policy),
            Kind::Rst => self.rst(segment),
            Kind::Syn => self.syn_on_live(segment),
            Kind::SynAck | Kind::SynFinAck => self.syn_ack_on_live(kind, segment),
        };
        if step.fate == Fate::Update && self.torn_if_written_apart(&before) {
            step.with_fate(Fate::Rewrite)
        } else {
            step
        }
    }

    /// Whether words that were written one after the other would mean something wrong in between:
    /// another kind of memory beside a gap, a FIN that is ahead or was, a gap closed by going
    /// beyond it, the other side's numbers.
    fn torn_if_written_apart(&self, before: &Self) -> bool {
        let gap = before.has_gap() || self.has_gap();
        let kind = !before.memory.is_like(self.memory) && (gap || before.memory.is_far());
        let fin = before.own.fin_ahead
            || self.own.fin_ahead
            || before.other.fin_ahead != self.other.fin_ahead;
        let own_moved = before.own.sent != self.own.sent;
        let closed = own_moved && before.own.has_gap() && !self.own.has_gap();
        let other_moved = before.other.sent != self.other.sent;
        // Until somebody has answered, nothing is proven anyway.
        let unanswered = before.by_originator && !before.answered();
        kind || fin || closed || other_moved && !unanswered
    }

    const fn verdict(&self, valid: bool, answered: bool, policy: &Policy) -> Verdict {
        if !valid {
            return Verdict::Invalid;
        }
        if !self.by_originator {
            return Verdict::Reply;
        }
        // A second packet establishes a connection of which only one direction is seen.
        let one_way = matches!(policy.mode, Mode::OneWay) && !matches!(self.state, State::SynSent);
        if answered || one_way {
            Verdict::Established
        } else {
            Verdict::New
        }
    }

    const fn halved(&self, timeout: Timeout, policy: &Policy) -> Timeout {
        match timeout {
            Timeout::Own | Timeout::AtMost
                if matches!(policy.mode, Mode::OneWay) && !self.answered() =>
            {
                Timeout::Half
            }
            _ => timeout,
        }
    }

    /// In mid-stream: the unseen side's numbers are taken from the acknowledgement, and nothing
    /// is known of its window.
    pub(super) fn pick_up(&mut self, segment: &Segment) {
        let end = segment.end();
        self.own = Numbers {
            end,
            sent: end,
            acks: 1,
            // A SYN is not acknowledged.
            acked: segment.seq,
            acked_known: segment.has(flag::SYN),
            ..Numbers::UNSEEN
        };
        self.other = Numbers {
            end: segment.ack,
            sent: segment.ack,
            acked: segment.ack,
            acked_known: true,
            ..Numbers::UNSEEN
        };
        let unit = self.own.scale.shift();
        self.own.limit = end.plus(u32::from(u16::MAX) << unit).round_up(unit);
        let edge = segment.ack.plus(u32::from(segment.window) << unit);
        self.other.limit = edge.round_up(unit);
        self.own.offer(u32::from(segment.window));
        self.memory = Memory::NOTHING;
    }
}
