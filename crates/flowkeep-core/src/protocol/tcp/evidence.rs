//! What a segment that fits does to the numbers of both sides.

use super::segment::flag;
use super::{Connection, Memory, Segment};

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

    /// The sequence numbers of the packet move END if they continue it exactly; what jumps ahead
    /// is remembered. Whether END thereby reaches a FIN that came before its time.
    pub(super) fn send(&mut self, segment: &Segment, exact: bool) -> bool {
        let end = segment.end();
        let continues = exact || segment.seq == self.own.end || self.is_own_acked(segment.seq);
        let ahead = self.memory.ahead_of(self.by_originator);
        if end.after(self.own.end) {
            if continues {
                self.own.end = end;
            } else {
                // Unless it lies before what is known already, or before the FIN that is to come.
                let within = ahead.is_some_and(|ahead| {
                    !ahead.far && !end.after(ahead.to.minus(u32::from(ahead.fin)))
                });
                if !within {
                    self.memory = Memory::ahead(self.by_originator, end, false, false);
                }
            }
        } else if segment.payload == 0
            && !segment.has(flag::FIN)
            && segment.seq == self.own.end
            && ahead.is_some_and(|ahead| !ahead.fin)
        {
            // The next number that it would send is END: what lies beyond was not its own.
            self.memory = Memory::NOTHING;
        }
        self.reaches_own_fin()
    }

    fn reaches_own_fin(&mut self) -> bool {
        let (end, fin) = self.reached(self.by_originator, self.own.end);
        self.own.end = end;
        fin
    }

    /// The acknowledgement of the packet. It proves something if the packet's own number is exact
    /// (`trusted`), or if it names just what was remembered. Whether it makes a FIN of the
    /// receiver that came before its time one.
    pub(super) fn acknowledge(&mut self, segment: &Segment, trusted: bool) -> bool {
        let ack = segment.ack;
        if let Some(ahead) = self.memory.ahead_of(!self.by_originator)
            && ahead.to == ack
            && (ahead.far || ack.after(self.other.end))
            // In a guessed window everything fits: that proves too little.
            && (ahead.far || trusted || !self.picked_up())
        {
            self.memory = Memory::NOTHING;
            self.other.end = ack;
            self.other.set_acked(ack);
            if ahead.far {
                // Distances from what was known before say nothing.
                self.other.limit = ack;
            }
            return ahead.fin;
        }
        if ack.after(self.other.end) {
            if !trusted {
                return false;
            }
            self.other.end = ack;
            self.other.set_acked(ack);
        } else if (!self.other.acked_known || ack.after(self.other.acked))
            && (trusted || ack == self.other.end)
        {
            self.other.set_acked(ack);
        }
        let (end, fin) = self.reached(!self.by_originator, self.other.end);
        self.other.end = end;
        fin
    }

    /// The window that the packet offers allows its receiver to send. An edge is only counted
    /// from what the receiver is proven to have sent.
    pub(super) fn allow(&mut self, segment: &Segment) {
        let window = u32::from(segment.window) << self.own.scale.shift();
        let from = if segment.ack.after(self.other.end) {
            self.other.end
        } else {
            segment.ack
        };
        self.other.allow(from.plus(window), self.own.scale);
    }

    /// Forgets what lies ahead of a side once its END has come there, and counts its FIN.
    fn reached(&mut self, originator: bool, end: super::Seq) -> (super::Seq, bool) {
        let Some(ahead) = self.memory.ahead_of(originator) else {
            return (end, false);
        };
        if ahead.fin && end == ahead.to.minus(1) {
            self.memory = Memory::NOTHING;
            return (ahead.to, true);
        }
        let passed = if ahead.far {
            end == ahead.to
        } else {
            !ahead.to.after(end)
        };
        if passed {
            self.memory = Memory::NOTHING;
        }
        (end, false)
    }
}
