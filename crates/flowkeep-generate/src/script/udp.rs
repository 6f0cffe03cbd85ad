//! UDP exchanges.

use super::{Cause, Packet, Script, Side};
use Side::{Originator, Responder};

impl Script {
    pub(super) fn udp_answered(&mut self) {
        self.question(0);
        match self.packets {
            2 => self.answer(),
            3 => {
                // The first question was lost; RFC 1035 leaves the interval to the resolver.
                let gap = self.random.pick(&[1_000_000, 2_000_000, 5_000_000]);
                self.question(gap);
                self.answer();
            }
            _ => {
                // One for the IPv4 and one for the IPv6 address, as glibc sends them.
                let gap = self.burst();
                self.question(gap);
                self.answer();
                self.answer();
            }
        }
    }

    pub(super) fn udp_stream(&mut self) {
        self.datagram(0, Originator, 1200);
        self.fill(0, |script| {
            for _ in 0..script.random.between(1..=6) {
                let gap = script.random.between(100..=20_000);
                let len = script.media();
                script.datagram(gap, Responder, len);
            }
            let gap = script.think(20_000_000);
            let len = script.random.length(30..=80);
            script.datagram(gap, Originator, len);
        });
    }

    pub(super) fn udp_one_way(&mut self) {
        let len = self.random.length(20..=800);
        self.datagram(0, Originator, len);
        self.fill(0, |script| {
            let gap = script.think(15_000_000);
            let len = script.random.length(20..=800);
            script.datagram(gap, Originator, len);
        });
    }

    pub(super) fn udp_refused(&mut self) {
        let mut gap = 0;
        while self.left() > 0 {
            let len = self.random.length(1..=400);
            self.datagram(gap, Originator, len);
            self.error(Originator, Cause::PortUnreachable, true);
            gap = 1_000_000;
        }
    }

    pub(super) fn udp_router_error(&mut self) {
        let (cause, len) = self.random.pick(&[
            (Cause::TimeExceeded, 32),
            (Cause::TimeExceeded, 32),
            (Cause::HostUnreachable, 120),
            (Cause::TooBig, 1400),
        ]);
        self.datagram(0, Originator, len);
        self.error(Originator, cause, false);
        while self.left() > 0 {
            // After the error something gets through, or the next try fails as well.
            let answered = cause == Cause::TooBig || self.random.one_in(2);
            let gap = self.think(5_000_000);
            self.datagram(gap, Originator, if answered { 1000 } else { len });
            if answered {
                let gap = self.reply();
                self.datagram(gap, Responder, 100);
            } else {
                self.error(Originator, cause, false);
            }
        }
    }

    pub(super) fn udp_fragmented(&mut self) {
        let mut from = Originator;
        let mut gap = 0;
        while self.left() > 0 {
            let pieces = self.random.between(2..=5).min(self.left() as u32) as u16;
            if pieces < 2 {
                let len = self.random.length(20..=400);
                self.datagram(gap, from, len);
            } else {
                let piece = self.random.pick(&[552, 1000, 1400, 1432]);
                let total = piece * (pieces - 1) + self.random.length(1..=piece);
                self.fragments(gap, from, total, piece);
            }
            from = from.other();
            gap = self.think(3_000_000);
        }
    }

    fn datagram(&mut self, gap: u32, from: Side, len: u16) {
        self.push(gap, from, Packet::Udp { len });
    }

    fn question(&mut self, gap: u32) {
        self.push(gap, Originator, Packet::Dns { answers: 0 });
    }

    fn answer(&mut self) {
        let gap = self.reply();
        let answers = self.random.between(1..=8) as u8;
        self.push(gap, Responder, Packet::Dns { answers });
    }

    fn media(&mut self) -> u16 {
        if self.random.below(256) < self.full {
            1200
        } else {
            self.random.length(60..=400)
        }
    }
}
