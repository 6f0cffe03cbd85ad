//! What a packet that fits does to the numbers of both sides.

use super::side::after;
use super::{Connection, Host, Memory, Segment};

impl Connection {
    /// What the other side has acknowledged of `host`, its SYN at least.
    pub(super) fn acknowledged(&self, host: Host) -> Option<u32> {
        let acked = self.side(host).acked;
        acked.filter(|_| self.side(host.other()).acks > 0)
    }

    /// The windows that a packet offers and uses.
    pub(super) fn windows(&mut self, segment: &Segment) {
        let (from, to) = (segment.from, segment.from.other());
        self.side_mut(from).offer_units(u32::from(segment.win));
        let me = *self.side(from);
        if let (Some(end), Some(limit)) = (me.end, me.limit)
            && !self.fin_of(from)
            && after(segment.end(), end)
            && after(segment.end(), limit)
        {
            let base = self.acknowledged(from).unwrap_or(end);
            self.side_mut(to).exceed(segment.end().wrapping_sub(base));
        }
    }

    /// The sequence numbers of a packet. Whether an earlier FIN is thereby reached.
    pub(super) fn sends(&mut self, segment: &Segment, with_fin: bool) -> bool {
        let from = segment.from;
        let me = *self.side(from);
        let end = me.end.unwrap_or(0);
        let exact = segment.seq == end || self.acknowledged(from) == Some(segment.seq) || with_fin;
        let remembered = match self.memory {
            Memory::Ahead { of, to, fin, far } if of == from => Some((to, fin, far)),
            _ => None,
        };
        if after(segment.end(), end) {
            if exact {
                self.side_mut(from).end = Some(segment.end());
            } else {
                match remembered {
                    // It lies before what is known already, or before a FIN that is to come.
                    Some((to, fin, false))
                        if !after(segment.end(), to.wrapping_sub(u32::from(fin))) => {}
                    _ => {
                        self.memory = Memory::Ahead {
                            of: from,
                            to: segment.end(),
                            fin: false,
                            far: false,
                        };
                    }
                }
            }
        } else if segment.len == 0
            && segment.seq == end
            && matches!(remembered, Some((_, false, _)))
        {
            // It sends its next number, and that is END: nothing lies beyond.
            self.memory = Memory::Nothing;
        }
        self.reached(from)
    }

    /// Whether END has come to what was remembered beyond it: if that is a FIN, it is one now.
    fn reached(&mut self, host: Host) -> bool {
        let end = self.side(host).end.unwrap_or(0);
        let Memory::Ahead { of, to, fin, far } = self.memory else {
            return false;
        };
        if of != host {
            return false;
        }
        if fin && end == to.wrapping_sub(1) {
            self.side_mut(host).end = Some(to);
            self.memory = Memory::Nothing;
            return true;
        }
        // Distances of what is far say nothing.
        if !far && !after(to, end) || far && to == end {
            self.memory = Memory::Nothing;
        }
        false
    }

    /// The acknowledgement of a packet. Whether it makes a remembered FIN of the other side one.
    pub(super) fn acknowledges(&mut self, segment: &Segment, trusted: bool) -> bool {
        let to = segment.from.other();
        let ack = segment.ack;
        let it = *self.side(to);
        let end = it.end.unwrap_or(0);
        if let Memory::Ahead {
            of,
            to: ahead,
            fin,
            far,
        } = self.memory
            && of == to
            && ahead == ack
            && (far || after(ack, end))
            && (trusted || far || !self.picked_up())
        {
            self.memory = Memory::Nothing;
            let side = self.side_mut(to);
            side.end = Some(ack);
            side.acked = Some(ack);
            if far {
                side.limit = None;
            }
            return fin;
        }
        if after(ack, end) {
            if !trusted {
                return false;
            }
            let side = self.side_mut(to);
            side.end = Some(ack);
            side.acked = Some(ack);
        } else if it.acked.is_none_or(|acked| after(ack, acked)) && (trusted || ack == end) {
            self.side_mut(to).acked = Some(ack);
        }
        self.reached(to)
    }

    pub(super) fn count_ack(&mut self, by: Host) {
        let side = self.side_mut(by);
        side.acks = (side.acks + 1).min(2);
    }
}
