//! The packets of a capture, one after another, through parser and table.

use std::path::Path;

use flowkeep_core::Error;
use flowkeep_core::packet::{FragmentKey, LinkType, Network, Packet, ipv4, ipv6, link, transport};
use flowkeep_core::rules::Rules;
use flowkeep_core::table::Table;
use flowkeep_core::tuple::{Family, Tuple};

use super::fragments::{FragmentTracker, Waiting};
use super::tracking::Connections;
use super::{Options, Summary};
use crate::connection::{Connection, Event, Timestamp};
use crate::memory::MemoryError;

/// So many packets are parsed before the first of them is looked up, so that the memory that its
/// look-up needs is on its way: half of them for the set's head, half for the entry.
const AHEAD: usize = 32;

/// What a replay does, whatever its rules.
pub(super) trait Engine {
    fn packet(
        &mut self,
        link: LinkType,
        time: Timestamp,
        wire_length: u32,
        data: &[u8],
        on_event: &mut dyn FnMut(Event),
    );

    fn flush(&mut self, on_event: &mut dyn FnMut(Event));

    fn save(&self, path: &Path) -> Result<(), MemoryError>;

    fn finish(
        self: Box<Self>,
        on_event: &mut dyn FnMut(Event),
        each: &mut dyn FnMut(&Connection),
    ) -> Summary;
}

/// When a packet was seen, and how long it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) time: u64,
    /// Bytes of the IP packet.
    pub(super) length: u64,
}

/// A packet on its way to the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parsed {
    pub(super) packet: Packet,
    pub(super) hash: u64,
    pub(super) seen: Seen,
}

/// A replay under the rules `R`.
pub(super) struct Replayer<R> {
    connections: Connections<R>,
    fragments: FragmentTracker,
    /// Packets on their way: the n-th is at n modulo the length.
    on_the_way: Box<[Parsed; AHEAD]>,
    /// How many packets were sent on their way.
    sent: usize,
    summary: Summary,
    errors: [u64; Error::ALL.len()],
}

impl<R: Rules> Replayer<R> {
    pub(super) fn new(options: Options) -> Result<Self, MemoryError> {
        let nothing = Parsed {
            packet: later_fragment(Tuple::default()),
            hash: 0,
            seen: Seen { time: 0, length: 0 },
        };
        Ok(Self {
            connections: Connections::new(options)?,
            fragments: FragmentTracker::default(),
            on_the_way: Box::new([nothing; AHEAD]),
            sent: 0,
            summary: Summary::default(),
            errors: [0; Error::ALL.len()],
        })
    }

    /// Parses a packet and sends it on its way.
    #[inline(always)]
    fn parse(
        &mut self,
        link_type: LinkType,
        time: u64,
        wire_length: u32,
        data: &[u8],
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), Error> {
        let link = link(data, link_type)?;
        // Apart to the end, so that a packet's parts stay in registers.
        match link.family {
            Family::V4 => {
                let network = ipv4::<R, [u8]>(data, link.network)?;
                self.parse_transport(&network, link.network, time, wire_length, data, on_event)
            }
            Family::V6 => {
                let network = ipv6::<R, [u8]>(data, link.network)?;
                self.parse_transport(&network, link.network, time, wire_length, data, on_event)
            }
        }
    }

    #[inline(always)]
    fn parse_transport(
        &mut self,
        network: &Network,
        at: usize,
        time: u64,
        wire_length: u32,
        data: &[u8],
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), Error> {
        let length = ip_length(network, at, wire_length);
        let seen = Seen { time, length };
        let settings = &self.connections.settings;
        if let Some(fragment) = network.fragment {
            self.fragments.set_time(time);
            let parsed = transport::<R, [u8]>(data, network, settings, &mut self.fragments);
            if parsed == Err(Error::FragmentUnknown) {
                let key = FragmentKey::new(network, &fragment);
                self.fragments.wait(Waiting { key, seen });
                return Ok(());
            }
            self.send(&parsed?, seen, on_event);
            return Ok(());
        }
        let packet = transport::<R, [u8]>(data, network, settings, &mut self.fragments)?;
        self.send(&packet, seen, on_event);
        Ok(())
    }

    /// Sends a packet on its way, in place of the one that has been for long enough.
    #[inline(always)]
    fn send(&mut self, packet: &Packet, seen: Seen, on_event: &mut dyn FnMut(Event)) {
        let table = &self.connections.table;
        let hash = table.place(packet.quote.as_ref().unwrap_or(&packet.tuple));
        table.prefetch(hash);
        table.prefetch_entry(self.on_the_way[(self.sent + AHEAD / 2) % AHEAD].hash);
        let place = self.sent % AHEAD;
        if self.sent >= AHEAD {
            self.arrive(place, on_event);
        }
        self.on_the_way[place] = Parsed {
            packet: *packet,
            hash,
            seen,
        };
        self.sent += 1;
    }

    /// Looks up a packet that has been on its way.
    #[inline(always)]
    fn arrive(&mut self, place: usize, on_event: &mut dyn FnMut(Event)) {
        if let Err(error) = self.connections.track(&self.on_the_way[place], on_event) {
            self.errors[error.index()] += 1;
        }
    }

    /// Sends the fragments on their way whose first one has come.
    #[cold]
    fn send_ready(&mut self, on_event: &mut dyn FnMut(Event)) {
        while let Some((ports, waiting)) = self.fragments.take_ready() {
            let Waiting { key, seen } = waiting;
            let tuple = Tuple::new(
                key.destination,
                key.source,
                ports.source,
                ports.destination,
                ports.protocol,
                key.family_flags(),
            );
            self.send(&later_fragment(tuple), seen, on_event);
        }
    }
}

/// Bytes of an IP packet that begins at `at` of a frame: what its header states.
///
/// Where the header states nothing, it is the rest of the frame: of an IPv4 packet of a
/// segmentation offload, and of an IPv6 packet that is longer than its header could state (RFC
/// 2675, Linux's BIG TCP). A shorter IPv6 packet without a payload is just that, and padding may
/// follow it.
fn ip_length(network: &Network, at: usize, wire_length: u32) -> u64 {
    const IPV6_HEADER: u64 = 40;
    const LONGEST_PAYLOAD: u64 = 0xffff;
    let rest = u64::from(wire_length).saturating_sub(at as u64);
    match (network.length, network.family) {
        (0, Family::V6) if rest <= IPV6_HEADER + LONGEST_PAYLOAD => IPV6_HEADER,
        (0, _) => rest,
        (length, _) => u64::from(length),
    }
}

/// A later fragment of a packet with this tuple.
const fn later_fragment(tuple: Tuple) -> Packet {
    Packet {
        tuple,
        tcp_flags: 0,
        quote: None,
        icmp: [0; 2],
        length: 0,
        later_fragment: true,
    }
}

impl<R: Rules> Engine for Replayer<R> {
    fn packet(
        &mut self,
        link: LinkType,
        time: Timestamp,
        wire_length: u32,
        data: &[u8],
        on_event: &mut dyn FnMut(Event),
    ) {
        let summary = &mut self.summary;
        summary.packets += 1;
        summary.bytes += u64::from(wire_length);
        summary.first = Some(summary.first.map_or(time, |first| first.min(time)));
        summary.last = summary.last.max(Some(time));
        if let Err(error) = self.parse(link, time.0, wire_length, data, on_event) {
            self.errors[error.index()] += 1;
        }
        if self.fragments.is_ready() {
            self.send_ready(on_event);
        }
    }

    fn flush(&mut self, on_event: &mut dyn FnMut(Event)) {
        for number in self.sent.saturating_sub(AHEAD)..self.sent {
            self.arrive(number % AHEAD, on_event);
        }
        self.sent = 0;
    }

    fn save(&self, path: &Path) -> Result<(), MemoryError> {
        self.connections.table.save(path)
    }

    fn finish(
        mut self: Box<Self>,
        on_event: &mut dyn FnMut(Event),
        each: &mut dyn FnMut(&Connection),
    ) -> Summary {
        self.flush(on_event);
        self.errors[Error::FragmentUnknown.index()] += self.fragments.lost();
        let mut summary = core::mem::take(&mut self.summary);
        summary.errors = Error::ALL
            .iter()
            .map(|error| (error.name(), self.errors[error.index()]))
            .filter(|(_, count)| *count != 0)
            .collect();
        self.connections.for_each(|connection| {
            summary.note(connection);
            each(connection);
        });
        summary
    }
}
