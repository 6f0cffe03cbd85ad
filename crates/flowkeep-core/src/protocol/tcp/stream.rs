//! A segment with ACK and without SYN and RST, on a connection that has its numbers.

use super::bounds::Bounds;
use super::connection::{ACKS, ALLOWANCE};
use super::judge::Step;
use super::segment::flag;
use super::transition::Fins;
use super::{Connection, Memory, Mode, Numbers, Policy, Reason, Segment, Seq, State, Timeout};

impl Connection {
    pub(super) fn segment(&mut self, segment: &Segment, policy: &Policy) -> Step {
        let unanswered = self.picked_up() && !self.answered() && self.state != State::Closed;
        if unanswered && self.by_originator {
            if !segment.has(flag::FIN) || self.fin_continues(segment) {
                self.adopt(segment);
                return self.fitting(segment, policy);
            }
        } else if unanswered
            && self.state != State::SynRecv
            && segment.ack == self.other.end.plus(1)
        {
            // An answer of END+1 tells that what was picked up was a keep-alive probe.
            let before = self.other;
            self.other.begin(segment.ack);
            if self.bounds(segment).hold() {
                let step = self.fitting(segment, policy);
                if step.reason != Reason::None {
                    self.other = before;
                }
                return step;
            }
            self.other = before;
        }
        self.bounded(segment, policy)
    }

    fn bounded(&mut self, segment: &Segment, policy: &Policy) -> Step {
        let bounds = self.bounds(segment);
        if bounds.hold() {
            return self.fitting(segment, policy);
        }
        let next = segment.seq == self.own.end
            || segment.seq == self.own.sent
            || segment.has(flag::FIN) && self.fin_continues(segment);
        if bounds.reason == Reason::SeqOver && next && self.state != State::Closed {
            return self.oversized(segment, policy);
        }
        self.misfit(segment, policy, bounds)
    }

    /// Its sender goes on exactly where it was: the window only was too small.
    fn oversized(&mut self, segment: &Segment, policy: &Policy) -> Step {
        let step = self.fitting(segment, policy);
        if step.reason != Reason::None {
            return step;
        }
        let renews = segment.has(flag::FIN) || self.lenient(policy);
        step.with_reason(Reason::SeqOver).with_timeout(if renews {
            step.timeout
        } else {
            Timeout::Unchanged
        })
    }

    /// A pick-up is lenient until both sides have acknowledged each other twice; and where both
    /// sides have a gap, so much may be lost before the tracker that neither proves the other's.
    fn lenient(&self, policy: &Policy) -> bool {
        self.by_guess(policy) || self.own.has_gap() && self.other.has_gap()
    }

    /// Whether bounds mean little.
    fn by_guess(&self, policy: &Policy) -> bool {
        let few_acks = self.own.acks < ACKS || self.other.acks < ACKS;
        policy.mode == Mode::Liberal || self.picked_up() && few_acks
    }

    /// The bounds hold.
    fn fitting(&mut self, segment: &Segment, policy: &Policy) -> Step {
        if self.state == State::Closed {
            // What was on the way belongs to it.
            return Step::renews(Timeout::Own);
        }
        let first_ack = self.own.acks == 0 && (self.state == State::SynRecv || !self.picked_up());
        if first_ack && !self.acknowledges_syn(segment) {
            return Step::passes(Reason::AckOld);
        }
        let mut fins = Fins::default();
        if segment.has(flag::FIN) {
            let repeated = self.own_fin() && segment.end() == self.own.end;
            fins.own = !repeated;
            if !repeated && !self.fin_continues(segment) {
                self.remember_fin(segment, false);
                return Step::passes(Reason::FinInexact);
            }
        }
        // It shows that the old numbers live.
        if self.memory.candidate().is_some() {
            self.memory = Memory::NOTHING;
        }
        let before = self.moving();
        self.use_windows(segment);
        let trusted = segment.seq == self.own.end;
        let own = &self.own;
        let follows = own.has_gap() && own.credible && segment.seq == own.sent;
        if !self.own_fin() {
            let exact = fins.own;
            fins.own |= self.send(segment, exact);
        }
        fins.other = self.acknowledge(segment, trusted, follows);
        self.allow(segment);
        let first_seen = self.own.acks == 0;
        self.own.count_ack();
        let astray = policy.astray && (first_seen || self.own.astray);
        self.own.astray = !self.by_originator && astray;
        self.follow(fins, policy);
        if !segment.has(flag::FIN) {
            let moved = before != self.moving();
            self.count_repeats(segment, moved);
        }
        Step::renews(self.lifetime(segment))
    }

    /// Nobody has answered a pick-up: its latest packet tells the numbers, unless it is a
    /// retransmission.
    fn adopt(&mut self, segment: &Segment) {
        let is_recent = |end: Seq, number: Seq| end.since(number) <= ALLOWANCE;
        let unit = self.own.scale.shift();
        let end = segment.end();
        if !is_recent(self.own.end, end) {
            self.own.begin(end);
            self.own.acked_known = false;
            self.own.limit = end.plus(u32::from(u16::MAX) << unit).round_up(unit);
            self.memory = Memory::NOTHING;
        }
        if !is_recent(self.other.end, segment.ack) {
            self.other.begin(segment.ack);
            self.other.set_acked(segment.ack);
            let edge = segment.ack.plus(u32::from(segment.window) << unit);
            self.other.limit = edge.round_up(unit);
        }
    }

    /// Whether a FIN continues what its side has sent: it begins there, it is the next number, or
    /// it is counted already.
    fn fin_continues(&self, segment: &Segment) -> bool {
        let (end, own) = (segment.end(), self.own.end);
        !self.own_fin()
            && (segment.seq == own
                || end == own.plus(1)
                || end == own
                || self.is_own_acked(segment.seq))
    }

    /// A FIN that does not: it takes effect when the gap is filled, or when the other side
    /// acknowledges just its number.
    fn remember_fin(&mut self, segment: &Segment, far: bool) {
        let end = segment.end();
        if self.own_fin() {
            return;
        }
        if far {
            self.memory = Memory::far(self.by_originator, end, true);
            return;
        }
        self.memory = Memory::NOTHING;
        let own = &mut self.own;
        // Data beyond it contradicts it. Of two that came before their time the last counts.
        let contradicted = !own.fin_ahead && own.sent.after(end.minus(1));
        if !contradicted && end.after(own.end) && end.since(own.end) < Numbers::AHEAD {
            own.sent = end;
            own.fin_ahead = true;
            own.credible = false;
        }
    }

    /// Not all bounds hold.
    fn misfit(&mut self, segment: &Segment, policy: &Policy, bounds: Bounds) -> Step {
        if let Some(step) = self.continues_candidate(segment, policy) {
            return step;
        }
        let reason = bounds.reason;
        let passes = Step::passes(reason);
        let plain = if bounds.passes {
            passes
        } else {
            Step::invalid(reason)
        };
        if self.state == State::Closed {
            return plain;
        }
        // What was too far ahead to be remembered is proven by a packet of the exact number.
        if reason == Reason::AckUnseen
            && bounds.passes
            && segment.seq == self.own.end
            && !self.other_fin()
            && segment.ack.since(self.other.end) >= Numbers::AHEAD
        {
            self.other.begin(segment.ack);
            self.other.set_acked(segment.ack);
        }
        let lenient = self.lenient(policy);
        let beyond = reason == Reason::SeqFar;
        if segment.has(flag::FIN) {
            let in_window = bounds.passes && matches!(reason, Reason::SeqOver | Reason::AckUnseen);
            if in_window || beyond && self.by_guess(policy) {
                self.remember_fin(segment, !in_window);
            }
            return if lenient { passes } else { plain };
        }
        let own_fin = self.own_fin();
        if reason == Reason::SeqOver && !own_fin && self.send(segment, false) {
            let fins = Fins {
                own: true,
                other: false,
            };
            self.follow(fins, &Policy::default());
        }
        if !lenient {
            return plain;
        }
        if beyond && policy.mode == Mode::Liberal && !own_fin && segment.payload > 0 {
            self.memory = Memory::far(self.by_originator, segment.end(), false);
        }
        Step::renews(self.lifetime(segment)).with_reason(reason)
    }
}
