//! The events that the programs send.

use std::fmt;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use aya::maps::{Map, MapData, RingBuf};
use flowkeep_core::entry::Entry;
use flowkeep_core::error::Refusal;
use flowkeep_core::table::{EvictReason, Record};
use flowkeep_core::tracker::{Change, Status};
use flowkeep_core::tuple::Tuple;

use crate::abi::{self, EVENT_WORDS, RECORD_WORDS, kind, reason};
use crate::config::MappedConfig;
use crate::lease::Lease;
use crate::maps::{Counters, Maps, duplicate};
use crate::reader::ReaderLock;
use crate::{Device, Error, Hook};

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A packet changed something about its connection.
    Changed(Change),
    /// A connection gave its slot to another one; [`Event::entry`] is its last state. An expired
    /// connection, or one that a SYN begins again, is reported when its slot is reused.
    Evicted(EvictReason),
    /// A connection was not stored.
    Rejected(Refusal),
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub kind: Kind,
    /// When the packet was seen, in nanoseconds of the programs' [`Clock`](crate::Clock).
    pub time: u64,
    /// The tuple under which the connection is stored, or would have been.
    pub tuple: Tuple,
    /// The connection just after the packet; one that was evicted, just before. `None` if it was
    /// not stored, or was removed between the packet and its event.
    pub entry: Option<Entry>,
    /// The packet. For an eviction, that of the connection that took the slot.
    pub packet: Packet,
}

/// The packet that an event comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its tuple: addresses as they stand in it, ports crossed.
    pub tuple: Tuple,
    /// What it is to the connection.
    pub status: Status,
    /// It begins a connection again.
    pub reopened: bool,
    /// Its TCP flags; 0 for other protocols.
    pub tcp_flags: u8,
    /// Type and code of an ICMP packet that is not an echo; else 0.
    pub icmp: [u8; 2],
    /// Bytes of the IP packet, or of all IP packets that were merged into it.
    pub length: u64,
    /// IP packets that were merged into it; 1 for most.
    pub packets: u32,
    /// Where it was seen.
    pub hook: Hook,
    /// Index of the interface, in the interface's network namespace.
    pub interface: u32,
    /// The header with which its bytes begin.
    pub device: Device,
    /// Its first bytes: as many as the settings ask for (`report_headers`), and at most
    /// [`MOST_CAPTURED`](abi::MOST_CAPTURED).
    pub bytes: Vec<u8>,
    /// The length of the whole packet in bytes, link header included.
    pub whole: u32,
}

impl Packet {
    /// Its sender: for an ICMP error an end of the connection, or a router on its path.
    #[must_use]
    pub const fn sender(&self) -> IpAddr {
        self.tuple.source().to_ip(self.tuple.family())
    }
}

/// Reads events. Its descriptor is readable while there are some: see [`AsFd`].
///
/// While it lives, the programs send. The buffer has one reader; events that find it full are
/// dropped and [counted](Self::lost).
pub struct Events {
    ring: RingBuf<MapData>,
    lease: Lease,
    lost: Counters,
    /// Events that were lost before this reader began.
    lost_before: u64,
    /// `None` for a table that is not pinned, which no other process can read.
    _reader: Option<ReaderLock>,
}

impl Events {
    pub(crate) fn new(
        maps: &Maps,
        folder: Option<&Path>,
        clock_is_set: bool,
    ) -> Result<Self, Error> {
        let reader = folder.map(ReaderLock::new).transpose()?;
        let config = MappedConfig::new(&maps.config)?;
        let map = Map::RingBuf(duplicate(&maps.events).map_err(Error::map("EVENTS"))?);
        let lost = maps.lost.try_clone()?;
        let mut ring = RingBuf::try_from(map).map_err(Error::map("EVENTS"))?;
        // Discard what a reader that was killed has left, once nothing more is added.
        config.set_watched(0);
        while ring.next().is_some() {}
        let lost_before = lost.sum(0)?;
        Ok(Self {
            ring,
            lease: Lease::new(config, clock_is_set)?,
            lost,
            lost_before,
            _reader: reader,
        })
    }

    /// How many events were dropped because the buffer was full, since this began to read.
    ///
    /// # Errors
    /// [`Error::Map`].
    pub fn lost(&self) -> Result<u64, Error> {
        Ok(self.lost.sum(0)?.saturating_sub(self.lost_before))
    }

    /// For how long the programs sent nothing, because this process was stopped or the machine
    /// suspended. The number of events is unknown.
    #[must_use]
    pub fn lapsed(&self) -> Duration {
        self.lease.lapsed()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl AsFd for Events {
    /// Readable while there are events.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

/// The events in the buffer. After a `None` there are more once the descriptor is readable.
impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            let item = self.ring.next()?;
            // The programs write nothing else, but any privileged process can write to the map.
            if let Some(event) = read(&item) {
                return Some(event);
            }
        }
    }
}

/// Reads an event, field by field.
fn read(bytes: &[u8]) -> Option<Event> {
    let (fixed, bytes) = bytes.split_at_checked(EVENT_WORDS * 8)?;
    let mut fields = Fields(fixed);
    let time = fields.u64()?;
    let mut words = [0; RECORD_WORDS];
    for word in &mut words {
        *word = fields.u64()?;
    }
    let mut packet = [0; 5];
    for word in &mut packet {
        *word = fields.u64()?;
    }
    let length = fields.u64()?;
    let [packets, captured, whole, interface] =
        [fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?];
    let [
        kind,
        reason,
        hook,
        ethernet,
        status,
        reopened,
        tcp_flags,
        icmp_type,
        icmp_code,
    ] = *fields.0.first_chunk()?;
    let record = Record::<AtomicU64>::from(words);
    let kind = kind_of(kind, reason)?;
    let entry = record.contents().map(|(_, entry)| entry);
    // An evicted connection had an entry.
    if entry.is_none() && matches!(kind, Kind::Evicted(_)) {
        return None;
    }
    Some(Event {
        kind,
        time,
        tuple: record.tuple(),
        entry,
        packet: Packet {
            tuple: Tuple::from_words(packet),
            status: match status {
                0 => Status::New,
                1 => Status::Established,
                2 => Status::Reply,
                3 => Status::Related,
                _ => return None,
            },
            reopened: reopened != 0,
            tcp_flags,
            icmp: [icmp_type, icmp_code],
            length,
            packets,
            hook: match hook {
                abi::hook::EGRESS => Hook::Egress,
                abi::hook::INGRESS => Hook::Ingress,
                abi::hook::FORWARD => Hook::Forward,
                _ => return None,
            },
            interface,
            device: if ethernet != 0 {
                Device::Ethernet
            } else {
                Device::Ip
            },
            // The ring buffer rounds lengths up.
            bytes: bytes.get(..captured as usize)?.to_vec(),
            whole,
        },
    })
}

const fn kind_of(kind: u8, reason: u8) -> Option<Kind> {
    let changed = match kind {
        kind::NEW => Change::New,
        kind::REPLY => Change::Reply,
        kind::RELATED => Change::Related,
        kind::REPORT => Change::Report,
        kind::CLOSING => Change::Closing,
        kind::REOPENED => Change::Reopened,
        _ => {
            return Some(match (kind, reason) {
                (kind::EVICTED, reason::OVERWRITTEN) => Kind::Evicted(EvictReason::Overwritten),
                (kind::EVICTED, reason::EXPIRED) => Kind::Evicted(EvictReason::Expired),
                (kind::EVICTED, reason::CLOSED) => Kind::Evicted(EvictReason::Closed),
                (kind::EVICTED, reason::UNASSURED) => Kind::Evicted(EvictReason::Unassured),
                (kind::REFUSED, reason::FULL) => Kind::Rejected(Refusal::Full),
                (kind::REFUSED, reason::CONTENDED) => Kind::Rejected(Refusal::Contended),
                _ => return None,
            });
        }
    };
    Some(Kind::Changed(changed))
}

/// Bytes, read from their start.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_ne_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_ne_bytes)
    }
}
