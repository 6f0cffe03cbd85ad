//! The interface between Flowkeep's programs in the kernel and their loader.
//!
//! Everything is `repr(C)` and in the machine's byte order. Changing the meaning of a byte needs a new
//! [`VERSION`], so that a pinned table of another version is rejected, not misread.

#![no_std]
#![forbid(unsafe_code)]

use flowkeep_core::settings::Settings;
use flowkeep_core::table::{BucketHeader, HEADER_BYTES, Record, SLOTS, Seed};
use flowkeep_core::tuple::Tuple;

/// Version of everything in this crate. The table's own layout has a version of its own.
pub const VERSION: u64 = 5;

/// Ticks of the programs' clock in a second: it counts nanoseconds.
pub const TICKS_PER_SECOND: u64 = 1_000_000_000;

/// Whether the programs' clock includes the time for which the machine was suspended.
///
/// If true, the programs add [`Config::suspended`] to the kernel's coarse monotonic clock, which makes
/// it a coarse boot clock. If false, their clock is the coarse monotonic clock. User space supports
/// both; but with the monotonic clock, what began before a suspend appears to have begun later.
pub const COUNTS_SUSPEND: bool = true;

/// Words of a bucket header.
pub const BUCKET_HEADER_WORDS: usize = size_of::<BucketHeader<u64>>() / 8;
/// Words of a record.
pub const RECORD_WORDS: usize = size_of::<Record<u64>>() / 8;
/// Words of the table's header.
pub const HEADER_WORDS: usize = HEADER_BYTES / 8;
/// The largest number of buckets: records are numbered by 32 bits.
pub const MAX_BUCKETS: u32 = u32::MAX / SLOTS as u32;

/// What the programs read for each packet. User space may change it while they run, word by word.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Config {
    /// [`VERSION`]. It is the first field in every version.
    pub version: u64,
    /// Until when [`Event`]s are read, in ticks of the programs' clock; 0 if they are not read. The
    /// programs send events only while their clock is less than this. The reader renews it, so it
    /// expires after the reader was killed.
    pub watched: u64,
    /// The rules by which the programs track: see [`rules`].
    pub rules: u64,
    /// The settings of the tracker.
    pub settings: Settings,
    /// Buckets of the table.
    pub buckets: u32,
    /// Seed of the table's hash.
    pub seed: Seed,
    /// How long the machine was suspended since it was started, in nanoseconds: the difference of the
    /// kernel's boot clock and its monotonic clock. See [`COUNTS_SUSPEND`].
    pub suspended: u64,
}

/// Words of a [`Config`].
pub const CONFIG_WORDS: usize = size_of::<Config>() / 8;

/// Sets of rules as numbers: [`Config::rules`].
pub mod rules {
    use flowkeep_core::rules::RuleSet;

    /// The number of a set.
    #[must_use]
    pub const fn number(rules: RuleSet) -> u64 {
        match rules {
            RuleSet::Default => 0,
            RuleSet::Cilium18 => 1,
            RuleSet::Cilium119 => 2,
        }
    }

    /// The inverse of [`number`].
    #[must_use]
    pub fn from_number(wanted: u64) -> Option<RuleSet> {
        RuleSet::ALL
            .into_iter()
            .find(|&rules| number(rules) == wanted)
    }
}

/// Kinds of events: [`Event::kind`].
pub mod kind {
    /// The first packet of a connection.
    pub const NEW: u8 = 0;
    /// The responder's first packet.
    pub const REPLY: u8 = 1;
    /// An ICMP error about a connection.
    pub const RELATED: u8 = 2;
    /// A packet worth reporting: a new TCP flag, or the report interval has passed.
    pub const REPORT: u8 = 3;
    /// A FIN or a RST.
    pub const CLOSING: u8 = 4;
    /// A SYN on a connection that was closing.
    pub const REOPENED: u8 = 5;
    /// A connection gave its slot to another one: [`super::Event::reason`] says why.
    pub const EVICTED: u8 = 6;
    /// A connection was not stored: [`super::Event::reason`] says why.
    pub const REFUSED: u8 = 7;
}

/// Why a connection gave its slot to another one, or was not stored: [`Event::reason`].
pub mod reason {
    /// Its tuple was stored again.
    pub const OVERWRITTEN: u8 = 0;
    /// It had expired.
    pub const EXPIRED: u8 = 1;
    /// It was closed, and its slot was needed.
    pub const CLOSED: u8 = 2;
    /// It was not assured, and its slot was needed.
    pub const UNASSURED: u8 = 3;
    /// Not stored: no entry in its buckets could be evicted.
    pub const FULL: u8 = 4;
    /// Not stored: other processors were faster.
    pub const CONTENDED: u8 = 5;
}

/// Which packets of an interface a program sees: [`Event::hook`].
pub mod hook {
    /// Packets that leave the host.
    pub const EGRESS: u8 = 0;
    /// Packets that arrive at the host.
    pub const INGRESS: u8 = 1;
    /// Packets that arrive to be forwarded.
    pub const FORWARD: u8 = 2;
}

/// An event that the programs send. The packet's first bytes follow it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Event {
    /// When the packet was seen, in ticks of the programs' clock.
    pub time: u64,
    /// The record of the connection just after the packet. For a connection that was not stored it has
    /// only the tuple.
    pub record: [u64; RECORD_WORDS],
    /// The packet's tuple, with the addresses of the packet.
    pub packet: Tuple,
    /// Bytes of the IP packet, or of all IP packets that were merged into it.
    pub length: u64,
    /// IP packets that were merged into it; 1 for most.
    pub packets: u32,
    /// Bytes of the packet that follow.
    pub captured: u32,
    /// The length of the whole packet in bytes, link header included.
    pub whole: u32,
    /// The interface's index.
    pub ifindex: u32,
    /// See [`kind`].
    pub kind: u8,
    /// See [`reason`].
    pub reason: u8,
    /// See [`hook`].
    pub hook: u8,
    /// 1 if the bytes begin with an Ethernet header, 0 if with the IP header.
    pub ethernet: u8,
    /// What the packet is to the connection: a
    /// [`Status`](flowkeep_core::tracker::Status) as a number.
    pub status: u8,
    /// 1 if the packet begins the connection again.
    pub reopened: u8,
    /// The packet's TCP flags; 0 for other protocols.
    pub tcp_flags: u8,
    /// ICMP type of a packet that is not an echo; else 0.
    pub icmp_type: u8,
    /// ICMP code of a packet that is not an echo; else 0.
    pub icmp_code: u8,
    /// 0.
    pub reserved: [u8; 7],
}

/// Words of an [`Event`].
pub const EVENT_WORDS: usize = size_of::<Event>() / 8;

/// Most bytes of a packet that an event has.
pub const MOST_CAPTURED: usize = 256;

/// The first fragment of a packet, remembered for the later ones.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct FirstFragment {
    /// When it came, in seconds.
    pub seconds: u32,
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Protocol of the transport header.
    pub protocol: u32,
    /// Bytes of the packet's payload that it had.
    pub length: u32,
}

/// First fragments that are remembered at a time.
pub const FRAGMENTS: usize = 8192;

const _: () = {
    // Whole words, in which all are kept in maps.
    assert!(size_of::<Config>().is_multiple_of(8));
    assert!(core::mem::offset_of!(Config, settings).is_multiple_of(8));
    assert!(core::mem::offset_of!(Config, buckets).is_multiple_of(8));
    // Nothing between the fields.
    assert!(size_of::<FirstFragment>() == 16);
    assert!(size_of::<Event>() == 8 * (1 + RECORD_WORDS + 5 + 1) + 4 * 4 + 9 + 7);
};
