//! Once both sides' numbers are known: from `syn_recv` to `closed`.

use super::Step;
use super::bounds::Bounds;
use super::side::{after, round_up};
use super::{Connection, Host, Kind, Lifetime, Memory, Mode, Reason, Segment, Settings, State};

impl Connection {
    pub(crate) fn in_open(&mut self, kind: Kind, segment: &Segment, settings: &Settings) -> Step {
        if self.state == State::Closed && self.client.acks == 0 && self.server.acks == 0 {
            // Closed before it was open: no number is known that a packet could belong to.
            return Step::invalid(Reason::NoEntry);
        }
        let step = match kind {
            Kind::Syn => self.syn_on_live(segment),
            Kind::SynAck | Kind::SynFinAck => self.syn_ack_on_live(kind, segment),
            Kind::Rst => self.rst(segment),
            Kind::Ack => self.segment(segment, settings),
        };
        self.forget();
        step
    }

    /// Whether the numbers of a side were taken from the middle of a stream.
    pub(super) fn picked_up(&self) -> bool {
        self.client.scale.is_none() || self.server.scale.is_none()
    }

    /// A pick-up is lenient until both sides have acknowledged each other twice; and where both
    /// sides have a gap, so much may be lost before the tracker that neither proves the other's.
    pub(super) fn lenient(&self, settings: &Settings) -> bool {
        self.by_guess(settings) || self.client.has_gap() && self.server.has_gap()
    }

    /// Whether bounds mean little.
    pub(super) fn by_guess(&self, settings: &Settings) -> bool {
        settings.mode == Mode::Liberal
            || self.picked_up() && (self.client.acks < 2 || self.server.acks < 2)
    }

    pub(super) fn fin_of(&self, host: Host) -> bool {
        match self.state {
            State::FinWait | State::HalfClosed => self.first_fin == Some(host),
            State::LastAck | State::TimeWait => true,
            _ => false,
        }
    }

    /// Open, with evidence: a handshake is worth as much as two acknowledgements each way.
    pub(super) fn assure(&mut self) {
        let enough = if self.picked_up() { 2 } else { 1 };
        self.assured |= self.state == State::Established
            && self.client.acks >= enough
            && self.server.acks >= enough
            && !self.side(self.originator.other()).astray;
    }

    /// A SYN-ACK on a connection that has its numbers.
    fn syn_ack_on_live(&mut self, kind: Kind, segment: &Segment) -> Step {
        let from = segment.from;
        if kind == Kind::SynAck
            && self.state == State::SynRecv
            && self.side(from).acks == 0
            && self.acknowledges_syn(segment)
        {
            self.second_syn_ack(segment);
            return Step::fits(Lifetime::Own);
        }
        if kind == Kind::SynAck
            && let Some(step) = self.syn_ack_to_candidate(segment)
        {
            return step;
        }
        // Sent again.
        let end = self.side(from).end.unwrap_or(0);
        let same_syn = self.state == State::SynRecv && self.side(from).acked == Some(segment.seq);
        let known = same_syn || !after(segment.end(), end) && self.bounds(segment) == Bounds::Holds;
        let fin_known = segment.end() == end && self.fin_of(from);
        match kind {
            Kind::SynFinAck if known && fin_known => Step::passes(None),
            Kind::SynFinAck => Step::invalid(Reason::Flags),
            _ if known => Step::passes(None),
            _ => Step::invalid(Reason::SynAckStray),
        }
    }

    /// Whether a packet acknowledges the other side's SYN, which nobody has acknowledged yet.
    pub(super) fn acknowledges_syn(&self, segment: &Segment) -> bool {
        let it = self.side(segment.from.other());
        let end = it.end.unwrap_or(0);
        match it.acked {
            Some(before_syn) => !after(before_syn, segment.ack) && !after(segment.ack, end),
            // Where that was forgotten, an exact number of its own is as good.
            None => {
                let exact = self.side(segment.from).end == Some(segment.seq);
                segment.ack == end || exact && !after(segment.ack, end)
            }
        }
    }

    /// Both sides answer the other's SYN by a SYN-ACK. If it has another number than the SYN of
    /// its sender, that SYN was forged.
    fn second_syn_ack(&mut self, segment: &Segment) {
        let (from, to) = (segment.from, segment.from.other());
        let window = u32::from(segment.win);
        let end = segment.end();
        if self.side(from).end != Some(end) {
            let shift = self.side(to).shift();
            let allowed = self.side(to).window().unwrap_or(1);
            let begin = segment.seq.wrapping_add(1);
            self.side_mut(to).acks = 0;
            let me = self.side_mut(from);
            me.end = Some(end);
            me.sent = Some(end);
            me.fin_ahead = false;
            me.acked = Some(segment.seq);
            me.limit = Some(round_up(begin.wrapping_add(allowed), shift));
        }
        let units = window.div_ceil(1 << self.side(from).shift());
        let me = self.side_mut(from);
        me.offer_units(units);
        me.acks = 1;
        let it = self.side_mut(to);
        it.acked = it.end;
        self.allow(from, segment.ack.wrapping_add(window));
        self.memory = Memory::Nothing;
    }
}
