//! A segment with ACK and without SYN and RST, on a connection that has its numbers.

use super::Step;
use super::bounds::Bounds;
use super::side::{AHEAD, ALLOWANCE, after};
use super::{Connection, Host, Lifetime, Memory, Mode, Reason, Segment, Settings, Side, State};

impl Connection {
    /// A segment with ACK and without SYN and RST.
    pub(super) fn segment(&mut self, segment: &Segment, settings: &Settings) -> Step {
        let (from, to) = (segment.from, segment.from.other());
        let unanswered = self.picked_up() && !self.answered() && self.state != State::Closed;
        let seen_before = *self;
        let adopted =
            unanswered && from == self.originator && (!segment.fin || self.fin_continues(segment));
        if adopted {
            self.adopt(segment);
        }
        // An answer of END+1 tells that the packet that was picked up was a keep-alive probe.
        let probed = self.side(to).end.map(|end| end.wrapping_add(1));
        if unanswered
            && from != self.originator
            && self.state != State::SynRecv
            && probed == Some(segment.ack)
        {
            self.side_mut(to).end = probed;
            self.side_mut(to).sent = probed;
        }
        if self.bounds(segment) != Bounds::Holds && !adopted {
            *self = seen_before;
        }
        let bounds = self.bounds(segment);
        // Where its sender went on exactly where it was, the window only was too small.
        let side = self.side(from);
        let next = side.end == Some(segment.seq)
            || side.sent == Some(segment.seq)
            || segment.fin && self.fin_continues(segment);
        let over = bounds == Bounds::Passes(Reason::SeqOver)
            && !adopted
            && next
            && self.state != State::Closed;
        if !adopted && !over && bounds != Bounds::Holds {
            return self.misfit(segment, settings, bounds);
        }
        let step = self.fits(segment, settings, seen_before);
        if !over || step.reason.is_some() {
            return step;
        }
        let renews = segment.fin || self.lenient(settings);
        Step {
            reason: Some(Reason::SeqOver),
            lifetime: if renews {
                step.lifetime
            } else {
                Lifetime::Unchanged
            },
            ..step
        }
    }

    /// The bounds hold; before anything was changed, the connection was `seen_before`.
    fn fits(&mut self, segment: &Segment, settings: &Settings, seen_before: Self) -> Step {
        let (from, to) = (segment.from, segment.from.other());
        if self.state == State::Closed {
            // What was on the way belongs to it.
            *self = seen_before;
            return Step::fits(Lifetime::Own);
        }
        let first_ack =
            self.side(from).acks == 0 && (self.state == State::SynRecv || !self.picked_up());
        if first_ack && !self.acknowledges_syn(segment) {
            *self = seen_before;
            return Step::passes(Some(Reason::AckOld));
        }
        let mut fins = [false; 2];
        if segment.fin {
            let repeated = self.fin_of(from) && self.side(from).end == Some(segment.end());
            if !repeated && !self.fin_continues(segment) {
                *self = seen_before;
                self.remember_fin(segment, false);
                return Step::passes(Some(Reason::FinInexact));
            }
            fins[0] = !repeated;
        }
        self.drop_candidate();
        let before = (self.client, self.server);
        self.windows(segment);
        let trusted = self.side(from).end == Some(segment.seq);
        let me = self.side(from);
        let follows = me.has_gap() && me.credible && me.sent == Some(segment.seq);
        if !self.fin_of(from) {
            fins[0] |= self.sends(segment, fins[0]);
        }
        fins[1] = self.acknowledges(segment, trusted, follows);
        let edge = self.sent_up_to(to);
        let allowed = u32::from(segment.win) << self.side(from).shift();
        let lower = if after(segment.ack, edge) {
            edge
        } else {
            segment.ack
        };
        self.allow(from, lower.wrapping_add(allowed));
        self.count_ack(from);
        let before_me = seen_before.side(from);
        self.side_mut(from).astray = segment.astray && (before_me.acks == 0 || before_me.astray);
        let one_way = settings.mode == Mode::OneWay && !self.answered();
        self.transitions(from, fins, one_way);
        if !segment.fin {
            let numbers = |side: &Side| (side.end, side.sent, side.fin_ahead, side.acked);
            let moved = numbers(&before.0) != numbers(&self.client)
                || numbers(&before.1) != numbers(&self.server);
            self.count_repeats(segment, moved);
        }
        if self.needs_answer(segment) {
            Step::fits(Lifetime::AtMost)
        } else {
            Step::fits(Lifetime::Own)
        }
    }

    fn misfit(&mut self, segment: &Segment, settings: &Settings, bounds: Bounds) -> Step {
        if let Some(step) = self.continues_candidate(segment) {
            return step;
        }
        let (reason, passes) = match bounds {
            Bounds::Passes(reason) => (reason, true),
            Bounds::Invalid(reason) => (reason, false),
            Bounds::Holds => return Step::fits(Lifetime::Own),
        };
        let plain = if passes {
            Step::passes(Some(reason))
        } else {
            Step::invalid(reason)
        };
        if self.state == State::Closed {
            return plain;
        }
        // What was too far ahead to be remembered is proven by a packet of the exact number.
        let (from, to) = (segment.from, segment.from.other());
        if reason == Reason::AckUnseen
            && passes
            && self.side(from).end == Some(segment.seq)
            && !self.fin_of(to)
            && segment.ack.wrapping_sub(self.side(to).end.unwrap_or(0)) >= AHEAD
        {
            self.side_mut(to).prove(segment.ack);
        }
        let lenient = self.lenient(settings);
        if segment.fin {
            // It passes without effect; that the other side acknowledges its number is evidence.
            let in_window = matches!(reason, Reason::SeqOver | Reason::AckUnseen) && passes;
            if in_window || self.by_guess(settings) && reason == Reason::SeqFar {
                self.remember_fin(segment, !in_window);
            }
            return if lenient {
                Step::passes(Some(reason))
            } else {
                plain
            };
        }
        if reason == Reason::SeqOver && !self.fin_of(segment.from) && self.sends(segment, false) {
            self.transitions(segment.from, [true, false], false);
        }
        if !lenient {
            return plain;
        }
        if reason == Reason::SeqFar
            && settings.mode == Mode::Liberal
            && !self.fin_of(segment.from)
            && segment.len > 0
        {
            self.memory = Memory::Far {
                of: segment.from,
                to: segment.end(),
                fin: false,
            };
        }
        Step {
            reason: Some(reason),
            ..Step::fits(if self.needs_answer(segment) {
                Lifetime::AtMost
            } else {
                Lifetime::Own
            })
        }
    }

    /// Nobody has answered the pick-up: its latest packet tells the numbers, unless it is a
    /// retransmission.
    fn adopt(&mut self, segment: &Segment) {
        let old = |end: u32, number: u32| end.wrapping_sub(number) <= ALLOWANCE;
        let (from, to) = (segment.from, segment.from.other());
        let me = *self.side(from);
        let it = *self.side(to);
        let mut fresh = *self;
        fresh.pick_up(segment);
        if !me.end.is_some_and(|end| old(end, segment.end())) {
            self.side_mut(from).end = fresh.side(from).end;
            self.side_mut(from).sent = fresh.side(from).end;
            self.side_mut(from).fin_ahead = false;
            self.side_mut(from).limit = fresh.side(from).limit;
            self.side_mut(from).acked = None;
            self.memory = Memory::Nothing;
        }
        if !it.end.is_some_and(|end| old(end, segment.ack)) {
            self.side_mut(to).end = fresh.side(to).end;
            self.side_mut(to).sent = fresh.side(to).end;
            self.side_mut(to).fin_ahead = false;
            self.side_mut(to).acked = fresh.side(to).acked;
            self.side_mut(to).limit = fresh.side(to).limit;
        }
    }

    /// Whether a FIN continues what its side has sent: it begins there, it is the next number, or
    /// it is counted already.
    fn fin_continues(&self, segment: &Segment) -> bool {
        let me = self.side(segment.from);
        let number = segment.end().wrapping_sub(1);
        !self.fin_of(segment.from)
            && (me.end == Some(segment.seq)
                || me.end == Some(number)
                || me.end == Some(segment.end())
                || self.acknowledged(segment.from) == Some(segment.seq))
    }

    fn remember_fin(&mut self, segment: &Segment, far: bool) {
        let from = segment.from;
        if self.fin_of(from) {
            return;
        }
        if far {
            self.memory = Memory::Far {
                of: from,
                to: segment.end(),
                fin: true,
            };
            return;
        }
        self.memory = Memory::Nothing;
        let me = self.side_mut(from);
        let end = me.end.unwrap_or(0);
        let sent = me.sent.unwrap_or(end);
        // What was sent beyond it contradicts it. Of two that came before their time the last
        // counts.
        let contradicted = !me.fin_ahead && after(sent, segment.end().wrapping_sub(1));
        if !contradicted && after(segment.end(), end) && segment.end().wrapping_sub(end) < AHEAD {
            me.sent = Some(segment.end());
            me.fin_ahead = true;
            me.credible = false;
        }
    }

    fn transitions(&mut self, from: Host, [own, other]: [bool; 2], one_way: bool) {
        let all_acked = |side: &Side| side.acked.is_some() && side.acked == side.end;
        let open = self.client.acks > 0 && self.server.acks > 0;
        if self.state == State::SynRecv && (open || one_way && from == self.originator) {
            self.state = State::Established;
        }
        self.assure();
        for host in [other.then_some(from.other()), own.then_some(from)]
            .into_iter()
            .flatten()
        {
            if one_way {
                self.state = State::Closed;
                return;
            }
            match self.state {
                State::SynRecv | State::Established => {
                    self.state = State::FinWait;
                    self.first_fin = Some(host);
                }
                State::FinWait | State::HalfClosed => self.state = State::LastAck,
                _ => {}
            }
        }
        if self.state == State::FinWait
            && self
                .first_fin
                .is_some_and(|first| all_acked(self.side(first)))
        {
            self.state = State::HalfClosed;
        }
        if self.state == State::LastAck && all_acked(&self.client) && all_acked(&self.server) {
            self.state = State::TimeWait;
        }
    }
}
