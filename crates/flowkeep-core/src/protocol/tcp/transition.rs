//! States and lifetimes that follow from the numbers.

use super::{Connection, Mode, Policy, Segment, Seq, State, Timeout};

/// Whose FIN a packet has made one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fins {
    /// Of its sender.
    pub(super) own: bool,
    /// Of its receiver.
    pub(super) other: bool,
}

impl Connection {
    /// Takes the state to where numbers and FINs have it.
    pub(super) fn follow(&mut self, fins: Fins, policy: &Policy) {
        let one_way = policy.mode == Mode::OneWay && !self.answered();
        let both = self.own.acks > 0 && self.other.acks > 0;
        if self.state == State::SynRecv && (both || one_way && self.by_originator) {
            self.state = State::Established;
        }
        self.assure();
        if one_way && (fins.own || fins.other) {
            self.state = State::Closed;
            return;
        }
        if fins.other {
            self.count_fin(!self.by_originator);
        }
        if fins.own {
            self.count_fin(self.by_originator);
        }
        let own_acked = self.own.all_acked();
        let other_acked = self.other.all_acked();
        let first_acked = if self.first_fin_by_originator == self.by_originator {
            own_acked
        } else {
            other_acked
        };
        match self.state {
            State::FinWait if first_acked => self.state = State::HalfClosed,
            State::LastAck if own_acked && other_acked => self.state = State::TimeWait,
            _ => {}
        }
    }

    fn count_fin(&mut self, of_originator: bool) {
        match self.state {
            State::SynRecv | State::Established => {
                self.state = State::FinWait;
                self.first_fin_by_originator = of_originator;
            }
            State::FinWait | State::HalfClosed => self.state = State::LastAck,
            _ => {}
        }
    }

    /// Open, with evidence: a handshake is worth as much as two acknowledgements each way.
    pub(super) fn assure(&mut self) {
        let enough = if self.picked_up() { 2 } else { 1 };
        let responder = if self.by_originator {
            &self.other
        } else {
            &self.own
        };
        self.assured |= self.state == State::Established
            && self.own.acks >= enough
            && self.other.acks >= enough
            && !responder.astray;
    }

    /// What a packet that is no repetition moves.
    pub(super) fn moving(&self) -> [(Seq, Seq, Seq, bool, bool); 2] {
        [&self.own, &self.other].map(|side| {
            (
                side.end,
                side.sent,
                side.acked,
                side.acked_known,
                side.fin_ahead,
            )
        })
    }

    /// Three packets in a row that are equal to the one before. One that moves a number is not
    /// looked at, so that a stream writes nothing here: that the next is equal to it is told by
    /// the numbers.
    pub(super) fn count_repeats(&mut self, segment: &Segment, moved: bool) {
        if moved {
            self.last = 0;
            self.repeats = 0;
            return;
        }
        let folded = fold(segment, self.by_originator);
        let same = if self.last == 0 {
            self.repeats = 0;
            let acked = self.other.acked_known && segment.ack == self.other.acked;
            acked && segment.end() == self.own.end
        } else {
            folded == self.last
        };
        self.repeats = if same { (self.repeats + 1).min(3) } else { 0 };
        self.last = folded;
    }

    /// Whether the state's own timeout is too long: data is not acknowledged, or just jumped
    /// ahead (what jumped before may be forged), a packet came again and again, a window is
    /// closed, or a pick-up is not answered.
    pub(super) fn lifetime(&self, segment: &Segment) -> Timeout {
        let own = &self.own;
        let ahead = own.has_gap() && !own.fin_ahead && own.sent == segment.end();
        let acknowledged =
            !ahead && segment.sacked == 0 && own.all_acked() && self.other.all_acked();
        if acknowledged && self.repeats < 3 && segment.window > 0 && self.answered() {
            Timeout::Own
        } else {
            Timeout::AtMost
        }
    }
}

/// A segment in 12 bits, never 0: by what a retransmission repeats.
fn fold(segment: &Segment, originator: bool) -> u16 {
    let mixed = (segment.seq.0.wrapping_mul(0x9e37_79b1))
        .wrapping_add(segment.ack.0.wrapping_mul(0x85eb_ca77))
        .wrapping_add(segment.payload.wrapping_mul(0xc2b2_ae3d))
        .wrapping_add(u32::from(segment.window).wrapping_mul(0x27d4_eb2f))
        .wrapping_add(u32::from(originator))
        .wrapping_mul(0x1656_67b1);
    ((mixed >> 20) as u16).max(1)
}
