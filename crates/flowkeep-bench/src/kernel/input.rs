//! The input: connections between ends of chance, and their packets.

use std::net::Ipv4Addr;

use anyhow::Result;
use etherparse::PacketBuilder;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use serde::Serialize;

/// A seeded stream of random numbers.
pub(crate) struct Random(Xoshiro256PlusPlus);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Puts things into an order of chance.
    fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            let wide = (self.number() >> 32) * (last as u64 + 1);
            things.swap(last, (wide >> 32) as usize);
        }
    }
}

/// Addresses and ports of a packet, as they lie in it: source first, network byte order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    addresses: [[u8; 4]; 2],
    ports: [[u8; 2]; 2],
}

impl Ends {
    fn random(random: &mut Random) -> Self {
        let [a0, a1, a2, a3, b0, b1, b2, b3] = random.number().to_ne_bytes();
        let [p0, p1, q0, q1, ..] = random.number().to_ne_bytes();
        Self {
            addresses: [[a0, a1, a2, a3], [b0, b1, b2, b3]],
            ports: [[p0, p1], [q0, q1]],
        }
    }

    /// Whom it comes from.
    pub(crate) const fn source(self) -> Ipv4Addr {
        Ipv4Addr::from_octets(self.addresses[0])
    }

    /// Of a packet back.
    fn reply(self) -> Self {
        let ([a, b], [p, q]) = (self.addresses, self.ports);
        Self {
            addresses: [b, a],
            ports: [q, p],
        }
    }

    /// As an element of the driver's map.
    pub(crate) fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(self.addresses.as_flattened());
        bytes[8..12].copy_from_slice(self.ports.as_flattened());
        bytes
    }
}

/// From whom a packet comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    /// From the connection's originator, who is this host: it leaves.
    Forward,
    /// From the responder: it arrives.
    Reply,
}

/// The packets of a run: one of each connection in an order of chance, then again in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Packets of the originators. The order in which connections begin, and so the one in which
    /// some tables lay them into memory: no other run is in it.
    Opening,
    /// Other packets of the originators.
    Forward,
    /// Packets of the responders.
    Reply,
}

impl Order {
    /// Whose packets they are.
    pub(crate) const fn side(self) -> Side {
        match self {
            Self::Opening | Self::Forward => Side::Forward,
            Self::Reply => Side::Reply,
        }
    }
}

/// Orders of chance of a direction, after which the first one comes again. In one order alone all
/// that a cache keeps may be what comes last, which is no more random than it is real.
const SHUFFLES: usize = 4;

/// Packets of some connections, by [`Order`]; [`Order::Opening`] has one of each.
pub(crate) struct Packets(pub(crate) [Vec<Ends>; 3]);

impl Packets {
    /// Of `connections` between ends of chance.
    pub(crate) fn random(connections: u32, random: &mut Random) -> Self {
        let opening: Vec<Ends> = (0..connections).map(|_| Ends::random(random)).collect();
        let mut shuffled = |direction: fn(Ends) -> Ends| {
            let mut packets = Vec::new();
            for _ in 0..SHUFFLES {
                let from = packets.len();
                packets.extend(opening.iter().map(|ends| direction(*ends)));
                random.shuffle(&mut packets[from..]);
            }
            packets
        };
        let (forward, reply) = (shuffled(|ends| ends), shuffled(Ends::reply));
        Self([opening, forward, reply])
    }

    /// How many connections they are of.
    pub(crate) const fn connections(&self) -> u32 {
        self.0[0].len() as u32
    }
}

/// A frame of a TCP connection, whose addresses and ports the driver writes.
#[derive(Clone, Debug)]
pub(crate) struct Frames {
    pub(crate) syn: Vec<u8>,
    pub(crate) syn_ack: Vec<u8>,
    /// With data.
    pub(crate) ack: Vec<u8>,
    /// The same, cut after the TCP header's ports.
    pub(crate) cut: Vec<u8>,
    /// The same under another EtherType.
    pub(crate) other: Vec<u8>,
}

impl Frames {
    pub(crate) fn new() -> Result<Self> {
        let builder = || {
            PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
                .ipv4([0; 4], [0; 4], 64)
                .tcp(0, 0, 1, 0xfff0)
        };
        let (mut syn, mut syn_ack, mut ack) = (Vec::new(), Vec::new(), Vec::new());
        builder().syn().write(&mut syn, &[])?;
        builder().syn().ack(2).write(&mut syn_ack, &[])?;
        builder().ack(2).psh().write(&mut ack, &[0; 100])?;
        let cut = ack[..14 + 20 + 4].to_owned();
        let mut other = ack.clone();
        // For experiments (IEEE 802).
        other[12..14].copy_from_slice(&[0x88, 0xb5]);
        Ok(Self {
            syn,
            syn_ack,
            ack,
            cut,
            other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pass_has_a_packet_of_every_connection_in_another_order() {
        let packets = Packets::random(100, &mut Random::new(7));
        let [opening, forward, reply] = &packets.0;
        let sorted = |packets: &[Ends]| {
            let mut bytes: Vec<_> = packets.iter().map(|ends| ends.bytes()).collect();
            bytes.sort_unstable();
            bytes
        };
        let back: Vec<_> = opening.iter().map(|ends| ends.reply()).collect();
        for (passes, all) in [(forward, opening), (reply, &back)] {
            assert_eq!(passes.len(), SHUFFLES * all.len());
            let mut orders: Vec<_> = passes.chunks(all.len()).collect();
            orders.push(all);
            for order in &orders {
                assert_eq!(sorted(order), sorted(all));
            }
            let mut distinct: Vec<Vec<_>> = orders
                .iter()
                .map(|order| order.iter().map(|ends| ends.bytes()).collect())
                .collect();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(distinct.len(), SHUFFLES + 1);
        }
    }

    #[test]
    fn ends_lie_as_in_a_packet() {
        let ends = Ends {
            addresses: [[192, 0, 2, 1], [198, 51, 100, 2]],
            ports: [[0x9c, 0x40], [0, 80]],
        };
        let frame = {
            let mut frame = Vec::new();
            let builder = PacketBuilder::ipv4([192, 0, 2, 1], [198, 51, 100, 2], 64);
            let builder = builder.tcp(40_000, 80, 1, 1);
            builder.write(&mut frame, &[]).expect("a vector takes all");
            frame
        };
        assert_eq!(ends.bytes()[..8], frame[12..20]);
        assert_eq!(ends.bytes()[8..12], frame[20..24]);
        assert_eq!(ends.reply().reply().bytes(), ends.bytes());
    }
}
