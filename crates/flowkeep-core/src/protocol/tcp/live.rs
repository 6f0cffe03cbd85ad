//! SYN-ACK on a connection that has its numbers.

use super::judge::{Kind, Step};
use super::{Connection, Fate, Memory, Reason, Segment, State, Timeout};

impl Connection {
    pub(super) fn syn_ack_on_live(&mut self, kind: Kind, segment: &Segment) -> Step {
        let plain = kind == Kind::SynAck;
        if plain
            && self.state == State::SynRecv
            && self.own.acks == 0
            && self.acknowledges_syn(segment)
        {
            self.second_syn_ack(segment);
            return Step::renews(Timeout::Own).with_fate(Fate::Rewrite);
        }
        if plain && self.answers_candidate(segment) {
            return self.candidate_answered(segment);
        }
        let end = segment.end();
        let same_syn =
            self.state == State::SynRecv && self.own.acked_known && self.own.acked == segment.seq;
        let known = same_syn || !end.after(self.own.end) && self.bounds(segment).hold();
        if known && (plain || self.own_fin() && end == self.own.end) {
            // Sent again.
            return Step::passes(Reason::None);
        }
        Step::invalid(if plain {
            Reason::SynAckStray
        } else {
            Reason::Flags
        })
    }

    /// Whether a packet is the first to acknowledge its receiver's SYN: with a number from the
    /// SYN to the end of what its sender can have seen.
    #[inline]
    pub(super) fn acknowledges_syn(&self, segment: &Segment) -> bool {
        let (ack, other) = (segment.ack, &self.other);
        // Where that was forgotten, an exact number of its own is as good.
        let from_syn = if other.acked_known {
            !ack.before(other.acked)
        } else {
            ack == other.end || segment.seq == self.own.end
        };
        from_syn && !ack.after(other.end)
    }

    /// In a simultaneous open both sides answer by a SYN-ACK. If it has another number than its
    /// sender's SYN, that one was forged, and so was what the other side has acknowledged.
    fn second_syn_ack(&mut self, segment: &Segment) {
        let end = segment.end();
        if end != self.own.end {
            let granted = segment.seq.plus(1).plus(self.other.window().max(1));
            self.own.limit = granted.round_up(self.other.scale.shift());
            self.own.begin(end);
            self.own.set_acked(segment.seq);
            self.other.acks = 0;
        }
        // The window of a SYN is never scaled.
        let window = u32::from(segment.window);
        self.own.offer(window.div_ceil(1 << self.own.scale.shift()));
        self.own.acks = 1;
        self.other.set_acked(self.other.end);
        self.other.allow(segment.ack.plus(window), self.own.scale);
        self.memory = Memory::NOTHING;
    }
}
