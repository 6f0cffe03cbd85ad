//! Two small but honest TCP endpoints and the wire between them, which loses and reorders. The
//! tracker sits in the middle: a packet may be lost before it, or behind it.

use fastrand::Rng;

use crate::states::{Host, Segment, after};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    SynSent,
    SynReceived,
    Open,
    /// Reset, or gone.
    Dead,
}

/// What an exchange is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) isn: [u32; 2],
    pub(crate) scale: [Option<u8>; 2],
    pub(crate) window: [u16; 2],
    pub(crate) sack: bool,
    /// Both sides open.
    pub(crate) simultaneous: bool,
    /// Data on the SYN.
    pub(crate) fast_open: bool,
    /// Of 256: a packet is lost before the tracker, behind it, or overtaken.
    pub(crate) loss_before: u8,
    pub(crate) loss_behind: u8,
    pub(crate) reordering: u8,
    /// Length of a segment at most.
    pub(crate) segment: u32,
    /// Packets that the tracker does not see at first.
    pub(crate) unseen: u32,
    /// Whether one side may reset.
    pub(crate) resets: bool,
}

impl Style {
    pub(crate) fn random(random: &mut Rng) -> Self {
        let isn = |random: &mut Rng| match random.u8(..4) {
            0 => u32::MAX - random.u32(..5000),
            1 => 0x8000_0000 - random.u32(..5000),
            _ => random.u32(..),
        };
        let scale = |random: &mut Rng| (random.u8(..4) != 0).then(|| random.u8(..=14));
        let window = |random: &mut Rng| match random.u8(..4) {
            0 => random.u16(1..2000),
            1 => u16::MAX,
            _ => random.u16(2000..),
        };
        let rate = |random: &mut Rng| match random.u8(..3) {
            0 => 0,
            _ => random.u8(..40),
        };
        Self {
            isn: [isn(random), isn(random)],
            scale: [scale(random), scale(random)],
            window: [window(random), window(random)],
            sack: random.bool(),
            simultaneous: random.u8(..16) == 0,
            fast_open: random.u8(..8) == 0,
            loss_before: rate(random),
            loss_behind: rate(random),
            reordering: rate(random),
            segment: match random.u8(..8) {
                0 => 60_000,
                1..=3 => 1448,
                _ => 200,
            },
            unseen: match random.u8(..4) {
                0 => random.u32(1..30),
                _ => 0,
            },
            resets: true,
        }
    }
}

#[derive(Clone, Debug)]
struct Endpoint {
    host: Host,
    phase: Phase,
    /// Next number to send, and the first that is not acknowledged.
    next: u32,
    unacked: u32,
    /// Next number expected, and what has come out of order.
    expected: u32,
    ahead: Vec<(u32, u32)>,
    /// Where its peer's FIN is, once seen.
    peer_fin: Option<u32>,
    /// Right edge that the peer has allowed, and the one that it has allowed.
    edge: u32,
    promised: u32,
    /// Window offered, in units.
    window: u16,
    offers: Option<u8>,
    shift: u8,
    peer_shift: u8,
    fin: Option<u32>,
    isn: u32,
}

/// A segment in flight.
#[derive(Clone, Copy, Debug)]
struct InFlight(Segment);

pub(crate) struct Wire {
    style: Style,
    client: Endpoint,
    server: Endpoint,
    /// Before the tracker, and behind it.
    before: Vec<InFlight>,
    behind: Vec<InFlight>,
    passed: u32,
}

impl Endpoint {
    fn new(host: Host, style: &Style) -> Self {
        let side = usize::from(host == Host::Server);
        Self {
            host,
            phase: Phase::Idle,
            next: style.isn[side],
            unacked: style.isn[side],
            expected: 0,
            ahead: Vec::new(),
            peer_fin: None,
            edge: 0,
            promised: 0,
            window: style.window[side],
            offers: style.scale[side],
            shift: 0,
            peer_shift: 0,
            fin: None,
            isn: style.isn[side],
        }
    }

    fn plain(&self) -> Segment {
        Segment {
            from: self.host,
            syn: false,
            fin: false,
            rst: false,
            ack_flag: true,
            seq: self.next,
            ack: self.expected,
            len: 0,
            win: self.window,
            wscale: None,
            sack: [None; 4],
            astray: false,
        }
    }

    /// An ACK with what it has to say: the window never takes back what it has allowed.
    fn segment(&mut self, seq: u32, len: u32, sack: bool) -> Segment {
        let mut segment = self.plain();
        // As Linux has it: an ACK does not begin beyond the window.
        segment.seq = if len == 0 && after(seq, self.edge) {
            self.edge
        } else {
            seq
        };
        segment.len = len;
        let offered = u32::from(self.window) << self.shift;
        let edge = self.expected.wrapping_add(offered);
        if after(self.promised, edge) {
            let units = self
                .promised
                .wrapping_sub(self.expected)
                .div_ceil(1 << self.shift);
            segment.win = u16::try_from(units).unwrap_or(u16::MAX);
        }
        let edge = self
            .expected
            .wrapping_add(u32::from(segment.win) << self.shift);
        if after(edge, self.promised) {
            self.promised = edge;
        }
        if sack {
            for (block, &(_, right)) in segment.sack.iter_mut().zip(self.ahead.iter().rev()) {
                *block = Some(right);
            }
        }
        segment
    }

    fn syn(&mut self, fast_open: bool) -> Segment {
        let mut segment = self.plain();
        segment.syn = true;
        segment.ack_flag = self.phase == Phase::SynReceived;
        if !segment.ack_flag {
            segment.ack = 0;
        }
        segment.seq = self.isn;
        segment.wscale = self.offers;
        if fast_open && self.next == self.isn {
            segment.len = 100;
        }
        if self.next == self.isn {
            self.next = segment.end();
        }
        self.promised = self.expected.wrapping_add(u32::from(self.window));
        segment
    }

    /// Takes a SYN's numbers.
    fn take_syn(&mut self, segment: &Segment) {
        self.expected = segment.seq.wrapping_add(1);
        self.promised = self.expected.wrapping_add(u32::from(self.window));
        if let (Some(own), Some(peer)) = (self.offers, segment.offered_scale()) {
            self.shift = own;
            self.peer_shift = peer;
        }
        let first = self.isn.wrapping_add(1);
        self.edge = first.wrapping_add(u32::from(segment.win));
    }

    fn receive(&mut self, segment: &Segment, sack: bool) -> Vec<Segment> {
        if segment.rst {
            if self.phase != Phase::Idle {
                self.phase = Phase::Dead;
            }
            return Vec::new();
        }
        match self.phase {
            Phase::Dead => {
                let mut rst = self.plain();
                rst.rst = true;
                rst.ack_flag = false;
                rst.ack = 0;
                rst.win = 0;
                rst.seq = segment.ack;
                return if segment.ack_flag {
                    vec![rst]
                } else {
                    Vec::new()
                };
            }
            Phase::Idle => {
                if segment.syn && !segment.ack_flag {
                    self.phase = Phase::SynReceived;
                    self.take_syn(segment);
                    return vec![self.syn(false)];
                }
                return Vec::new();
            }
            Phase::SynSent => {
                if segment.syn
                    && segment.ack_flag
                    && segment.ack.wrapping_sub(self.isn) > 0
                    && !after(segment.ack, self.next)
                {
                    self.take_syn(segment);
                    self.unacked = segment.ack;
                    self.edge = segment.ack.wrapping_add(u32::from(segment.win));
                    self.phase = Phase::Open;
                    return vec![self.segment(self.next, 0, sack)];
                }
                if segment.syn && !segment.ack_flag {
                    self.phase = Phase::SynReceived;
                    self.take_syn(segment);
                    return vec![self.syn(false)];
                }
                return Vec::new();
            }
            Phase::SynReceived | Phase::Open => {}
        }
        if segment.syn {
            // Sent again: the answer was lost.
            return if self.phase == Phase::SynReceived && !segment.ack_flag {
                vec![self.syn(false)]
            } else {
                if segment.ack_flag && segment.ack == self.isn.wrapping_add(1) {
                    self.unacked = segment.ack;
                    self.phase = Phase::Open;
                }
                vec![self.segment(self.next, 0, sack)]
            };
        }
        if !segment.ack_flag || after(segment.ack, self.next) {
            return Vec::new();
        }
        if self.phase == Phase::SynReceived && after(segment.ack, self.isn) {
            self.phase = Phase::Open;
        }
        self.acknowledged(segment);
        self.data(segment, sack)
    }

    fn acknowledged(&mut self, segment: &Segment) {
        if after(segment.ack, self.unacked) {
            self.unacked = segment.ack;
        }
        let edge = segment
            .ack
            .wrapping_add(u32::from(segment.win) << self.peer_shift);
        if after(edge, self.edge) {
            self.edge = edge;
        }
    }

    fn data(&mut self, segment: &Segment, sack: bool) -> Vec<Segment> {
        let end = segment.seq.wrapping_add(segment.len);
        let window = self.promised;
        if segment.fin {
            self.peer_fin = Some(end);
        }
        let nothing = segment.len == 0 && !segment.fin;
        if nothing {
            // A keep-alive probe wants an answer.
            return if segment.seq == self.expected.wrapping_sub(1) {
                vec![self.segment(self.next, 0, sack)]
            } else {
                Vec::new()
            };
        }
        if segment.len > 0 && !after(segment.seq, window) {
            let end = if after(end, window) { window } else { end };
            self.ahead.push((segment.seq, end));
        }
        loop {
            let found = self
                .ahead
                .iter()
                .position(|&(left, _)| !after(left, self.expected));
            let Some(at) = found else { break };
            let (_, right) = self.ahead.swap_remove(at);
            if after(right, self.expected) {
                self.expected = right;
            }
        }
        if self.peer_fin == Some(self.expected) {
            self.expected = self.expected.wrapping_add(1);
        }
        vec![self.segment(self.next, 0, sack)]
    }
}

impl Wire {
    pub(crate) fn new(style: Style) -> Self {
        let mut wire = Self {
            style,
            client: Endpoint::new(Host::Client, &style),
            server: Endpoint::new(Host::Server, &style),
            before: Vec::new(),
            behind: Vec::new(),
            passed: 0,
        };
        wire.client.phase = Phase::SynSent;
        let syn = wire.client.syn(style.fast_open);
        wire.before.push(InFlight(syn));
        if style.simultaneous {
            wire.server.phase = Phase::SynSent;
            let syn = wire.server.syn(false);
            wire.before.push(InFlight(syn));
        }
        wire
    }

    fn endpoint(&mut self, host: Host) -> &mut Endpoint {
        match host {
            Host::Client => &mut self.client,
            Host::Server => &mut self.server,
        }
    }

    /// Goes on until a packet comes by the tracker.
    pub(crate) fn next(&mut self, random: &mut Rng) -> Segment {
        loop {
            if self.before.is_empty() || random.u8(..4) == 0 {
                self.act(random);
            }
            if !self.behind.is_empty() && random.u8(..3) != 0 {
                let at = pick(&self.behind, self.style.reordering, random);
                let InFlight(segment) = self.behind.remove(at);
                let sack = self.style.sack;
                let answers = self.endpoint(segment.from.other()).receive(&segment, sack);
                self.before.extend(answers.into_iter().map(InFlight));
            }
            if self.before.is_empty() {
                continue;
            }
            let at = pick(&self.before, self.style.reordering, random);
            let InFlight(segment) = self.before.remove(at);
            if random.u8(..) < self.style.loss_before {
                continue;
            }
            if random.u8(..) >= self.style.loss_behind {
                self.behind.push(InFlight(segment));
            }
            self.passed += 1;
            if self.passed > self.style.unseen {
                return segment;
            }
        }
    }

    /// One side does something of its own.
    fn act(&mut self, random: &mut Rng) {
        let style = self.style;
        let host = if random.bool() {
            Host::Client
        } else {
            Host::Server
        };
        let me = self.endpoint(host);
        let sent: Option<Segment> = match me.phase {
            Phase::Idle | Phase::Dead => None,
            Phase::SynSent | Phase::SynReceived => (random.u8(..4) == 0).then(|| me.syn(false)),
            Phase::Open => me.act(&style, random),
        };
        self.before.extend(sent.map(InFlight));
        let dead = |endpoint: &Endpoint| matches!(endpoint.phase, Phase::Dead | Phase::Idle);
        let over = self.before.is_empty() && self.behind.is_empty();
        if over && dead(&self.client) && dead(&self.server) {
            // The same ports again.
            let passed = self.passed;
            *self = Self::new(Style {
                isn: [random.u32(..), random.u32(..)],
                unseen: 0,
                ..style
            });
            self.passed = passed;
        }
    }
}

impl Endpoint {
    fn act(&mut self, style: &Style, random: &mut Rng) -> Option<Segment> {
        let sack = style.sack;
        match random.u8(..32) {
            // New data, as far as it is allowed.
            0..=15 if self.fin.is_none() => {
                let room = self.edge.wrapping_sub(self.next);
                let room = if room > 1 << 30 { 0 } else { room };
                let len = random.u32(1..=style.segment).min(room);
                if len == 0 {
                    return None;
                }
                let segment = self.segment(self.next, len, sack);
                self.next = self.next.wrapping_add(len);
                Some(segment)
            }
            // Again, from the first that is not acknowledged; a FIN may ride on it.
            16..=20 => {
                let data_end = self.fin.unwrap_or(self.next);
                let waiting = data_end.wrapping_sub(self.unacked);
                if waiting == 0 || waiting > 1 << 30 {
                    return self.fin.filter(|&fin| fin == self.unacked).map(|fin| {
                        let mut segment = self.segment(fin, 0, sack);
                        segment.fin = true;
                        segment
                    });
                }
                let len = random.u32(1..=style.segment).min(waiting);
                let mut segment = self.segment(self.unacked, len, sack);
                segment.fin = len == waiting && self.fin.is_some();
                Some(segment)
            }
            21..=24 => Some(self.segment(self.next, 0, sack)),
            // A keep-alive probe.
            25 if self.next == self.unacked => {
                let len = random.u32(..2);
                let len = if self.fin.is_some() { 0 } else { len };
                Some(self.segment(self.next.wrapping_sub(1), len, sack))
            }
            26..=27 => {
                self.window = match random.u8(..4) {
                    0 => 0,
                    _ => random.u16(1..),
                };
                Some(self.segment(self.next, 0, sack))
            }
            28 if self.fin.is_none() && after(self.edge, self.next) && random.u8(..4) == 0 => {
                let mut segment = self.segment(self.next, 0, sack);
                segment.fin = true;
                self.fin = Some(self.next);
                self.next = self.next.wrapping_add(1);
                Some(segment)
            }
            29 if style.resets && random.u8(..16) == 0 => {
                self.phase = Phase::Dead;
                let mut segment = self.plain();
                segment.rst = true;
                segment.ack_flag = random.bool();
                segment.win = 0;
                Some(segment)
            }
            _ => None,
        }
    }
}

/// Mostly the first.
fn pick(queue: &[InFlight], reordering: u8, random: &mut Rng) -> usize {
    if random.u8(..) < reordering {
        random.usize(..queue.len())
    } else {
        0
    }
}
