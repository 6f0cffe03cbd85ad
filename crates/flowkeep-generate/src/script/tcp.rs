//! TCP connections.

use super::{Cause, Packet, Script, Seq, Side};

/// TCP flags (RFC 9293, section 3.1).
pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// Data bytes of a full segment: with every IP and TCP option that we use it stays below 1500.
const FULL: u16 = 1400;

/// Steps that a three-way handshake takes.
const HANDSHAKE: usize = 3;

/// Steps of the longest way to close that [`Script::close`] takes.
const CLOSE: usize = 4;

use Side::{Originator, Responder};

impl Script {
    pub(super) fn tcp(&mut self) {
        self.handshake();
        if self.random.one_in(40) && self.left() > CLOSE + 4 {
            self.turn();
            let end = self.packets - CLOSE - 1;
            self.steps.truncate(end);
            let idle = self.random.between(60_000_000..=200_000_000);
            let data = self.data(Seq::Next);
            self.push(idle, Originator, data);
        }
        self.fill(CLOSE, Self::turn);
        self.close();
    }

    pub(super) fn tcp_retransmission(&mut self) {
        self.segment(0, Originator, SYN, 0, Seq::Next);
        if self.random.one_in(4) {
            self.segment(1_000_000, Originator, SYN, 0, Seq::Newest);
        }
        self.finish_handshake();
        self.lossy_turn();
        self.fill(CLOSE + 1, |script| {
            if script.random.one_in(6) {
                script.lossy_turn();
            } else {
                script.turn();
            }
        });
        let gap = self.think(2_000_000);
        self.segment(gap, Originator, FIN | ACK, 0, Seq::Next);
        self.segment(200_000, Originator, FIN | ACK, 0, Seq::Newest);
        self.acknowledge(Responder);
        let gap = self.burst();
        self.segment(gap, Responder, FIN | ACK, 0, Seq::Next);
        self.acknowledge(Originator);
    }

    pub(super) fn tcp_reset(&mut self) {
        let twice = self.random.one_in(8);
        let reserve = if twice { 2 } else { 1 };
        self.handshake();
        self.fill(reserve, Self::turn);
        let from = self.random.pick(&[Originator, Responder]);
        let flags = self.random.pick(&[RST, RST | ACK]);
        let gap = self.think(5_000_000);
        self.segment(gap, from, flags, 0, Seq::Next);
        if twice {
            let gap = self.random.between(1_000..=900_000);
            self.segment(gap, from, flags, 0, Seq::Next);
        }
    }

    pub(super) fn tcp_refused(&mut self) {
        self.segment(0, Originator, SYN, 0, Seq::Next);
        let gap = self.reply();
        self.segment(gap, Responder, RST | ACK, 0, Seq::Next);
    }

    pub(super) fn tcp_unanswered(&mut self) {
        self.segment(0, Originator, SYN, 0, Seq::Next);
        let mut gap = 1_000_000;
        while self.left() > 0 {
            self.segment(gap, Originator, SYN, 0, Seq::Newest);
            gap *= 2;
        }
    }

    pub(super) fn tcp_midstream(&mut self) {
        let data = self.data(Seq::Next);
        self.push(0, Originator, data);
        let close = if self.left() > CLOSE + 1 && self.random.one_in(2) {
            CLOSE
        } else {
            0
        };
        self.acknowledge(Responder);
        self.fill(close, Self::turn);
        if close > 0 {
            self.close();
        }
    }

    pub(super) fn tcp_half_closed(&mut self) {
        self.handshake();
        let data = self.data(Seq::Next);
        let gap = self.burst();
        self.push(gap, Originator, data);
        let gap = self.burst();
        self.segment(gap, Originator, FIN | ACK, 0, Seq::Next);
        self.acknowledge(Responder);
        self.fill(0, |script| {
            let gap = script.think(5_000_000);
            script.send(gap, Responder);
        });
    }

    pub(super) fn tcp_unreachable(&mut self) {
        let cause = self
            .random
            .pick(&[Cause::HostUnreachable, Cause::Prohibited]);
        self.segment(0, Originator, SYN, 0, Seq::Next);
        self.error(Originator, cause, false);
        let mut gap = 1_000_000;
        while self.left() > 0 {
            self.segment(gap, Originator, SYN, 0, Seq::Newest);
            self.error(Originator, cause, false);
            gap *= 2;
        }
    }

    pub(super) fn tcp_path_mtu(&mut self) {
        self.handshake();
        let gap = self.burst();
        self.segment(gap, Originator, PSH | ACK, 200, Seq::Next);
        let gap = self.reply();
        self.segment(gap, Responder, ACK, FULL, Seq::Next);
        self.error(Responder, Cause::TooBig, false);
        // RFC 1191, section 6.5: the segment comes again at once, in smaller ones.
        let gap = self.burst();
        self.segment(gap, Responder, ACK, 1000, Seq::Unacknowledged(0));
        let gap = self.burst();
        self.segment(
            gap,
            Responder,
            PSH | ACK,
            FULL - 1000,
            Seq::Unacknowledged(1000),
        );
        self.acknowledge(Originator);
        self.fill(CLOSE, Self::small_turn);
        self.close();
    }

    pub(super) fn tcp_fragmented(&mut self) {
        self.handshake();
        while self.left() > CLOSE {
            let gap = self.think(2_000_000);
            let pieces = self.random.between(2..=4).min((self.left() - CLOSE) as u32) as u16;
            if pieces < 2 {
                self.acknowledge(Originator);
                continue;
            }
            let piece = self.random.pick(&[552, 1000, 1400]);
            let total = piece * (pieces - 1) + self.random.length(1..=piece);
            let from = self.random.pick(&[Originator, Responder]);
            self.fragments(gap, from, total, piece);
            if self.left() > CLOSE {
                self.acknowledge(from.other());
            }
        }
        self.close();
    }

    fn segment(&mut self, gap: u32, from: Side, flags: u8, len: u16, seq: Seq) {
        self.push(gap, from, Packet::Tcp { flags, len, seq });
    }

    fn data(&mut self, seq: Seq) -> Packet {
        let len = if self.random.below(256) < self.full {
            FULL
        } else {
            let longest = self.random.length(1..=600);
            self.random.length(1..=longest)
        };
        Packet::Tcp {
            flags: PSH | ACK,
            len,
            seq,
        }
    }

    fn acknowledge(&mut self, from: Side) {
        let gap = self.reply();
        self.segment(gap, from, ACK, 0, Seq::Next);
    }

    fn handshake(&mut self) {
        self.segment(0, Originator, SYN, 0, Seq::Next);
        self.finish_handshake();
        debug_assert_eq!(self.steps.len(), HANDSHAKE);
    }

    fn finish_handshake(&mut self) {
        let gap = self.reply();
        self.segment(gap, Responder, SYN | ACK, 0, Seq::Next);
        let gap = self.burst();
        self.segment(gap, Originator, ACK, 0, Seq::Next);
    }

    /// One side sends a few segments, the other acknowledges every second one and the last.
    fn send(&mut self, gap: u32, from: Side) {
        let segments = self.random.between(1..=6);
        for number in 1..=segments {
            let gap = if number == 1 { gap } else { self.burst() };
            let data = self.data(Seq::Next);
            self.push(gap, from, data);
            if number % 2 == 0 || number == segments {
                self.acknowledge(from.other());
            }
        }
    }

    /// A request and its answer.
    fn turn(&mut self) {
        let gap = self.think(20_000_000);
        let request = self.random.length(20..=500);
        self.segment(gap, Originator, PSH | ACK, request, Seq::Next);
        let gap = self.reply();
        self.send(gap, Responder);
        if self.random.one_in(4) {
            let gap = self.burst();
            self.send(gap, Originator);
        }
    }

    /// The same below a small path MTU.
    fn small_turn(&mut self) {
        let gap = self.think(5_000_000);
        self.segment(gap, Originator, PSH | ACK, 300, Seq::Next);
        let gap = self.reply();
        self.segment(gap, Responder, PSH | ACK, 1000, Seq::Next);
        self.acknowledge(Originator);
    }

    /// The first of some segments is lost behind the capture: duplicate ACKs, then the segment
    /// again (RFC 5681, section 3.2).
    fn lossy_turn(&mut self) {
        let from = self.random.pick(&[Originator, Responder]);
        let len = self.random.pick(&[FULL, 500, 80]);
        let gap = self.think(3_000_000);
        self.segment(gap, from, ACK, len, Seq::Next);
        for _ in 0..3 {
            let gap = self.burst();
            self.segment(gap, from, PSH | ACK, len, Seq::Next);
        }
        let gap = self.reply();
        self.segment(gap, from.other(), ACK, 0, Seq::DuplicateAck);
        for _ in 0..2 {
            let gap = self.burst();
            self.segment(gap, from.other(), ACK, 0, Seq::DuplicateAck);
        }
        let gap = self.burst();
        self.segment(gap, from, ACK, len, Seq::Unacknowledged(0));
        self.acknowledge(from.other());
    }

    /// Both sides end, in what is left of the script: [`CLOSE`] steps.
    fn close(&mut self) {
        debug_assert_eq!(self.left(), CLOSE);
        let first = self.random.pick(&[Originator, Originator, Responder]);
        let gap = self.think(10_000_000);
        self.segment(gap, first, FIN | ACK, 0, Seq::Next);
        if self.random.one_in(2) {
            self.acknowledge(first.other());
            let gap = self.burst();
            self.segment(gap, first.other(), FIN | ACK, 0, Seq::Next);
        } else {
            // The FIN acknowledges the other one; the last data comes with it.
            let gap = self.reply();
            let data = self.random.length(1..=100);
            self.segment(gap, first.other(), PSH | ACK, data, Seq::Next);
            let gap = self.burst();
            self.segment(gap, first.other(), FIN | ACK, 0, Seq::Next);
        }
        self.acknowledge(first);
    }
}
