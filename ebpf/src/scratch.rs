//! What is known of the packet at hand.
//!
//! Programs have 512 bytes of stack, for all functions that run at a time, and the verifier walks
//! through a global function once, whoever calls it, knowing nothing of what was before. So each
//! step of a packet's way is a global function, and what passes from one to the next is kept here.

use core::mem::offset_of;

use flowkeep_abi::RECORD_WORDS;
use flowkeep_core::packet::{Counted, Layout};
use flowkeep_core::table::{BucketPair, Keys};
use flowkeep_core::tracker::{Instant, Origin, Progress};
use flowkeep_core::tuple::Tuple;

use crate::bytes::Piece;
use crate::maps::SCRATCH;
use crate::memory::Maps;
use crate::planned::Plan;

/// What is known of the packet at hand, one for each processor. No program begins on a processor
/// before the one before it has ended: both hooks run with softirqs disabled.
#[repr(C)]
pub(crate) struct Scratch {
    pub(crate) now: Instant,
    /// Where the packet's parts lie. Before its headers are read, only where the first begins.
    layout: Layout,
    /// Where the packet ends by its IP header.
    pub(crate) end: usize,
    pub(crate) piece: Piece,
    /// The packet.
    pub(crate) packet: Seen,
    /// Bytes of the IP packet, or of all that it was merged of.
    pub(crate) length: u64,
    /// IP packets that it was merged of.
    pub(crate) packets: u64,
    /// What it quotes, if it is an ICMP error.
    pub(crate) quote: Tuple,
    /// What the packet's connection is, or is to be, stored under.
    pub(crate) tuple: Tuple,
    /// What is searched for, and where.
    pub(crate) keys: Keys,
    pub(crate) pair: BucketPair,
    /// What a search has found, as a [`Sighting`](flowkeep_core::table::Sighting)'s bits.
    pub(crate) sighting: u64,
    /// How far a creation has come that inserts more than one entry.
    pub(crate) plan: Plan,
    /// What the packet's connection is created as.
    pub(crate) origin: Origin,
    /// What is known from the steps before.
    pub(crate) progress: Progress,
    /// The event that there is to report.
    pub(crate) event: PacketEvent,
    /// An entry that made room, as its record was.
    pub(crate) evicted: [u64; RECORD_WORDS],
    /// Why it made room, one more than [`reason`](flowkeep_abi::reason) numbers it; [`NOT_EVICTED`] if
    /// none did.
    pub(crate) evict_reason: u32,
}

/// See [`Scratch::evict_reason`]. What a scratch has at first.
pub(crate) const NOT_EVICTED: u32 = 0;

/// The part of a [`Packet`](flowkeep_core::packet::Packet) that tracking needs. An `Option` is not stored: the bytes of a `None`
/// are unset, and the verifier refuses to see them copied.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Seen {
    pub(crate) tuple: Tuple,
    pub(crate) tcp_flags: u8,
    pub(crate) icmp: [u8; 2],
    pub(crate) later_fragment: bool,
}

impl Seen {
    /// A packet that is no ICMP and no later fragment.
    #[inline(always)]
    pub(crate) const fn of(tuple: Tuple, tcp_flags: u8) -> Self {
        Self {
            tuple,
            tcp_flags,
            icmp: [0; 2],
            later_fragment: false,
        }
    }
}

/// What is reported to whoever watches: parts of an [`Event`](flowkeep_abi::Event).
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct PacketEvent {
    /// The entry's record, or [`NO_RECORD`].
    pub(crate) record: u32,
    /// Bytes of the packet that are worth reporting.
    pub(crate) bytes: u32,
    /// The interface's side that the program is attached to.
    pub(crate) hook: u8,
    /// Whether the packet has an Ethernet header.
    pub(crate) ethernet: bool,
    pub(crate) kind: u8,
    pub(crate) reason: u8,
    pub(crate) status: u8,
    pub(crate) reopened: bool,
}

/// See [`PacketEvent::record`].
pub(crate) const NO_RECORD: u32 = u32::MAX;

impl Scratch {
    /// This processor's.
    #[inline(always)]
    pub(crate) fn get() -> Option<&'static mut Self> {
        // SAFETY: an element is as large and as aligned as a scratch, any bytes are one but for
        // those of a `bool`, which only programs write, and nobody else uses this processor's.
        SCRATCH
            .get_ptr_mut(0)
            .map(|scratch| unsafe { &mut *scratch.cast::<Self>() })
    }

    /// This processor's, and the maps.
    #[inline(always)]
    pub(crate) fn with_maps() -> Option<(Maps, &'static mut Self)> {
        Some((Maps::<false>::new()?, Self::get()?))
    }

    /// Where the packet's IP header begins.
    #[inline(always)]
    pub(crate) fn network(&self) -> usize {
        // SAFETY: a field of a valid reference. In two registers at once, compilers would compare
        // the one and use the other, of which the verifier then knows nothing.
        unsafe { (&raw const self.layout.start).read_volatile() }
    }

    /// Where the packet's transport header begins.
    #[inline(always)]
    pub(crate) fn transport(&self) -> usize {
        // SAFETY: as for `network`.
        unsafe { (&raw const self.layout.transport).read_volatile() }
    }

    /// Where the packet's parts lie.
    #[inline(always)]
    pub(crate) fn layout(&self) -> Layout {
        Layout {
            start: self.network(),
            transport: self.transport(),
            ..self.layout
        }
    }

    #[inline(always)]
    pub(crate) fn found_network(&mut self, at: usize) {
        self.layout.start = at;
    }

    #[inline(always)]
    pub(crate) fn found_layout(&mut self, layout: &Layout) {
        self.layout = *layout;
    }

    /// Notes what the packet counts as.
    #[inline(always)]
    pub(crate) fn counted(&mut self, counted: Counted) {
        (self.packets, self.length) = (counted.packets, counted.bytes);
    }
}

const _: () = {
    // Whole words, of which the map is made.
    assert!(size_of::<Scratch>().is_multiple_of(8));
    assert!(offset_of!(Scratch, evicted).is_multiple_of(8));
};
