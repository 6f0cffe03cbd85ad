//! Until both SYNs are acknowledged: `syn_sent` and `syn_sent2`.

use super::side::{ALLOWANCE, after, before, round_up};
use super::{Connection, Host, Kind, Lifetime, Memory, Mode, Reason, Segment, Settings, Side};
use super::{State, Step, Syn};

impl Connection {
    /// The SYN that makes the entry.
    pub(crate) fn first_syn(&mut self, segment: &Segment) {
        self.remember_syn(segment.from, Syn::of(segment));
        self.side_mut(segment.from)
            .offer_units(u32::from(segment.win));
    }

    fn remember_syn(&mut self, host: Host, syn: Syn) {
        let side = self.side_mut(host);
        side.end = Some(syn.end);
        side.sent = Some(syn.end);
        side.syn_len = syn.len;
        side.scale = syn.scale;
    }

    fn remembered_syn(&self, host: Host) -> Option<Syn> {
        let side = self.side(host);
        side.end.map(|end| Syn {
            end,
            len: side.syn_len,
            scale: side.scale,
        })
    }

    /// The SYN of `host` that `ack` acknowledges: the highest or the latest.
    fn syn_acknowledged_by(&self, host: Host, ack: u32) -> Option<Syn> {
        let latest = self.latest_syn.filter(|_| host == self.originator);
        [self.remembered_syn(host), latest]
            .into_iter()
            .flatten()
            .find(|syn| syn.acknowledged_by(ack))
    }

    /// The originator sends a SYN again, or another one. It does not renew the entry.
    fn another_syn(&mut self, segment: &Segment) {
        let syn = Syn::of(segment);
        let host = segment.from;
        let highest = self.remembered_syn(host);
        if highest.is_none_or(|highest| after(syn.end, highest.end)) {
            self.remember_syn(host, syn);
            self.latest_syn = None;
        } else if highest == Some(syn) {
            self.latest_syn = None;
        } else {
            self.latest_syn = Some(syn);
        }
        self.side_mut(host).offer_units(u32::from(segment.win));
    }

    pub(crate) fn in_syn_sent(
        &mut self,
        kind: Kind,
        segment: &Segment,
        settings: &Settings,
    ) -> Step {
        if segment.from == self.originator {
            return self.originator_in_syn_sent(kind, segment, settings);
        }
        match kind {
            // Simultaneous open (RFC 9293, 3.5), or a forgery: a right SYN-ACK still opens.
            Kind::Syn => {
                self.remember_syn(segment.from, Syn::of(segment));
                self.side_mut(segment.from)
                    .offer_units(u32::from(segment.win));
                self.state = State::SynSent2;
                self.stray_ack = None;
                Step::fits(Lifetime::Own)
            }
            Kind::SynAck | Kind::SynFinAck => self.syn_ack(kind, segment),
            Kind::Rst => self.refusal(segment),
            Kind::Ack if segment.fin => Step::invalid(Reason::FinSynSent),
            // An ACK of an old life (RFC 5961, 4.2), or the first half of a split handshake. The
            // originator answers it with a RST of just that number.
            Kind::Ack => {
                self.stray_ack = Some(segment.ack);
                Step::passes(None)
            }
        }
    }

    fn originator_in_syn_sent(
        &mut self,
        kind: Kind,
        segment: &Segment,
        settings: &Settings,
    ) -> Step {
        match kind {
            Kind::Syn => {
                self.another_syn(segment);
                Step::passes(None)
            }
            Kind::SynAck => Step::invalid(Reason::SynAckStray),
            Kind::SynFinAck => Step::invalid(Reason::Flags),
            Kind::Ack if settings.mode == Mode::OneWay => {
                let exact =
                    self.remembered_syn(segment.from).map(|syn| syn.end) == Some(segment.seq);
                if !segment.fin {
                    self.state = State::Established;
                    self.pick_up(segment);
                    Step::fits(Lifetime::Own)
                } else if exact {
                    self.closed_while_opening()
                } else {
                    Step::passes(Some(Reason::FinInexact))
                }
            }
            Kind::Ack if segment.fin => Step::invalid(Reason::FinSynSent),
            Kind::Ack => Step::invalid(Reason::AckSynSent),
            Kind::Rst => {
                let end = self.remembered_syn(segment.from).map(|syn| syn.end);
                let latest = self.latest_syn.map(|syn| syn.end);
                if [end, latest, self.stray_ack].contains(&Some(segment.seq)) {
                    self.closed_while_opening()
                } else if end.is_some_and(|end| before(segment.seq, end)) {
                    Step::invalid(Reason::RstBelow)
                } else {
                    Step::invalid(Reason::RstInexact)
                }
            }
        }
    }

    pub(crate) fn in_syn_sent2(&mut self, kind: Kind, segment: &Segment) -> Step {
        let (from, to) = (segment.from, segment.from.other());
        match kind {
            Kind::Syn if from == self.originator => {
                self.another_syn(segment);
                Step::passes(None)
            }
            Kind::Syn => {
                self.remember_syn(from, Syn::of(segment));
                self.side_mut(from).offer_units(u32::from(segment.win));
                Step::passes(None)
            }
            Kind::SynAck => self.syn_ack(kind, segment),
            Kind::SynFinAck if from != self.originator => self.syn_ack(kind, segment),
            Kind::SynFinAck => Step::invalid(Reason::Flags),
            Kind::Rst => {
                let own = self.remembered_syn(from).map(|syn| syn.end);
                if own == Some(segment.seq) {
                    self.closed_while_opening()
                } else {
                    self.refusal(segment)
                }
            }
            Kind::Ack if segment.fin => Step::invalid(Reason::FinSynSent),
            // Both answer by plain ACKs: each SYN is acknowledged exactly, and nothing else is
            // needed.
            Kind::Ack => {
                let own = self.remembered_syn(from);
                match self.syn_acknowledged_by(to, segment.ack) {
                    Some(syn) if own.is_some_and(|own| own.end == segment.seq) => {
                        let own = own.unwrap_or(syn);
                        self.opened(segment, own, syn, false);
                        Step::fits(Lifetime::Own)
                    }
                    _ if from == self.originator => Step::invalid(Reason::AckSynSent),
                    _ => Step::passes(None),
                }
            }
        }
    }

    /// A SYN-ACK: right if it acknowledges a SYN of the other side. Another one initialises
    /// nothing, so that the right one is still taken.
    fn syn_ack(&mut self, kind: Kind, segment: &Segment) -> Step {
        let to = segment.from.other();
        let Some(syn) = self.syn_acknowledged_by(to, segment.ack) else {
            if kind == Kind::SynFinAck {
                return Step::invalid(Reason::Flags);
            }
            return self.stray_syn_ack(segment);
        };
        let own = Syn {
            end: segment.end(),
            len: segment.len,
            scale: segment.offered_scale(),
        };
        self.opened(segment, own, syn, true);
        if kind == Kind::SynFinAck {
            self.state = State::FinWait;
            self.first_fin = Some(segment.from);
        }
        Step::fits(Lifetime::Own)
    }

    /// One of an old life passes; one that acknowledges what was never sent is invalid.
    fn stray_syn_ack(&self, segment: &Segment) -> Step {
        let sent = self.side(segment.from.other()).end.unwrap_or(segment.ack);
        if after(segment.ack, sent.wrapping_add(ALLOWANCE)) {
            Step::invalid(Reason::SynAckStray)
        } else {
            Step::passes(Some(Reason::SynAckStray))
        }
    }

    /// A RST that answers a SYN has to acknowledge it (RFC 9293, 3.10.7.3): nothing was ever
    /// open, and the entry goes.
    fn refusal(&self, segment: &Segment) -> Step {
        let to = segment.from.other();
        if segment.ack_flag && self.syn_acknowledged_by(to, segment.ack).is_some() {
            Step {
                remove: true,
                ..Step::passes(None)
            }
        } else {
            Step::invalid(Reason::RstBadAck)
        }
    }

    /// Nothing was ever open, and no number is known.
    fn closed_while_opening(&mut self) -> Step {
        self.client = Side::UNSEEN;
        self.server = Side::UNSEEN;
        self.latest_syn = None;
        self.stray_ack = None;
        self.state = State::Closed;
        Step::fits(Lifetime::Own)
    }

    /// `segment` acknowledges `syn`; its sender's own SYN is `own`, which with `fresh` is
    /// `segment` itself.
    fn opened(&mut self, segment: &Segment, own: Syn, syn: Syn, fresh: bool) {
        let (from, to) = (segment.from, segment.from.other());
        // RFC 7323, 2.2: both or neither.
        let (from_scale, to_scale) = match (own.scale, syn.scale) {
            (Some(own), Some(syn)) => (own, syn),
            _ => (0, 0),
        };
        // The window of a SYN is never scaled.
        if fresh {
            self.side_mut(from).offer_units(u32::from(segment.win));
        }
        let from_window = self.side(from).units.unwrap_or(1);
        let to_window = self.side(to).units.unwrap_or(1);
        // What came with the other side's SYN counts as allowed.
        let mut from_units = from_window.max(syn.len).div_ceil(1 << from_scale);
        let mut allowed = u32::from(segment.win);
        if !fresh {
            from_units = from_units.max(allowed);
            allowed <<= from_scale;
        }
        let begin = if fresh {
            segment.seq.wrapping_add(1)
        } else {
            own.end.wrapping_sub(own.len)
        };
        // What came with its SYN before is sent too.
        let mut end = segment.end();
        if let Some(known) = self.remembered_syn(from)
            && self.state == State::SynSent2
            && known.end.wrapping_sub(known.len) == begin
            && after(known.end, end)
        {
            end = known.end;
        }
        let granted = begin.wrapping_add(to_window);
        let granted = if after(end, granted) { end } else { granted };
        let sender = Side {
            end: Some(end),
            sent: Some(end),
            fin_ahead: false,
            credible: false,
            // What its SYN is not yet: acknowledged.
            acked: Some(begin.wrapping_sub(1)),
            limit: Some(round_up(granted, to_scale)),
            units: Some(from_units),
            scale: Some(from_scale),
            acks: 1,
            astray: from != self.originator && segment.astray,
            syn_len: 0,
        };
        // What came with the SYN was allowed.
        let edge = segment.ack.wrapping_add(allowed);
        let edge = if after(syn.end, edge) { syn.end } else { edge };
        let receiver = Side {
            end: Some(syn.end),
            sent: Some(syn.end),
            fin_ahead: false,
            credible: false,
            // Data of a fast open that is not acknowledged with its SYN counts as if it were: it
            // will be sent again.
            acked: Some(syn.end),
            limit: Some(round_up(edge, from_scale)),
            units: Some(to_window.div_ceil(1 << to_scale)),
            scale: Some(to_scale),
            acks: 0,
            astray: false,
            syn_len: 0,
        };
        *self.side_mut(from) = sender;
        *self.side_mut(to) = receiver;
        self.state = State::SynRecv;
        self.memory = Memory::Nothing;
        self.latest_syn = None;
        self.stray_ack = None;
    }

    /// In mid-stream: the unseen side's numbers are taken from the acknowledgement.
    pub(crate) fn pick_up(&mut self, segment: &Segment) {
        let (from, to) = (segment.from, segment.from.other());
        let end = segment.end();
        let mut sender = Side {
            end: Some(end),
            sent: Some(end),
            // Nothing is known of the other side's window: as large as one can be.
            limit: Some(round_up(end.wrapping_add(65_535 << 14), 14)),
            acks: 1,
            // A SYN-ACK's SYN is not acknowledged.
            acked: segment.syn.then_some(segment.seq),
            ..Side::UNSEEN
        };
        sender.offer_units(u32::from(segment.win));
        let edge = segment.ack.wrapping_add(u32::from(segment.win) << 14);
        let receiver = Side {
            end: Some(segment.ack),
            sent: Some(segment.ack),
            limit: Some(round_up(edge, 14)),
            acked: Some(segment.ack),
            ..Side::UNSEEN
        };
        *self.side_mut(from) = sender;
        *self.side_mut(to) = receiver;
        self.latest_syn = None;
        self.stray_ack = None;
    }
}
