//! Until a SYN is acknowledged: `syn_sent` and `syn_sent2`.

use super::connection::ALLOWANCE;
use super::judge::{Kind, Step};
use super::memory::Syn;
use super::segment::flag;
use super::{
    Connection, Fate, Memory, Mode, Numbers, Policy, Reason, Scale, Segment, State, Timeout,
};

impl Syn {
    /// The SYN that `segment` has. More data than an IPv4 packet carries does not come with one.
    #[inline]
    fn of(segment: &Segment) -> Self {
        Self {
            end: segment.end(),
            data: segment.payload.min(u32::from(u16::MAX)),
            scale: Scale(segment.scale),
        }
    }
}

impl Numbers {
    #[inline]
    const fn syn(&self) -> Syn {
        Syn {
            end: self.end,
            data: self.syn_data,
            scale: self.scale,
        }
    }

    #[inline]
    fn remember_syn(&mut self, syn: &Syn) {
        self.begin(syn.end);
        self.syn_data = syn.data;
        self.scale = syn.scale;
        self.acks = 0;
    }
}

impl Connection {
    pub(super) fn begin_by_syn(&mut self, segment: &Segment) {
        self.own.remember_syn(&Syn::of(segment));
        self.own.offer(u32::from(segment.window));
    }

    pub(super) fn originator_in_syn_sent(
        &mut self,
        kind: Kind,
        segment: &Segment,
        policy: &Policy,
    ) -> Step {
        match kind {
            Kind::Syn => self.another_syn(segment),
            Kind::SynAck => Step::invalid(Reason::SynAckStray),
            Kind::SynFinAck => Step::invalid(Reason::Flags),
            Kind::Rst => self.own_rst_in_syn_sent(segment),
            Kind::Ack if policy.mode == Mode::OneWay => self.one_way(segment),
            Kind::Ack if segment.has(flag::FIN) => Step::invalid(Reason::FinSynSent),
            Kind::Ack => Step::invalid(Reason::AckSynSent),
        }
    }

    pub(super) fn responder_in_syn_sent(
        &mut self,
        kind: Kind,
        segment: &Segment,
        policy: &Policy,
    ) -> Step {
        match kind {
            // A simultaneous open (RFC 9293, 3.5), or a forgery: a right SYN-ACK opens still.
            Kind::Syn => {
                self.begin_by_syn(segment);
                self.state = State::SynSent2;
                Step::renews(Timeout::Own).with_fate(Fate::Rewrite)
            }
            Kind::SynAck | Kind::SynFinAck => self.answer(kind, segment, policy),
            Kind::Rst => self.refusal(segment),
            Kind::Ack if segment.has(flag::FIN) => Step::invalid(Reason::FinSynSent),
            // An ACK of an old life (RFC 5961, 4.2), or the first half of a split handshake. The
            // originator answers it by a RST of just this number.
            Kind::Ack => {
                self.own.begin(segment.ack);
                self.own.acks = 1;
                Step::passes(Reason::None)
            }
        }
    }

    pub(super) fn in_syn_sent2(&mut self, kind: Kind, segment: &Segment, policy: &Policy) -> Step {
        match kind {
            Kind::Syn if self.by_originator => self.another_syn(segment),
            Kind::Syn => {
                self.begin_by_syn(segment);
                Step::passes(Reason::None).with_fate(Fate::Rewrite)
            }
            Kind::SynAck => self.answer(kind, segment, policy),
            Kind::SynFinAck if self.by_originator => Step::invalid(Reason::Flags),
            Kind::SynFinAck => self.answer(kind, segment, policy),
            Kind::Rst if segment.seq == self.own.end => self.closed_while_opening(),
            Kind::Rst => self.refusal(segment),
            Kind::Ack if segment.has(flag::FIN) => Step::invalid(Reason::FinSynSent),
            // Both answer by plain ACKs: each SYN is acknowledged exactly.
            Kind::Ack => match self.acknowledged_syn(segment) {
                Some(syn) if segment.seq == self.own.end => {
                    let own = self.own.syn();
                    self.open(segment, &own, &syn, policy);
                    Step::renews(Timeout::Own).with_fate(Fate::Rewrite)
                }
                _ if self.by_originator => Step::invalid(Reason::AckSynSent),
                _ => Step::passes(Reason::None),
            },
        }
    }

    /// The SYN of the receiver that `segment` acknowledges: its highest or its latest.
    fn acknowledged_syn(&self, segment: &Segment) -> Option<Syn> {
        let highest = self.other.syn();
        if highest.acknowledged_by(segment.ack) {
            return Some(highest);
        }
        // The latest is remembered of the originator only.
        self.memory
            .syn()
            .filter(|latest| !self.by_originator && latest.acknowledged_by(segment.ack))
    }

    /// The originator sends a SYN again, or another one: that does not renew the entry.
    fn another_syn(&mut self, segment: &Segment) -> Step {
        let syn = Syn::of(segment);
        let highest = self.own.syn();
        let mut fate = Fate::Update;
        if syn.end.after(highest.end) {
            self.own.remember_syn(&syn);
            self.memory = Memory::NOTHING;
            fate = Fate::Rewrite;
        } else if syn == highest {
            self.memory = Memory::NOTHING;
        } else {
            self.memory = Memory::latest_syn(&syn);
        }
        self.own.offer(u32::from(segment.window));
        Step::passes(Reason::None).with_fate(fate)
    }

    fn own_rst_in_syn_sent(&mut self, segment: &Segment) -> Step {
        let stray_ack = self.other.acks > 0 && segment.seq == self.other.end;
        let latest = self.memory.syn().is_some_and(|syn| syn.end == segment.seq);
        if stray_ack || latest || segment.seq == self.own.end {
            self.closed_while_opening()
        } else if segment.seq.before(self.own.end) {
            Step::invalid(Reason::RstBelow)
        } else {
            Step::invalid(Reason::RstInexact)
        }
    }

    fn closed_while_opening(&mut self) -> Step {
        self.own = Numbers::UNSEEN;
        self.other = Numbers::UNSEEN;
        self.memory = Memory::NOTHING;
        self.state = State::Closed;
        Step::renews(Timeout::Own).with_fate(Fate::Rewrite)
    }

    fn one_way(&mut self, segment: &Segment) -> Step {
        if !segment.has(flag::FIN) {
            self.pick_up(segment);
            self.state = State::Established;
            Step::renews(Timeout::Own).with_fate(Fate::Rewrite)
        } else if segment.seq == self.own.end {
            self.closed_while_opening()
        } else {
            Step::passes(Reason::FinInexact)
        }
    }

    /// RFC 9293, 3.10.7.3: a RST has to acknowledge the SYN that it refuses. Nothing was ever
    /// open, so the entry goes.
    fn refusal(&self, segment: &Segment) -> Step {
        if segment.has(flag::ACK) && self.acknowledged_syn(segment).is_some() {
            Step::passes(Reason::None).with_fate(Fate::Remove)
        } else {
            Step::invalid(Reason::RstBadAck)
        }
    }

    /// A SYN-ACK. One that acknowledges no SYN initialises nothing, so that the right one is
    /// still taken: one of an old life passes, one that acknowledges what was never sent is
    /// invalid.
    fn answer(&mut self, kind: Kind, segment: &Segment, policy: &Policy) -> Step {
        let Some(syn) = self.acknowledged_syn(segment) else {
            return match kind {
                Kind::SynFinAck => Step::invalid(Reason::Flags),
                _ if segment.ack.after(self.other.end.plus(ALLOWANCE)) => {
                    Step::invalid(Reason::SynAckStray)
                }
                _ => Step::passes(Reason::SynAckStray),
            };
        };
        self.open(segment, &Syn::of(segment), &syn, policy);
        if kind == Kind::SynFinAck {
            self.state = State::FinWait;
            self.first_fin_by_originator = self.by_originator;
        }
        Step::renews(Timeout::Own).with_fate(Fate::Rewrite)
    }

    /// `segment` acknowledges `syn`, and is, or follows, its sender's own SYN.
    fn open(&mut self, segment: &Segment, own: &Syn, syn: &Syn, policy: &Policy) {
        let is_syn = segment.has(flag::SYN);
        // RFC 7323, 2.2: both or neither.
        let scaled = own.scale.known() && syn.scale.known();
        let scale = |scale: Scale| if scaled { scale } else { Scale(0) };
        let (own_scale, other_scale) = (scale(own.scale), scale(syn.scale));
        // The window of a SYN is never scaled.
        let mut window = u32::from(segment.window);
        if is_syn {
            self.own.offer(window);
        }
        // What came with the other side's SYN counts as allowed.
        let offered = self.own.units.max(syn.data);
        let mut own_units = offered.div_ceil(1 << own_scale.shift());
        if !is_syn {
            own_units = own_units.max(window);
            window <<= own_scale.shift();
        }
        let first = if is_syn {
            segment.seq.plus(1)
        } else {
            own.end.minus(own.data)
        };
        // What came with its SYN before is sent too.
        let known = self.own.syn();
        let mut end = segment.end();
        if self.state == State::SynSent2 && known.end.minus(known.data) == first {
            end = end.latest(known.end);
        }
        let granted = end.latest(first.plus(self.other.units.max(1)));
        self.own = Numbers {
            end,
            sent: end,
            limit: granted.round_up(other_scale.shift()),
            // Its SYN is not.
            acked: first.minus(1),
            acked_known: true,
            units: own_units.max(1),
            scale: own_scale,
            acks: 1,
            astray: !self.by_originator && policy.astray,
            ..Numbers::UNSEEN
        };
        self.other = Numbers {
            end: syn.end,
            sent: syn.end,
            // What came with the SYN was allowed.
            limit: syn
                .end
                .latest(segment.ack.plus(window))
                .round_up(own_scale.shift()),
            // Data of a fast open that was not acknowledged with its SYN counts as if it were:
            // it will be sent again (RFC 7413, 4.2).
            acked: syn.end,
            acked_known: true,
            units: self.other.units.div_ceil(1 << other_scale.shift()).max(1),
            scale: other_scale,
            ..Numbers::UNSEEN
        };
        self.memory = Memory::NOTHING;
        self.state = State::SynRecv;
    }
}
