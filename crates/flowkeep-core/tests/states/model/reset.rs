//! RST on a connection that has its numbers (RFC 5961, 3.2).

use super::side::{after, before};
use super::{Connection, Host, Lifetime, Memory, Reason, Segment, State, Step};

impl Connection {
    /// RFC 5961, 3.2. The sequence number decides alone (RFC 9293, 3.10.7.4).
    pub(super) fn rst(&mut self, segment: &Segment) -> Step {
        let from = segment.from;
        let me = *self.side(from);
        let end = me.end.unwrap_or(0);
        let its_window = self.side(from.other()).window();
        let limit = if self.fin_of(from) {
            end
        } else {
            me.limit.unwrap_or(end)
        };
        let old = !after(
            segment.seq,
            end.wrapping_sub(its_window.unwrap_or(0)).wrapping_sub(1),
        );
        if self.state == State::Closed {
            return if after(segment.seq, limit) {
                Step::invalid(Reason::SeqFar)
            } else if old {
                Step::invalid(Reason::RstBelow)
            } else {
                Step::fits(Lifetime::Own)
            };
        }
        if segment.seq == end || self.acknowledged(from) == Some(segment.seq) {
            return self.reset(from);
        }
        if self.rst_to_candidate(segment) {
            return Step {
                lifetime: Lifetime::Doubtful,
                ..Step::passes(Some(Reason::RstInexact))
            };
        }
        if after(segment.seq, limit) {
            return if segment.seq.wrapping_sub(limit) > its_window.unwrap_or(0) {
                Step::invalid(Reason::SeqFar)
            } else {
                Step::passes(Some(Reason::SeqOver))
            };
        }
        let below = me.acked.map_or(old, |acked| before(segment.seq, acked));
        if below {
            return Step::invalid(Reason::RstBelow);
        }
        if self.state == State::HalfClosed {
            return self.reset(from);
        }
        // At the end of what came out of sequence: whoever forged that knows the number too.
        Step {
            lifetime: if me.sent == Some(segment.seq) {
                Lifetime::Doubtful
            } else {
                Lifetime::Unchanged
            },
            ..Step::passes(Some(Reason::RstInexact))
        }
    }

    fn reset(&mut self, by: Host) -> Step {
        // A RST counts as an acknowledgement of all.
        self.count_ack(by);
        self.assure();
        self.state = State::Closed;
        self.memory = Memory::Nothing;
        Step::fits(Lifetime::Own)
    }
}
