//! Which kinds of connections there are, how often each comes, and how many packets it takes.

use super::random::Random;

/// What happens on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Handshake, data both ways, FINs.
    Tcp,
    /// The same with losses: duplicate ACKs, retransmissions of data, SYN and FIN.
    TcpRetransmission,
    /// Ended by a RST from either side.
    TcpReset,
    /// SYN, answered by RST.
    TcpRefused,
    /// SYN, tried again and again.
    TcpUnanswered,
    /// The capture begins after the handshake; either side sends first.
    TcpMidstream,
    /// One side closes, the other goes on sending and never ends.
    TcpHalfClosed,
    /// SYN, answered by an ICMP error from a router.
    TcpUnreachable,
    /// A full segment is too big for a router on the path.
    TcpPathMtu,
    /// Data segments in IP fragments.
    TcpFragmented,
    /// DNS.
    UdpAnswered,
    /// Media or QUIC: many datagrams both ways.
    UdpStream,
    /// Telemetry: nobody answers.
    UdpOneWay,
    /// Port unreachable.
    UdpRefused,
    /// An ICMP error from a router on the path.
    UdpRouterError,
    /// Datagrams in IP fragments.
    UdpFragmented,
    /// ICMP or ICMPv6 echo.
    Ping,
    /// Echo requests that a router answers with an error.
    PingError,
    /// An association from INIT to SHUTDOWN COMPLETE.
    Sctp,
    /// RFC 2784 with IPv4 inside.
    Gre,
    /// RFC 4303.
    Esp,
}

impl Kind {
    /// Every kind and how many of 1000 connections are of it.
    const SHARES: [(Self, u32); 21] = [
        (Self::Tcp, 345),
        (Self::TcpRetransmission, 60),
        (Self::TcpReset, 60),
        (Self::TcpRefused, 40),
        (Self::TcpUnanswered, 50),
        (Self::TcpMidstream, 30),
        (Self::TcpHalfClosed, 20),
        (Self::TcpUnreachable, 15),
        (Self::TcpPathMtu, 15),
        (Self::TcpFragmented, 5),
        (Self::UdpAnswered, 200),
        (Self::UdpStream, 40),
        (Self::UdpOneWay, 30),
        (Self::UdpRefused, 20),
        (Self::UdpRouterError, 15),
        (Self::UdpFragmented, 20),
        (Self::Ping, 18),
        (Self::PingError, 4),
        (Self::Sctp, 5),
        (Self::Gre, 4),
        (Self::Esp, 4),
    ];

    /// The kind's name in the truth file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::TcpRetransmission => "tcp-retransmission",
            Self::TcpReset => "tcp-reset",
            Self::TcpRefused => "tcp-refused",
            Self::TcpUnanswered => "tcp-unanswered",
            Self::TcpMidstream => "tcp-midstream",
            Self::TcpHalfClosed => "tcp-half-closed",
            Self::TcpUnreachable => "tcp-unreachable",
            Self::TcpPathMtu => "tcp-path-mtu",
            Self::TcpFragmented => "tcp-fragmented",
            Self::UdpAnswered => "udp-answered",
            Self::UdpStream => "udp-stream",
            Self::UdpOneWay => "udp-one-way",
            Self::UdpRefused => "udp-refused",
            Self::UdpRouterError => "udp-router-error",
            Self::UdpFragmented => "udp-fragmented",
            Self::Ping => "ping",
            Self::PingError => "ping-error",
            Self::Sctp => "sctp",
            Self::Gre => "gre",
            Self::Esp => "esp",
        }
    }

    /// True if its datagrams come in fragments.
    pub(crate) const fn is_fragmented(self) -> bool {
        matches!(self, Self::TcpFragmented | Self::UdpFragmented)
    }

    /// True if the protocol has neither ports nor an identifier, so that only the addresses tell
    /// its connections apart.
    pub(crate) const fn is_portless(self) -> bool {
        matches!(self, Self::Gre | Self::Esp)
    }

    fn draw(random: &mut Random) -> Self {
        let mut ticket = random.below(Self::SHARES.iter().map(|(_, share)| share).sum());
        for (kind, share) in Self::SHARES {
            match ticket.checked_sub(share) {
                Some(rest) => ticket = rest,
                None => return kind,
            }
        }
        Self::Tcp
    }
}

/// One connection before its length is known.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// What happens on it.
    pub(crate) kind: Kind,
    /// How many packets it has to have.
    pub(crate) minimum: u32,
    /// Its part of the packets that are left when all have their minimum; 0 if it takes none.
    pub(crate) weight: u32,
    /// Its own random numbers, so that a connection is the same whatever happens around it.
    pub(crate) random: Random,
}

impl Profile {
    /// The connection number `index` of a seed.
    pub(crate) fn draw(seed: u64, index: u32) -> Self {
        let mut random = Random::new(seed, u64::from(index));
        // The first one is always able to take more packets, so that a total can be met.
        let kind = if index == 0 {
            Kind::Tcp
        } else {
            Kind::draw(&mut random)
        };
        let (minimum, weight) = match kind {
            Kind::Tcp => (8, 8),
            Kind::TcpRetransmission => (18, 8),
            Kind::TcpReset => (6, 4),
            Kind::TcpRefused => (2, 0),
            Kind::TcpUnanswered => (random.between(1..=6), 0),
            Kind::TcpMidstream => (2, 8),
            Kind::TcpHalfClosed => (8, 4),
            Kind::TcpUnreachable => (2 * random.between(1..=3), 0),
            Kind::TcpPathMtu => (13, 4),
            Kind::TcpFragmented => (11, 2),
            Kind::UdpAnswered => (random.pick(&[2, 2, 2, 2, 3, 4]), 0),
            Kind::UdpStream => (3, 8),
            Kind::UdpOneWay => (1, 1),
            Kind::UdpRefused => (2 * random.between(1..=3), 0),
            Kind::UdpRouterError => (2 * random.between(1..=3), 0),
            Kind::UdpFragmented => (2, 1),
            Kind::Ping => (2, 1),
            Kind::PingError => (2 * random.between(1..=2), 0),
            Kind::Sctp => (9, 2),
            Kind::Gre | Kind::Esp => (2, 4),
        };
        // Few connections carry most of the packets: each doubling is about half as likely, up to
        // a thousand times the smallest.
        let mut weight = weight * random.between(1..=16);
        for _ in 0..10 {
            if random.below(16) >= 7 {
                break;
            }
            weight *= 2;
        }
        Self {
            kind,
            minimum,
            weight,
            random,
        }
    }
}

/// Deals packets to connections so that they add up to a total exactly.
#[derive(Debug)]
pub(crate) struct Dealer {
    /// Packets beyond all minimums.
    extra: u64,
    /// Sum of all weights.
    weights: u64,
    /// Sum of the weights dealt so far.
    dealt: u64,
}

impl Dealer {
    /// Goes through all connections once to learn their minimums and weights.
    ///
    /// # Errors
    /// The least possible total, if `packets` is less.
    pub(crate) fn new(seed: u64, connections: u32, packets: u64) -> Result<Self, u64> {
        let (mut minimums, mut weights) = (0, 0);
        for index in 0..connections {
            let profile = Profile::draw(seed, index);
            minimums += u64::from(profile.minimum);
            weights += u64::from(profile.weight);
        }
        let extra = packets.checked_sub(minimums).ok_or(minimums)?;
        Ok(Self {
            extra,
            weights,
            dealt: 0,
        })
    }

    /// The number of packets of the next connection. To be called in their order.
    pub(crate) fn deal(&mut self, profile: &Profile) -> u32 {
        // Rounding the running sum, not the single part, loses nothing in the end.
        let upto = |weight: u64| {
            (u128::from(weight) * u128::from(self.extra) / u128::from(self.weights)) as u64
        };
        let before = upto(self.dealt);
        let after = upto(self.dealt + u64::from(profile.weight));
        self.dealt += u64::from(profile.weight);
        profile.minimum + (after - before) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        let sum: u32 = Kind::SHARES.iter().map(|(_, share)| share).sum();
        assert_eq!(sum, 1000);
    }

    #[test]
    fn deals_the_total_exactly() {
        for (connections, packets) in [(1, 8), (1, 1000), (300, 12_345), (300, 1_000_000)] {
            let mut dealer = Dealer::new(3, connections, packets).expect("enough packets");
            let dealt: u64 = (0..connections)
                .map(|index| u64::from(dealer.deal(&Profile::draw(3, index))))
                .sum();
            assert_eq!(dealt, packets);
        }
    }

    #[test]
    fn tells_the_least_total() {
        let least = Dealer::new(3, 300, 10).expect_err("10 packets are too few");
        assert!(Dealer::new(3, 300, least).is_ok());
        assert!(Dealer::new(3, 300, least - 1).is_err());
    }
}
