//! What Flowkeep's programs in the kernel and their loader agree on.
//!
//! Everything is `repr(C)` and in the machine's byte order. Whoever changes the meaning of a byte
//! changes [`VERSION`], so that a pinned table of another version is refused, not misread.

#![no_std]
#![forbid(unsafe_code)]

use flowkeep_core::settings::Settings;
use flowkeep_core::table::{BucketHeader, HEADER_BYTES, Record, SLOTS, Seed};
use flowkeep_core::tuple::Tuple;

/// Version of everything in this crate. The table's own layout has a version of its own.
pub const VERSION: u64 = 5;

/// Ticks of the programs' clock a second: it counts nanoseconds.
pub const TICKS_PER_SECOND: u64 = 1_000_000_000;

/// Whether the programs' clock goes on while the machine is suspended.
///
/// If so, they add [`Config::suspended`] to the kernel's monotonic clock as of its last tick, which
/// makes it the boot clock; if not, it is that monotonic clock. User space handles both: from ticks
/// of the monotonic clock the time of day can be computed only for what began after the last
/// suspend.
pub const COUNTS_SUSPEND: bool = true;

/// Words of a set's head.
pub const BUCKET_HEADER_WORDS: usize = size_of::<BucketHeader<u64>>() / 8;
/// Words of a record.
pub const RECORD_WORDS: usize = size_of::<Record<u64>>() / 8;
/// Words of the table's header.
pub const HEADER_WORDS: usize = HEADER_BYTES / 8;
/// Most buckets that a table may have: records are numbered by 32 bits.
pub const MAX_BUCKETS: u32 = u32::MAX / SLOTS as u32;

/// What the programs read before each packet. User space may change the settings while they run.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Config {
    /// [`VERSION`]: first in every version.
    pub version: u64,
    /// Until when [`Event`]s are read, in ticks of the programs' clock; 0 if they are not. The
    /// reader renews it while it lives, so that a reader that was killed is forgotten: programs
    /// send events while their clock shows less than this.
    pub watched: u64,
    /// Whose rules the programs track by: see [`rules`].
    pub rules: u64,
    /// Timeouts and the like.
    pub settings: Settings,
    /// Sets of the table.
    pub buckets: u32,
    /// Seed of the table's hash.
    pub seed: Seed,
    /// By how much the kernel's boot clock is ahead of its monotonic clock, in nanoseconds: how
    /// long the machine was suspended. See [`COUNTS_SUSPEND`].
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

/// What an event is about: [`Event::kind`].
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
    /// A connection left its slot for another: [`super::Event::reason`] says why.
    pub const EVICTED: u8 = 6;
    /// A connection was not stored: [`super::Event::reason`] says why.
    pub const REFUSED: u8 = 7;
}

/// Why a connection left its slot, or was not stored: [`Event::reason`].
pub mod reason {
    /// Its tuple was stored again.
    pub const OVERWRITTEN: u8 = 0;
    /// It had expired.
    pub const EXPIRED: u8 = 1;
    /// It was closed, and its room was needed.
    pub const CLOSED: u8 = 2;
    /// It was unanswered, and its room was needed.
    pub const UNASSURED: u8 = 3;
    /// Not stored: the table is full there of connections that must stay.
    pub const FULL: u8 = 4;
    /// Not stored: others were faster.
    pub const CONTENDED: u8 = 5;
}

/// The side of an interface that a program is attached to: [`Event::hook`].
pub mod hook {
    /// What leaves the host.
    pub const EGRESS: u8 = 0;
    /// What arrives at the host.
    pub const INGRESS: u8 = 1;
    /// What passes by.
    pub const FORWARD: u8 = 2;
}

/// What the programs tell of a packet. The packet's first bytes follow it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Event {
    /// When the packet was seen, in nanoseconds of the monotonic clock.
    pub time: u64,
    /// The connection's entry just after the packet, as its record lies in the table. Of a
    /// connection that was not stored: nothing but its tuple.
    pub record: [u64; RECORD_WORDS],
    /// The packet's own tuple: addresses as they stand in it.
    pub packet: Tuple,
    /// Bytes of the IP packet, or of all IP packets that were merged.
    pub length: u64,
    /// IP packets that it was merged of; 1 for most.
    pub packets: u32,
    /// Bytes of the packet that follow.
    pub captured: u32,
    /// Bytes of the packet as it lay in memory, link header included.
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
