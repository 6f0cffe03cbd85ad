//! When the state's own timeout is too long.

use super::{Connection, Host, Segment};

impl Connection {
    /// Whether the state's own timeout is too long: data is not acknowledged, or just jumped
    /// ahead (what jumped before may be forged), a packet came again and again, a window is closed, or a pick-up was never answered.
    pub(super) fn needs_answer(&self, segment: &Segment) -> bool {
        let me = self.side(segment.from);
        let ahead = me.sent != me.end && !me.fin_ahead && me.sent == Some(segment.end());
        ahead
            || segment.highest_sack().is_some()
            || self.unacknowledged(Host::Client)
            || self.unacknowledged(Host::Server)
            || self.repeats >= 3
            || segment.win == 0
            || !self.answered()
    }

    fn unacknowledged(&self, host: Host) -> bool {
        let side = self.side(host);
        side.acked.is_none() || side.acked != side.end
    }

    /// Three packets in a row that are equal to the one before. A packet that moves a number is
    /// not looked at: the next one is known to be equal to it by its numbers.
    pub(super) fn count_repeats(&mut self, segment: &Segment, moved: bool) {
        if moved {
            self.last = None;
            self.repeats = 0;
            return;
        }
        let me = self.side(segment.from);
        let it = self.side(segment.from.other());
        let same = match self.last {
            None => me.end == Some(segment.end()) && it.acked == Some(segment.ack),
            Some(last) => last == fold(segment, segment.from == self.originator),
        };
        self.repeats = if same { (self.repeats + 1).min(3) } else { 0 };
        self.last = Some(fold(segment, segment.from == self.originator));
    }
}

/// A packet in 12 bits, never 0.
fn fold(segment: &Segment, originator: bool) -> u16 {
    let mixed = segment
        .seq
        .wrapping_mul(0x9e37_79b1)
        .wrapping_add(segment.ack.wrapping_mul(0x85eb_ca77))
        .wrapping_add(segment.len.wrapping_mul(0xc2b2_ae3d))
        .wrapping_add(u32::from(segment.win).wrapping_mul(0x27d4_eb2f))
        .wrapping_add(u32::from(originator))
        .wrapping_mul(0x1656_67b1);
    ((mixed >> 20) as u16).max(1)
}
