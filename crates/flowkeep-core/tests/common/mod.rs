//! What the tests of the table share: memory that they own and can look into, tuples and entries.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test crate that includes this uses a part of it"
)]

pub mod memory;
pub mod peek;

use flowkeep_core::entry::{Counters, Entry, EntryFlags, Progress};
use flowkeep_core::tracker::Instant;
use flowkeep_core::tuple::{Address, Flags, Tuple};

/// A time, in seconds; ticks are milliseconds.
pub fn at(seconds: u32) -> Instant {
    Instant {
        seconds,
        ticks: u64::from(seconds) * 1000,
    }
}

/// An IPv4 TCP tuple, one of 2^32 that differ.
pub fn tuple(number: u32) -> Tuple {
    let [a, b, c, d] = number.to_be_bytes();
    Tuple::new(
        Address::from_v4([10, a, b, c]),
        Address::from_v4([192, 0, 2, 1]),
        40_000 + u16::from(d),
        443,
        6,
        Flags::OUT,
    )
}

/// A TCP tuple of random addresses and ports, one in three of IPv6.
pub fn random_tuple(random: &mut fastrand::Rng) -> Tuple {
    let ipv6 = random.u8(..3) == 0;
    let mut address = || {
        if ipv6 {
            Address::from_octets(random.u128(..).to_be_bytes())
        } else {
            Address::from_v4(random.u32(..).to_be_bytes())
        }
    };
    let (destination, source) = (address(), address());
    let flags = if ipv6 { Flags::IPV6 } else { Flags::OUT };
    let (destination_port, source_port) = (random.u16(..), random.u16(..));
    Tuple::new(destination, source, destination_port, source_port, 6, flags)
}

/// How much an entry is worth to a table that needs room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// A SYN was seen and nothing else.
    Unanswered,
    /// A SYN and a SYN-ACK: whoever floods with SYNs gets as far as that.
    HalfOpen,
    /// Closing in both directions.
    Closed,
    /// Closing in one direction, after an answer.
    Closing,
    /// A handshake was seen whole.
    Answered,
}

impl Worth {
    pub const ALL: [Self; 5] = [
        Self::Unanswered,
        Self::HalfOpen,
        Self::Closed,
        Self::Closing,
        Self::Answered,
    ];

    fn entry_flags(self) -> EntryFlags {
        let union = |entry_flags: &[EntryFlags]| {
            let mut all = EntryFlags::TCP;
            entry_flags.iter().for_each(|&mark| all.insert(mark));
            all
        };
        match self {
            Self::Unanswered => union(&[]),
            Self::HalfOpen => union(&[EntryFlags::REPLIED]),
            Self::Closed => union(&[
                EntryFlags::REPLIED,
                EntryFlags::SEEN_NON_SYN,
                EntryFlags::CLOSED,
            ]),
            Self::Closing => union(&[
                EntryFlags::REPLIED,
                EntryFlags::SEEN_NON_SYN,
                EntryFlags::RX_CLOSING,
            ]),
            Self::Answered => union(&[EntryFlags::REPLIED, EntryFlags::SEEN_NON_SYN]),
        }
    }
}

/// An entry whose every field is made of `number`, so that a mixture of two shows itself.
pub fn entry(number: u32, worth: Worth, lifetime: u32) -> Entry {
    let wide = u64::from(number);
    Entry {
        progress: Progress {
            lifetime,
            entry_flags: worth.entry_flags(),
            tx_flags: number as u8,
            rx_flags: !number as u8,
            last_tx_report: number,
            last_rx_report: !number,
        },
        rev_nat_index: number as u16,
        nat_port: !number as u16,
        source_identity: number,
        rx: Counters {
            packets: wide,
            bytes: wide + 1,
        },
        tx: Counters {
            packets: wide + 2,
            bytes: wide + 3,
        },
        nat_address: Address::from_octets((u128::from(number) * 3).to_be_bytes()),
        created: wide,
        last_seen: wide + 4,
    }
}
