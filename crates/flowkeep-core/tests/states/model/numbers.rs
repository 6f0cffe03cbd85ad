//! What a packet that fits does to the numbers of both sides.

use super::side::{AHEAD, after};
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
        let end = self.side(from).end.unwrap_or(0);
        let exact = segment.seq == end || self.acknowledged(from) == Some(segment.seq) || with_fin;

        let proven = self.side(from.other()).end.unwrap_or(0);
        let me = self.side_mut(from);
        let sent = me.sent.unwrap_or(end);

        let number_of_fin = sent.wrapping_sub(1);
        if !after(segment.end(), end) {
            return false;
        }
        let past_fin = me.fin_ahead && after(segment.end(), number_of_fin);
        if exact {
            me.end = Some(segment.end());
            if me.fin_ahead && segment.end() == number_of_fin && !with_fin {
                me.end = Some(sent);
                me.fin_ahead = false;
                return true;
            }
            if past_fin || with_fin || after(segment.end(), sent) {
                me.sent = me.end;
                me.fin_ahead = false;
            }
        } else if segment.end().wrapping_sub(end) < AHEAD
            && (past_fin || !me.fin_ahead && after(segment.end(), sent))
        {
            // Data beyond a FIN that was not proven contradicts it.
            me.sent = Some(segment.end());
            me.fin_ahead = false;
            // Otherwise one lucky guess would prove the next.
            if segment.seq != sent {
                me.credible = !after(segment.ack, proven);
            }
        }
        false
    }

    /// The acknowledgement of a packet that has exactly the next number of its sender: of what is
    /// proven (`trusted`), or at least of what was seen (`follows`). Whether it makes a FIN of
    /// the other side one that came before its time.
    pub(super) fn acknowledges(&mut self, segment: &Segment, trusted: bool, follows: bool) -> bool {
        let to = segment.from.other();
        let ack = segment.ack;
        if let Memory::Far { of, to: far, fin } = self.memory
            && of == to
            && far == ack
        {
            self.memory = Memory::Nothing;
            let side = self.side_mut(to);
            side.prove(ack);
            side.limit = None;
            return fin;
        }
        let it = self.side_mut(to);
        let end = it.end.unwrap_or(0);
        if !after(ack, end) {
            if it.acked.is_none_or(|acked| after(ack, acked)) && (trusted || ack == end) {
                it.acked = Some(ack);
            }
            return false;
        }
        if !trusted && !follows {
            return false;
        }
        let sent = it.sent.unwrap_or(end);
        // All of its data, or the FIN too.
        let fin = it.fin_ahead && (ack == sent || ack == sent.wrapping_sub(1));
        it.end = Some(if fin { sent } else { ack });
        it.acked = Some(ack);
        it.fin_ahead &= !fin;
        fin
    }

    pub(super) fn count_ack(&mut self, by: Host) {
        let side = self.side_mut(by);
        side.acks = (side.acks + 1).min(2);
    }
}
