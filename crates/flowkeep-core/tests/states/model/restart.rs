//! A SYN on a live connection: its numbers wait beside the old ones, never instead.

use super::side::ALLOWANCE;
use super::{Connection, Host, Lifetime, Memory, Reason, Segment, State, Step};

/// The new numbers, modulo 2^23.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The next number of the originator, and of the responder once it has answered.
    pub(crate) originator: u32,
    pub(crate) responder: Option<u32>,
    /// Since its SYN, each side has sent data, and has had all of it acknowledged.
    pub(crate) sent: [bool; 2],
    pub(crate) acknowledged: [bool; 2],
}

impl Candidate {
    fn next(&self, of_originator: bool) -> Option<u32> {
        if of_originator {
            Some(self.originator)
        } else {
            self.responder
        }
    }
}

fn exact(a: u32, b: u32) -> bool {
    (a ^ b) & 0x7f_ffff == 0
}

fn near(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b).wrapping_add(ALLOWANCE) & 0x7f_ffff) <= 2 * ALLOWANCE
}

impl Connection {
    /// A SYN inside a live connection. Only the originator can begin anew.
    pub(crate) fn syn_on_live(&mut self, segment: &Segment) -> Step {
        let end = segment.end();
        let known = self.side(segment.from).end.unwrap_or(end);
        // Sent again; a fast open's is sent again without its data (RFC 7413, 4.1.3).
        let again = end == known
            || self.state == State::SynRecv && self.side(segment.from).acked == Some(segment.seq)
            || self.state == State::SynRecv && known.wrapping_sub(end) <= u32::from(u16::MAX);
        if again {
            return Step::passes(None);
        }
        if segment.from != self.originator {
            return Step::invalid(Reason::SynLive);
        }
        self.memory = Memory::Restart(Candidate {
            originator: end & 0x7f_ffff,
            responder: None,
            sent: [false; 2],
            acknowledged: [false; 2],
        });
        Step::passes(Some(Reason::SynLive))
    }

    /// A SYN-ACK that answers the candidate's SYN.
    pub(crate) fn syn_ack_to_candidate(&mut self, segment: &Segment) -> Option<Step> {
        let Memory::Restart(mut candidate) = self.memory else {
            return None;
        };
        if segment.from == self.originator || !exact(segment.ack, candidate.originator) {
            return None;
        }
        if candidate.responder.is_none() {
            candidate.responder = Some(segment.end() & 0x7f_ffff);
        }
        self.memory = Memory::Restart(candidate);
        Some(Step::passes(Some(Reason::SynLive)))
    }

    /// Whether a RST answers the candidate's SYN: then the connection is doubtful, no more. The
    /// same stranger may have sent both.
    pub(crate) fn rst_to_candidate(&self, segment: &Segment) -> bool {
        matches!(self.memory, Memory::Restart(candidate)
            if segment.from != self.originator
                && segment.ack_flag
                && exact(segment.ack, candidate.originator))
    }

    /// A packet that does not fit the old numbers, but the new ones.
    pub(crate) fn continues_candidate(&mut self, segment: &Segment) -> Option<Step> {
        let Memory::Restart(mut candidate) = self.memory else {
            return None;
        };
        let by_originator = segment.from == self.originator;
        let (own, other) = (
            candidate.next(by_originator)?,
            candidate.next(!by_originator)?,
        );
        if !near(segment.seq, own) || !near(segment.ack, other) {
            return None;
        }
        let passes = Step::passes(Some(Reason::SynLive));
        // What comes from elsewhere, or closes, proves nothing.
        if segment.astray || segment.fin {
            return Some(passes);
        }
        let (me, it) = (usize::from(!by_originator), usize::from(by_originator));
        if exact(segment.seq, own) && segment.len > 0 {
            let next = segment.end() & 0x7f_ffff;
            if by_originator {
                candidate.originator = next;
            } else {
                candidate.responder = Some(next);
            }
            candidate.sent[me] = true;
        }
        if exact(segment.ack, other) && candidate.sent[it] {
            candidate.acknowledged[it] = true;
        }
        self.memory = Memory::Restart(candidate);
        if candidate.acknowledged == [true; 2] {
            self.switch(segment);
            return Some(Step::fits(Lifetime::AtMost));
        }
        Some(passes)
    }

    /// Data has been acknowledged in both directions by the new numbers: they take over, like
    /// those of a connection picked up in mid-stream.
    fn switch(&mut self, segment: &Segment) {
        self.pick_up(segment);
        let other = self.side_mut(segment.from.other());
        other.acks = 1;
        other.offer_units(u32::from(u16::MAX));
        self.state = State::Established;
        self.first_fin = None;
        self.memory = Memory::Nothing;
        self.last = None;
        self.repeats = 0;
    }

    /// A packet that fits the old numbers shows that they live.
    pub(crate) fn drop_candidate(&mut self) {
        if matches!(self.memory, Memory::Restart(_)) {
            self.memory = Memory::Nothing;
        }
    }

    /// What `host` was seen to send.
    pub(crate) fn sent_up_to(&self, host: Host) -> u32 {
        let side = self.side(host);
        side.sent.or(side.end).unwrap_or(0)
    }
}
