//! What happens on a connection, packet by packet, before any byte of it is written.

mod other;
pub(crate) mod tcp;
mod udp;

use super::mix::{Kind, Profile};
use super::random::Random;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Whoever sends first.
    Originator,
    /// The other one.
    Responder,
}

impl Side {
    /// The other end.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Originator => Self::Responder,
            Self::Responder => Self::Originator,
        }
    }
}

/// One packet to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Microseconds since the connection's previous packet.
    pub(crate) gap: u32,
    /// Who sends it; for an ICMP error, who sent the packet that it quotes.
    pub(crate) from: Side,
    /// What it is.
    pub(crate) packet: Packet,
}

/// What a packet is, lengths in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Packet {
    /// A TCP segment with `len` bytes of data.
    Tcp { flags: u8, len: u16, seq: Seq },
    /// A UDP datagram with `len` bytes of data.
    Udp { len: u16 },
    /// A DNS question, or from the responder the answer with this many addresses.
    Dns { answers: u8 },
    /// A part of an IP payload, transport header included.
    Fragment(Fragment),
    /// An echo request from the originator, a reply from the responder.
    Echo { sequence: u16, len: u16 },
    /// An SCTP packet with one chunk.
    Sctp(Chunk),
    /// A GRE packet around an IPv4 one that carries `len` bytes over UDP.
    Gre { len: u16 },
    /// An ESP packet with `len` bytes of ciphertext.
    Esp { len: u16 },
    /// An ICMP error that quotes the packet before it.
    Error(IcmpError),
}

/// Where a TCP segment's sequence number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seq {
    /// It goes on where the last one ended.
    Next,
    /// The newest segment once more.
    Newest,
    /// A retransmission, this many bytes after the first one that the peer has not acknowledged.
    Unacknowledged(u16),
    /// The last pure ACK once more, whatever has come since.
    DuplicateAck,
}

/// A part of an IP payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment {
    /// On the part that is sent first: the whole payload's length.
    pub(crate) total: Option<u16>,
    /// Where the part begins.
    pub(crate) offset: u16,
    /// Its length.
    pub(crate) len: u16,
    /// True if parts with higher offsets exist.
    pub(crate) more: bool,
}

/// SCTP chunks (RFC 9260, section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// Opens an association.
    Init,
    /// Answers it.
    InitAck,
    /// Gives the cookie back.
    CookieEcho,
    /// The association is open.
    CookieAck,
    /// User data of this length.
    Data(u16),
    /// Acknowledges data.
    Sack,
    /// Closes.
    Shutdown,
    /// Answers it.
    ShutdownAck,
    /// The association is gone.
    ShutdownComplete,
}

/// An ICMP error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IcmpError {
    /// Why.
    pub(crate) cause: Cause,
    /// Who says so: the addressed host itself, else a router on the path.
    pub(crate) by_peer: bool,
    /// How many bytes it quotes beyond the IP header, if there are as many.
    pub(crate) quote: u16,
}

/// Why a packet could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// No such port.
    PortUnreachable,
    /// No such host.
    HostUnreachable,
    /// A firewall says no.
    Prohibited,
    /// IPv4: fragmentation needed; IPv6: packet too big.
    TooBig,
    /// Too many hops.
    TimeExceeded,
}

/// Writes the script of a connection that has exactly `packets` packets, which must not be less
/// than the profile's minimum. `full` of 256 data segments are full ones.
pub(crate) fn write(profile: Profile, packets: u32, full: u32) -> (Vec<Step>, Random) {
    let mut random = profile.random;
    let mut script = Script {
        steps: Vec::with_capacity(packets as usize),
        packets: packets as usize,
        full,
        round_trip: random.between(200..=60_000),
        patience: 240_000_000,
        random,
    };
    match profile.kind {
        Kind::Tcp => script.tcp(),
        Kind::TcpRetransmission => script.tcp_retransmission(),
        Kind::TcpReset => script.tcp_reset(),
        Kind::TcpRefused => script.tcp_refused(),
        Kind::TcpUnanswered => script.tcp_unanswered(),
        Kind::TcpMidstream => script.tcp_midstream(),
        Kind::TcpHalfClosed => script.tcp_half_closed(),
        Kind::TcpUnreachable => script.tcp_unreachable(),
        Kind::TcpPathMtu => script.tcp_path_mtu(),
        Kind::TcpFragmented => script.tcp_fragmented(),
        Kind::UdpAnswered => script.udp_answered(),
        Kind::UdpStream => script.udp_stream(),
        Kind::UdpOneWay => script.udp_one_way(),
        Kind::UdpRefused => script.udp_refused(),
        Kind::UdpRouterError => script.udp_router_error(),
        Kind::UdpFragmented => script.udp_fragmented(),
        Kind::Ping => script.ping(),
        Kind::PingError => script.ping_error(),
        Kind::Sctp => script.sctp(),
        Kind::Gre => script.tunnel(|len| Packet::Gre { len }),
        Kind::Esp => script.tunnel(|len| Packet::Esp { len }),
    }
    debug_assert_eq!(script.steps.len(), script.packets, "{:?}", profile.kind);
    (script.steps, script.random)
}

/// A script being written.
struct Script {
    steps: Vec<Step>,
    /// How many steps it will have.
    packets: usize,
    full: u32,
    /// Microseconds.
    round_trip: u32,
    /// Microseconds that may still be spent waiting, so that no connection lasts for hours.
    patience: u32,
    random: Random,
}

impl Script {
    /// Steps that are still to be written.
    const fn left(&self) -> usize {
        self.packets - self.steps.len()
    }

    fn push(&mut self, gap: u32, from: Side, packet: Packet) {
        self.steps.push(Step { gap, from, packet });
    }

    /// Adds what `turn` adds until `reserve` steps are left, and cuts what is too much.
    fn fill(&mut self, reserve: usize, mut turn: impl FnMut(&mut Self)) {
        let end = self.packets - reserve;
        while self.steps.len() < end {
            turn(self);
        }
        self.steps.truncate(end);
    }

    /// The gap between packets sent one right after the other.
    fn burst(&mut self) -> u32 {
        self.random.between(10..=400)
    }

    /// The gap before an answer.
    fn reply(&mut self) -> u32 {
        let jitter = self.random.below(self.round_trip / 4 + 1);
        self.wait(self.round_trip + jitter)
    }

    /// The gap while somebody thinks: mostly short, at most `longest`.
    fn think(&mut self, longest: u32) -> u32 {
        let bound = self.random.below(longest) + 1;
        let bound = self.random.below(bound) + 1;
        let gap = self.random.below(bound) + 1;
        self.wait(gap)
    }

    fn wait(&mut self, gap: u32) -> u32 {
        if gap > self.patience {
            return self.burst();
        }
        self.patience -= gap;
        gap
    }

    fn error(&mut self, from: Side, cause: Cause, by_peer: bool) {
        // RFC 792 quotes eight bytes, RFC 1812 as much as fits in 576, RFC 4443 in 1280.
        let quote = self.random.pick(&[8, 8, 40, 528, 1400]);
        let gap = self.reply();
        self.push(
            gap,
            from,
            Packet::Error(IcmpError {
                cause,
                by_peer,
                quote,
            }),
        );
    }

    /// Adds one datagram of `total` bytes in pieces of up to `piece` bytes, a multiple of 8.
    fn fragments(&mut self, gap: u32, from: Side, total: u16, piece: u16) {
        let begin = self.steps.len();
        for offset in (0..total).step_by(usize::from(piece)) {
            let len = piece.min(total - offset);
            let more = offset + len < total;
            let fragment = Fragment {
                total: None,
                offset,
                len,
                more,
            };
            let gap = self.random.between(10..=2_000);
            self.push(gap, from, Packet::Fragment(fragment));
        }
        let pieces = &mut self.steps[begin..];
        if self.random.one_in(3) {
            pieces.reverse();
        }
        if let [first, ..] = pieces {
            first.gap = gap;
            if let Packet::Fragment(fragment) = &mut first.packet {
                fragment.total = Some(total);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripts() -> impl Iterator<Item = (Kind, Vec<Step>)> {
        (0..4000).map(|index| {
            let profile = Profile::draw(5, index);
            let extra = if profile.weight == 0 { 0 } else { index % 100 };
            let (kind, packets) = (profile.kind, profile.minimum + extra);
            let (steps, _) = write(profile, packets, 80);
            assert_eq!(steps.len(), packets as usize, "{kind:?}");
            (kind, steps)
        })
    }

    #[test]
    fn no_gap_outlasts_a_timeout() {
        let mut longest_established = 0;
        for (kind, steps) in scripts() {
            for (index, step) in steps.iter().enumerate().skip(1) {
                let established = index >= 3 && matches!(step.packet, Packet::Tcp { .. });
                let limit = if established { 999_000_000 } else { 45_000_000 };
                assert!(
                    step.gap < limit,
                    "{kind:?}, step {index} after {} µs",
                    step.gap
                );
                if established {
                    longest_established = longest_established.max(step.gap);
                }
            }
        }
        assert!(
            longest_established > 60_000_000,
            "no idle connection was made"
        );
    }

    #[test]
    fn an_error_follows_the_packet_that_it_quotes() {
        for (kind, steps) in scripts() {
            for pair in steps.windows(2) {
                if matches!(pair[1].packet, Packet::Error(_)) {
                    assert_eq!(pair[0].from, pair[1].from, "{kind:?}");
                    assert!(!matches!(
                        pair[0].packet,
                        Packet::Error(_) | Packet::Fragment(_)
                    ));
                }
            }
            assert!(!matches!(steps[0].packet, Packet::Error(_)));
            assert_eq!(steps[0].from, Side::Originator, "{kind:?}");
        }
    }
}
