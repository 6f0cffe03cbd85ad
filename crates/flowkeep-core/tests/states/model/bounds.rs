//! The bounds I to IV: whether a packet belongs to what is known of both sides.

use super::side::{ALLOWANCE, after};
use super::{Connection, Host, Memory, Reason, Segment, State};

/// What the bounds I to IV say of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bounds {
    Holds,
    /// Passes as known.
    Passes(Reason),
    Invalid(Reason),
}

impl Connection {
    pub(super) fn bounds(&self, segment: &Segment) -> Bounds {
        let (from, to) = (segment.from, segment.from.other());
        let (me, it) = (self.side(from), self.side(to));
        let (my_end, its_end) = (me.end.unwrap_or(0), it.end.unwrap_or(0));
        let its_window = it.window();

        // I. Not beyond what was allowed. Behind a FIN nothing is.
        let limit = if self.fin_of(from) {
            my_end
        } else {
            me.limit.unwrap_or(my_end)
        };
        let over = after(segment.seq, limit);
        if over && segment.seq.wrapping_sub(limit) > its_window.unwrap_or(0) {
            return Bounds::Invalid(Reason::SeqFar);
        }

        // III. Acknowledges only what was sent.
        // Or it names exactly what was remembered.
        let proves = matches!(self.memory,
            Memory::Far { of, to: far, .. } if of == to && far == segment.ack);
        let sent = if proves {
            segment.ack
        } else {
            self.sent_up_to(to)
        };
        let sack = segment.highest_sack();
        if sack.is_some_and(|edge| after(edge, sent)) {
            return Bounds::Invalid(Reason::AckUnseen);
        }
        let unseen = after(segment.ack, sent);
        if unseen && segment.ack.wrapping_sub(sent) > me.ahead_allowance() {
            return Bounds::Invalid(Reason::AckUnseen);
        }

        // II. Not older than a window, once that is known.
        if its_window.is_some_and(|window| {
            !after(segment.end(), my_end.wrapping_sub(window).wrapping_sub(1))
        }) {
            return Bounds::Passes(Reason::SeqOld);
        }
        if unseen {
            return Bounds::Passes(Reason::AckUnseen);
        }
        // IV. Not absurdly old. A SACK edge, which may be newer, does not excuse that.
        let oldest = its_end.wrapping_sub(me.behind_allowance()).wrapping_sub(1);
        if !proves && !after(segment.ack, oldest) {
            return Bounds::Passes(Reason::AckOld);
        }
        if over {
            return Bounds::Passes(Reason::SeqOver);
        }
        Bounds::Holds
    }
}

/// Whether the sequence number that an ICMP error quotes of a packet of `from` can have been sent.
pub(crate) fn quote_fits(connection: &Connection, from: Host, seq: u32) -> bool {
    let side = connection.side(from);
    let Some(end) = side.end else { return false };
    let never_open = connection.client.acks == 0 && connection.server.acks == 0;
    if connection.state == State::Closed && never_open {
        return false;
    }
    if matches!(connection.state, State::SynSent | State::SynSent2) {
        let latest = connection
            .latest_syn
            .filter(|_| from == connection.originator);
        return end.wrapping_sub(seq) <= side.syn_len + 1
            || latest.is_some_and(|syn| syn.end.wrapping_sub(seq) <= syn.len + 1);
    }
    let window = connection
        .side(from.other())
        .window()
        .unwrap_or(0)
        .max(ALLOWANCE);
    !after(seq, connection.sent_up_to(from)) && after(seq, end.wrapping_sub(window).wrapping_sub(1))
}
