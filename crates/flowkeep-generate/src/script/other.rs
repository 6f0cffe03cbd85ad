//! Everything else: echoes, SCTP, tunnels.

use super::{Cause, Chunk, Packet, Script, Side};
use Side::{Originator, Responder};

impl Script {
    pub(super) fn ping(&mut self) {
        let len = self.random.pick(&[32, 56, 56, 56, 1000]);
        let mut sequence = 0_u16;
        let mut gap = 0;
        while self.left() > 0 {
            sequence = sequence.wrapping_add(1);
            let echo = Packet::Echo { sequence, len };
            self.push(gap, Originator, echo);
            if self.left() > 0 && !self.random.one_in(20) {
                let gap = self.reply();
                self.push(gap, Responder, echo);
            }
            gap = self.wait(1_000_000);
        }
    }

    pub(super) fn ping_error(&mut self) {
        let cause = self
            .random
            .pick(&[Cause::HostUnreachable, Cause::TimeExceeded]);
        for sequence in 1..=(self.packets / 2) as u16 {
            let gap = if sequence == 1 { 0 } else { 1_000_000 };
            self.push(gap, Originator, Packet::Echo { sequence, len: 56 });
            self.error(Originator, cause, false);
        }
    }

    pub(super) fn sctp(&mut self) {
        self.chunk(Originator, Chunk::Init);
        self.chunk(Responder, Chunk::InitAck);
        self.chunk(Originator, Chunk::CookieEcho);
        self.chunk(Responder, Chunk::CookieAck);
        self.fill(3, |script| {
            let from = script.random.pick(&[Originator, Responder]);
            let len = script.random.length(8..=1000);
            let gap = script.think(5_000_000);
            script.push(gap, from, Packet::Sctp(Chunk::Data(len)));
            script.chunk(from.other(), Chunk::Sack);
        });
        self.chunk(Originator, Chunk::Shutdown);
        self.chunk(Responder, Chunk::ShutdownAck);
        self.chunk(Originator, Chunk::ShutdownComplete);
    }

    pub(super) fn tunnel(&mut self, packet: impl Fn(u16) -> Packet) {
        let len = self.random.length(40..=1200);
        self.push(0, Originator, packet(len));
        self.fill(0, |script| {
            let from = script.random.pick(&[Originator, Responder]);
            // Whole words, as a cipher's blocks are.
            let len = 4 * script.random.length(10..=300);
            let gap = script.think(10_000_000);
            script.push(gap, from, packet(len));
        });
    }

    fn chunk(&mut self, from: Side, chunk: Chunk) {
        let gap = self.reply();
        self.push(gap, from, Packet::Sctp(chunk));
    }
}
