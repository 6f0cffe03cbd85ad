//! What both sides of the kernel's border agree on: the programs include this file too.
//!
//! Everything is `repr(C)` and in the machine's byte order. Whoever changes the meaning of a byte
//! changes [`VERSION`], so that a pinned table of another version is refused, not misread.

#![allow(dead_code, reason = "each side uses its part")]

use flowkeep_core::entry::Counters;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{HEADER_BYTES, Head, LANES, Record, Seed};
use flowkeep_core::tuple::Tuple;

/// Version of everything in this file. The table's own layout has a version of its own.
pub const VERSION: u32 = 1;

/// Ticks of the programs' clock a second: it is the kernel's monotonic one, in nanoseconds.
pub const TICKS_PER_SECOND: u64 = 1_000_000_000;

/// Words of a set's head.
pub const HEAD_WORDS: usize = size_of::<Head<u64>>() / 8;
/// Words of a record.
pub const RECORD_WORDS: usize = size_of::<Record<u64>>() / 8;
/// Words of the table's header.
pub const HEADER_WORDS: usize = HEADER_BYTES / 8;
/// Most sets that a table may have: records are numbered by 32 bits.
pub const MOST_SETS: u32 = u32::MAX / LANES as u32;

/// What the programs read before each packet. User space may change the settings and `events`
/// while they run, a field at a time.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Config {
    /// Timeouts and the like.
    pub settings: Settings,
    /// Sets of the table.
    pub sets: u32,
    /// Seed of the table's hash.
    pub seed: Seed,
    /// 1 to write events to the ring buffer, 0 not to.
    pub events: u32,
    /// [`VERSION`].
    pub version: u32,
}

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
    pub protocol: u64,
}

/// First fragments that are remembered at a time.
pub const FRAGMENTS: usize = 8192;

/// Bytes of a packet that an event has room for.
pub const CAPTURE: usize = 256;

/// What happened. The numbers are those in [`Event::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A connection began.
    New = 0,
    /// A connection sent a TCP flag for the first time, or reports again after its interval.
    Established = 1,
    /// The same, against the direction in which it was created.
    Reply = 2,
    /// An ICMP error about a connection.
    Related = 3,
    /// A FIN or RST.
    Closing = 4,
    /// A connection that was closing began again.
    Reopened = 5,
    /// A connection made room for another one.
    Evicted = 6,
    /// A connection could not be stored.
    Refused = 7,
}

impl Kind {
    /// Every kind, by its number.
    pub const ALL: [Self; 8] = [
        Self::New,
        Self::Established,
        Self::Reply,
        Self::Related,
        Self::Closing,
        Self::Reopened,
        Self::Evicted,
        Self::Refused,
    ];
}

/// What the ring buffer carries.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Event {
    /// When, in ticks.
    pub ticks: u64,
    /// The connection.
    pub tuple: Tuple,
    /// When the connection began, in ticks.
    pub created: u64,
    /// What was counted on ingress.
    pub rx: Counters,
    /// What was counted on egress.
    pub tx: Counters,
    /// The second in which the connection expires.
    pub lifetime: u32,
    /// Its marks: see [`Marks`](flowkeep_core::entry::Marks).
    pub marks: u16,
    /// TCP flags seen on egress.
    pub tx_flags: u8,
    /// TCP flags seen on ingress.
    pub rx_flags: u8,
    /// The packet's interface; 0 for an event without a packet.
    pub ifindex: u32,
    /// The packet's length with its link header; 0 without a packet.
    pub length: u32,
    /// How many of `bytes` are the packet's first.
    pub captured: u16,
    /// A [`Kind`].
    pub kind: u8,
    /// The packet's TCP flags.
    pub tcp_flags: u8,
    /// 1 if the packet begins with an Ethernet header, 0 if with its IP header.
    pub ethernet: u8,
    /// 1 if the packet was seen on egress.
    pub egress: u8,
    /// Type and code of an ICMP packet that is not an echo.
    pub icmp: [u8; 2],
    /// The packet's first bytes.
    pub bytes: [u8; CAPTURE],
}

const _: () = {
    // No room between the fields, so that no byte of the kernel's memory leaks through.
    assert!(size_of::<Event>() == 112 + CAPTURE);
    assert!(size_of::<FirstFragment>() == 16);
};
