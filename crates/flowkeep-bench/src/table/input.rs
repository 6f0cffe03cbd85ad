//! The input: connections, their packets in random order, and time.

use flowkeep_core::entry::{Entry, EntryFlags};
use flowkeep_core::packet::{Layout, Packet, protocol, tcp};
use flowkeep_core::settings::Settings;
use flowkeep_core::tracker::{Direction, Instant, Request};
use flowkeep_core::tuple::{Address, Flags, Tuple};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// Bytes of every packet.
pub(super) const LENGTH: u64 = 1000;
/// The clock's second at the start: any but 0.
const START: u32 = 1_000_000;
/// So many packets pass in a second: with 1 Mi connections one each, on average, so that most
/// touches have a timeout to store.
const PACKETS_PER_SECOND: u64 = 1 << 20;

/// A seeded stream of random numbers.
pub(super) struct Random(Xoshiro256PlusPlus);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `n`, which must not be 0.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.number() as u32) * u64::from(n)) >> 32) as u32
    }

    /// The packet that opens an IPv4 TCP connection between two ends of chance.
    pub(super) fn tuple(&mut self) -> Tuple {
        let (addresses, ports) = (self.number(), self.number());
        Tuple::new(
            Address::from_v4((addresses as u32).to_be_bytes()),
            Address::from_v4(((addresses >> 32) as u32).to_be_bytes()),
            ports as u16,
            (ports >> 16) as u16,
            protocol::TCP,
            Flags::OUT,
        )
    }
}

/// A packet of a connection, as it stands in a ring from which packets are taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// The packet's own tuple.
    pub(super) tuple: Tuple,
    /// Comes in from the responder; else it leaves the tracked endpoint, which is the originator.
    pub(super) reply: bool,
}

impl Sent {
    pub(super) fn packet(&self) -> Packet {
        packet(self.tuple, tcp::ACK)
    }

    pub(super) fn direction(&self) -> Direction {
        if self.reply {
            Direction::Ingress
        } else {
            Direction::Egress
        }
    }

    pub(super) fn request(&self, number: u64) -> Request {
        Request::new(self.direction(), LENGTH, at(number))
    }
}

/// A TCP packet.
pub(super) fn packet(tuple: Tuple, tcp_flags: u8) -> Packet {
    Packet {
        tuple,
        tcp_flags,
        quote: None,
        icmp: [0; 2],
        layout: Layout::default(),
        later_fragment: false,
    }
}

/// When the packet with this number passes.
#[inline]
pub(super) fn at(number: u64) -> Instant {
    Instant {
        seconds: START + (number / PACKETS_PER_SECOND) as u32,
        ticks: number,
    }
}

/// Connections that are known, each by the packet that opened it.
pub(super) struct Connections(Vec<Tuple>);

impl Connections {
    /// `count` connections between ends of chance.
    pub(super) fn random(count: u32, random: &mut Random) -> Self {
        Self((0..count).map(|_| random.tuple()).collect())
    }

    pub(super) fn count(&self) -> u32 {
        self.0.len() as u32
    }

    /// Two halves of them.
    pub(super) fn halves(&self) -> [Self; 2] {
        let (one, other) = self.0.split_at(self.0.len() / 2);
        [one, other].map(|half| Self(half.to_vec()))
    }

    /// The keys of their entries: for a packet that leaves the endpoint, the packet's tuple
    /// reversed.
    pub(super) fn keys(&self) -> impl Iterator<Item = Tuple> {
        self.0.iter().map(|tuple| key(*tuple))
    }

    /// `count` packets, each of any of the connections, and half of them replies.
    pub(super) fn packets(&self, count: usize, random: &mut Random) -> Vec<Sent> {
        let packet = |_| {
            let tuple = self.0[random.below(self.count()) as usize];
            let reply = random.number() >> 63 == 1;
            Sent {
                tuple: if reply { tuple.swapped() } else { tuple },
                reply,
            }
        };
        (0..count).map(packet).collect()
    }
}

/// The key of the connection that this packet opens, which leaves the tracked endpoint.
pub(super) const fn key(opening: Tuple) -> Tuple {
    opening.swapped().with_flags(Flags::OUT)
}

/// The entry of a connection that has been answered.
pub(super) fn answered(settings: &Settings) -> Entry {
    let mut entry = Entry::default();
    entry.progress.lifetime = START + settings.tcp;
    let entry_flags = EntryFlags::TCP.0 | EntryFlags::SEEN_NON_SYN.0 | EntryFlags::REPLIED.0;
    entry.progress.entry_flags = EntryFlags(entry_flags);
    entry.progress.tx_flags = tcp::SYN | tcp::ACK;
    entry.progress.rx_flags = tcp::SYN | tcp::ACK;
    entry
}
