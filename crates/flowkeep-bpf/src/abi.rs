//! What both sides of the kernel's border agree on: the programs include this file too.
//!
//! Everything is `repr(C)` and in the machine's byte order. Whoever changes the meaning of a byte
//! changes [`VERSION`], so that a pinned table of another version is refused, not misread.

#![allow(dead_code, reason = "each side uses its part")]

use flowkeep_core::settings::Settings;
use flowkeep_core::table::{HEADER_BYTES, Head, LANES, Record, Seed};

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

/// What the programs read before each packet. User space may change the settings while they run.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Config {
    /// Timeouts and the like.
    pub settings: Settings,
    /// Sets of the table.
    pub sets: u32,
    /// Seed of the table's hash.
    pub seed: Seed,
    /// [`VERSION`].
    pub version: u64,
}

/// Words of a [`Config`].
pub const CONFIG_WORDS: usize = size_of::<Config>() / 8;

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

const _: () = {
    // Whole words, in which both are kept in maps.
    assert!(size_of::<Config>().is_multiple_of(8));
    assert!(size_of::<FirstFragment>() == 16);
};
