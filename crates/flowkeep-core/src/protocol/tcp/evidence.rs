//! What a segment that fits does to the numbers of both sides.

use super::{Connection, Memory, Numbers, Segment};

impl Connection {
    /// The window that the packet offers, and the one that it uses.
    pub(super) fn use_windows(&mut self, segment: &Segment) {
        self.own.offer(u32::from(segment.window));
        let end = segment.end();
        if !self.own_fin() && end.after(self.own.end) && end.after(self.own.limit) {
            // It sticks out. So much was in flight, and counts as offered.
            let known = self.other.acks > 0 && self.own.acked_known;
            let base = if known { self.own.acked } else { self.own.end };
            if self.other.units > 0 {
                let unit = 1 << self.other.scale.shift();
                self.other.offer(end.since(base).div_ceil(unit));
            }
        }
    }

    /// The sequence numbers of the packet: they are proven if they continue exactly what is, or
    /// by `fin`, a FIN that does; what jumps ahead is only seen. Whether a FIN that came before
    /// its time is proven thereby.
    pub(super) fn send(&mut self, segment: &Segment, fin: bool) -> bool {
        let end = segment.end();
        let exact = fin || segment.seq == self.own.end || self.is_own_acked(segment.seq);
        let credible = !segment.ack.after(self.other.end);
        let own = &mut self.own;
        if !end.after(own.end) {
            return false;
        }
        let fin_number = own.sent.minus(1);
        if exact {
            if own.fin_ahead && !fin && end == fin_number {
                own.end = own.sent;
                own.fin_ahead = false;
                return true;
            }
            own.end = end;
            if fin || end.after(own.sent) || own.fin_ahead && end.after(fin_number) {
                own.begin(end);
            }
        } else if end.since(own.end) < Numbers::AHEAD {
            // Data beyond a FIN that is not proven contradicts it.
            let further = if own.fin_ahead {
                end.after(fin_number)
            } else {
                end.after(own.sent)
            };
            if further {
                // Otherwise one lucky guess would prove the next.
                if segment.seq != own.sent {
                    own.credible = credible;
                }
                own.sent = end;
                own.fin_ahead = false;
            }
        }
        false
    }

    /// The acknowledgement of the packet proves something if the packet has exactly the next
    /// number of its sender: of what is proven (`trusted`), or, where that has a gap, of what was
    /// seen (`follows`). Whether a FIN of the receiver that came before its time is proven
    /// thereby.
    pub(super) fn acknowledge(&mut self, segment: &Segment, trusted: bool, follows: bool) -> bool {
        let ack = segment.ack;
        if let Some(far) = self.memory.far_of(!self.by_originator)
            && far.to == ack
        {
            self.memory = Memory::NOTHING;
            self.other.begin(ack);
            self.other.set_acked(ack);
            // Distances from what was known before say nothing.
            self.other.limit = ack;
            return far.fin;
        }
        let other = &mut self.other;
        if !ack.after(other.end) {
            let news = !other.acked_known || ack.after(other.acked);
            if news && (trusted || ack == other.end) {
                other.set_acked(ack);
            }
            return false;
        }
        if !trusted && !follows {
            return false;
        }
        // All of its data, or the FIN too.
        let fin = other.fin_ahead && (ack == other.sent || ack.plus(1) == other.sent);
        other.end = if fin { other.sent } else { ack };
        other.set_acked(ack);
        if fin {
            other.fin_ahead = false;
        }
        fin
    }

    /// The window that the packet offers allows its receiver to send.
    pub(super) fn allow(&mut self, segment: &Segment) {
        let window = u32::from(segment.window) << self.own.scale.shift();
        let from = if segment.ack.after(self.other.sent) {
            self.other.sent
        } else {
            segment.ack
        };
        self.other.allow(from.plus(window), self.own.scale);
    }
}
