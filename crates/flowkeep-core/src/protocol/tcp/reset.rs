//! RST on a connection that has its numbers (RFC 5961, 3.2).

use super::judge::Step;
use super::{Connection, Memory, Reason, Segment, State, Timeout};

impl Connection {
    /// The sequence number alone decides (RFC 9293, 3.10.7.4): exactly the next one ends it.
    pub(super) fn rst(&mut self, segment: &Segment) -> Step {
        let (seq, limit) = (segment.seq, self.own_limit());
        let beyond = seq.after(limit);
        if self.state == State::Closed {
            return match (beyond, self.is_old(seq)) {
                (true, _) => Step::invalid(Reason::SeqFar),
                (false, true) => Step::invalid(Reason::RstBelow),
                (false, false) => Step::renews(Timeout::Own),
            };
        }
        if seq == self.own.end || self.is_own_acked(seq) {
            return self.reset();
        }
        // It answers a SYN on the live connection. Whoever forged that may have forged this too.
        if self.answers_candidate(segment) {
            return Step::passes(Reason::RstInexact).with_timeout(Timeout::Doubtful);
        }
        if beyond {
            return if seq.since(limit) > self.other.window() {
                Step::invalid(Reason::SeqFar)
            } else {
                Step::passes(Reason::SeqOver)
            };
        }
        let below = if self.own.acked_known {
            seq.before(self.own.acked)
        } else {
            self.is_old(seq)
        };
        if below {
            return Step::invalid(Reason::RstBelow);
        }
        // Little is left to lose, and stacks do send such (the kernel's own test asks for it).
        if self.state == State::HalfClosed {
            return self.reset();
        }
        let step = Step::passes(Reason::RstInexact);
        // At the end of what came out of sequence: if that was forged, so may this be.
        if seq == self.own.sent {
            step.with_timeout(Timeout::Doubtful)
        } else {
            step
        }
    }

    fn reset(&mut self) -> Step {
        // It counts as an acknowledgement of all.
        self.own.count_ack();
        self.assure();
        self.memory = Memory::NOTHING;
        self.state = State::Closed;
        Step::renews(Timeout::Own)
    }
}
