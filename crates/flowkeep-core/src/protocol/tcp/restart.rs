//! A SYN on a live connection: its numbers wait beside the old ones, never instead.

use super::connection::ALLOWANCE;
use super::judge::Step;
use super::memory::{CANDIDATE, Candidate};
use super::segment::flag;
use super::{Connection, Fate, Memory, Policy, Reason, Segment, Seq, State, Timeout};

/// Of [`Candidate::progress`].
const BOTH_ACKNOWLEDGED: u8 = 0b1100;

impl Candidate {
    /// Whether `number` is the next one of a side.
    #[inline]
    const fn exact(&self, side: usize, number: Seq) -> bool {
        (self.next[side] ^ number.0) & CANDIDATE == 0
    }

    /// Whether it is not far from it.
    #[inline]
    const fn near(&self, side: usize, number: Seq) -> bool {
        let above_lowest = number
            .0
            .wrapping_sub(self.next[side])
            .wrapping_add(ALLOWANCE);
        above_lowest & CANDIDATE <= 2 * ALLOWANCE
    }
}

impl Connection {
    /// Which of a candidate's numbers is the packet's sender's.
    #[inline]
    const fn own_side(&self) -> usize {
        if self.by_originator { 0 } else { 1 }
    }

    /// Only the originator can begin anew.
    pub(super) fn syn_on_live(&mut self, segment: &Segment) -> Step {
        let end = segment.end();
        // With the number of a SYN that is not acknowledged yet, or of a fast open without its
        // data (RFC 7413, 4.1.3).
        let own = &self.own;
        let same = own.acked_known && own.acked == segment.seq
            || own.end.since(end) <= u32::from(u16::MAX);
        let again = end == own.end || self.state == State::SynRecv && same;
        if again {
            return Step::passes(Reason::None);
        }
        if !self.by_originator {
            return Step::invalid(Reason::SynLive);
        }
        self.memory = Memory::restart(&Candidate {
            next: [end.0, 0],
            answered: false,
            progress: 0,
        });
        Step::passes(Reason::SynLive)
    }

    /// Whether a packet of the responder acknowledges the candidate's SYN, and nothing else.
    pub(super) fn answers_candidate(&self, segment: &Segment) -> bool {
        !self.by_originator
            && segment.has(flag::ACK)
            && self
                .memory
                .candidate()
                .is_some_and(|candidate| candidate.exact(0, segment.ack))
    }

    /// A SYN-ACK does.
    pub(super) fn candidate_answered(&mut self, segment: &Segment) -> Step {
        if let Some(mut candidate) = self.memory.candidate()
            && !candidate.answered
        {
            candidate.next[1] = segment.end().0;
            candidate.answered = true;
            self.memory = Memory::restart(&candidate);
        }
        Step::passes(Reason::SynLive)
    }

    /// A packet that does not fit the old numbers, but those of a candidate that was answered.
    pub(super) fn continues_candidate(
        &mut self,
        segment: &Segment,
        policy: &Policy,
    ) -> Option<Step> {
        let mut candidate = self.memory.candidate()?;
        let own = self.own_side();
        let other = 1 - own;
        if !candidate.answered
            || !candidate.near(own, segment.seq)
            || !candidate.near(other, segment.ack)
        {
            return None;
        }
        let passes = Step::passes(Reason::SynLive);
        // What comes from elsewhere, or closes, proves nothing.
        if policy.astray || segment.has(flag::FIN) {
            return Some(passes);
        }
        if candidate.exact(own, segment.seq) && segment.payload > 0 {
            candidate.next[own] = segment.end().0;
            candidate.progress |= 1 << own;
        }
        if candidate.exact(other, segment.ack) && candidate.progress & 1 << other != 0 {
            candidate.progress |= 4 << other;
        }
        if candidate.progress & BOTH_ACKNOWLEDGED == BOTH_ACKNOWLEDGED {
            self.switch(segment);
            return Some(Step::renews(Timeout::AtMost).with_fate(Fate::Rewrite));
        }
        self.memory = Memory::restart(&candidate);
        Some(passes)
    }

    /// Data has been acknowledged in both directions by the new numbers: they take over, like
    /// those of a connection picked up in mid-stream.
    fn switch(&mut self, segment: &Segment) {
        self.pick_up(segment);
        self.other.acks = 1;
        self.other.offer(u32::from(u16::MAX));
        self.state = State::Established;
        self.first_fin_by_originator = false;
        self.last = 0;
        self.repeats = 0;
    }
}
