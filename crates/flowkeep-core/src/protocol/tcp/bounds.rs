//! The bounds I to IV: whether a segment belongs to what is known of both sides.

use super::connection::ALLOWANCE;
use super::{Connection, Reason, Segment, Seq, State};

/// What the bounds say of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Why not all hold; [`Reason::None`] if they do.
    pub(super) reason: Reason,
    /// It passes as known even so.
    pub(super) passes: bool,
}

impl Bounds {
    pub(super) const HOLD: Self = Self::passes(Reason::None);

    const fn passes(reason: Reason) -> Self {
        Self {
            reason,
            passes: true,
        }
    }

    const fn invalid(reason: Reason) -> Self {
        Self {
            reason,
            passes: false,
        }
    }

    #[inline]
    pub(super) fn hold(self) -> bool {
        self.reason == Reason::None
    }
}

impl Connection {
    /// Holds a segment with ACK against the bounds. What makes it invalid comes first.
    #[inline]
    pub(super) fn bounds(&self, segment: &Segment) -> Bounds {
        let limit = self.own_limit();
        let over = segment.seq.after(limit);
        if over && segment.seq.since(limit) > self.other.window() {
            return Bounds::invalid(Reason::SeqFar);
        }
        let (sent, proves) = self.sent_by_other(segment.ack);
        let highest = segment.ack.plus(segment.sacked);
        if segment.sacked > 0 && highest.after(sent) {
            return Bounds::invalid(Reason::AckUnseen);
        }
        let unseen = segment.ack.after(sent);
        if unseen && segment.ack.since(sent) > self.own.ahead_allowance() {
            return Bounds::invalid(Reason::AckUnseen);
        }
        if self.other.units > 0 && self.is_old(segment.end()) {
            return Bounds::passes(Reason::SeqOld);
        }
        if unseen {
            return Bounds::passes(Reason::AckUnseen);
        }
        let oldest = self.other.end.minus(self.own.behind_allowance()).minus(1);
        if !proves && !segment.ack.after(oldest) {
            return Bounds::passes(Reason::AckOld);
        }
        if over {
            return Bounds::passes(Reason::SeqOver);
        }
        Bounds::HOLD
    }

    /// Up to where the packet's receiver was seen to send, as far as `ack` is concerned; and
    /// whether that is just what was far beyond it.
    fn sent_by_other(&self, ack: Seq) -> (Seq, bool) {
        match self.memory.far_of(!self.by_originator) {
            Some(far) if far.to == ack => (ack, true),
            _ => (self.other.sent, false),
        }
    }

    /// Whether the sequence number that an ICMP error quotes can be one of a packet that the side
    /// that this is seen from has sent.
    #[must_use]
    pub fn quote_fits(&self, seq: Seq) -> bool {
        if self.state.opening() {
            if self.state == State::SynSent && !self.by_originator {
                return false;
            }
            let latest = self.memory.syn().filter(|_| self.by_originator);
            return self.own.end.since(seq) <= self.own.syn_data + 1
                || latest.is_some_and(|syn| syn.end.since(seq) <= syn.data + 1);
        }
        if self.never_open() {
            return false;
        }
        let window = self.other.window().max(ALLOWANCE);
        !seq.after(self.own.sent) && seq.after(self.own.end.minus(window).minus(1))
    }
}
