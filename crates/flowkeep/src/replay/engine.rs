//! The way of packets through the parser to the table.

use std::path::Path;

use flowkeep_core::Error;
use flowkeep_core::packet::{
    Frame, LinkType, Network, ipv4, ipv6, link, measure, protocol, tcp_or_udp, transport,
};
use flowkeep_core::rules::Rules;
use flowkeep_core::table::Table;
use flowkeep_core::tuple::{Family, Tuple};

use super::fragments::FragmentTracker;
use super::tracking::Connections;
use super::{Options, Summary};
use crate::connection::{Connection, Event, Timestamp};
use crate::memory::MemoryError;

/// So many packets are parsed before the first of them is looked up, so that the memory that its
/// look-up needs is on its way: half of them for the set's head, half for the entry.
const AHEAD: usize = 32;

/// A replay, independent of its rules.
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

/// When a packet was seen, and its length.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) time: u64,
    /// Bytes of the IP packet.
    pub(super) length: u64,
}

/// A packet on its way to the table. It is small, because each one is written and read for this:
/// what an ICMP error quotes is kept separately.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parsed {
    /// See [`Packet::tuple`](flowkeep_core::packet::Packet::tuple).
    pub(super) tuple: Tuple,
    /// Of the packet that it quotes, if it is an ICMP error, else its own.
    pub(super) hash: u64,
    pub(super) seen: Seen,
    pub(super) tcp_flags: u8,
    /// See [`Packet::icmp`](flowkeep_core::packet::Packet::icmp).
    pub(super) icmp: [u8; 2],
    /// Whether it is an ICMP error that quotes a packet.
    pub(super) quotes: bool,
}

/// A replay under the rules `R`.
pub(super) struct Replayer<R> {
    connections: Connections<R>,
    fragments: FragmentTracker,
    /// Packets on their way: the n-th is at n modulo the length.
    on_the_way: Box<[Parsed; AHEAD]>,
    /// What the ICMP errors among them quote.
    quotes: Box<[Tuple; AHEAD]>,
    /// How many packets were sent on their way.
    sent: usize,
    summary: Summary,
    /// The times of the earliest and of the latest packet. Before the first packet the first time is
    /// after the second one.
    times: [u64; 2],
    errors: [u64; Error::ALL.len()],
}

impl<R: Rules> Replayer<R> {
    pub(super) fn new(options: Options) -> Result<Self, MemoryError> {
        let connections: Connections<R> = Connections::new(options)?;
        let nothing = Parsed {
            tuple: Tuple::default(),
            hash: 0,
            seen: Seen::default(),
            tcp_flags: 0,
            icmp: [0; 2],
            quotes: false,
        };
        Ok(Self {
            connections,
            fragments: FragmentTracker::default(),
            on_the_way: Box::new([nothing; AHEAD]),
            quotes: Box::new([Tuple::default(); AHEAD]),
            sent: 0,
            summary: Summary::default(),
            times: [u64::MAX, 0],
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
                self.parse_transport(network, time, wire_length, data, on_event)
            }
            Family::V6 => {
                let network = ipv6::<R, [u8]>(data, link.network)?;
                self.parse_transport(network, time, wire_length, data, on_event)
            }
        }
    }

    #[inline(always)]
    fn parse_transport(
        &mut self,
        network: Network,
        time: u64,
        wire_length: u32,
        data: &[u8],
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), Error> {
        // Some programs write a length of 0.
        let wire_length = wire_length.max(data.len() as u32);
        let length = measure(data, &network.layout(), &Frame::of(wire_length)).bytes;
        let seen = Seen { time, length };
        let plain = matches!(network.protocol, protocol::TCP | protocol::UDP);
        if plain && network.fragment.is_none() {
            let (tuple, tcp_flags) = tcp_or_udp::<R, [u8]>(data, &network)?;
            self.send(&tuple, None, tcp_flags, [0; 2], seen, on_event);
            return Ok(());
        }
        self.parse_other(network, data, seen, on_event)
    }

    /// Parses a fragment, or a packet of another protocol than TCP and UDP.
    #[inline(never)]
    fn parse_other(
        &mut self,
        network: Network,
        data: &[u8],
        seen: Seen,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), Error> {
        let settings = &self.connections.settings;
        self.fragments.set_time(seen.time);
        let parsed = transport::<R, [u8]>(data, &network, settings, &mut self.fragments);
        match (parsed, network.fragment) {
            (Ok(packet), _) => {
                let (flags, icmp) = (packet.tcp_flags, packet.icmp);
                let mut seen = seen;
                let earlier = self.fragments.take_earlier();
                let earlier = earlier.map(|earlier| earlier.after::<R>(&mut seen));
                self.send(&packet.tuple, packet.quote, flags, icmp, seen, on_event);
                for fragment in earlier.into_iter().flatten() {
                    match fragment {
                        Ok((tuple, seen)) => self.send(&tuple, None, 0, [0; 2], seen, on_event),
                        Err(error) => self.errors[error.index()] += 1,
                    }
                }
            }
            (Err(Error::FragmentUnknown), Some(fragment)) => {
                self.fragments.wait::<R>(&network, fragment, seen);
            }
            (Err(error), _) => return Err(error),
        }
        Ok(())
    }

    /// Sends a packet on its way, and looks up the one whose memory was prefetched.
    #[inline(never)]
    fn send(
        &mut self,
        tuple: &Tuple,
        quote: Option<Tuple>,
        tcp_flags: u8,
        icmp: [u8; 2],
        seen: Seen,
        on_event: &mut dyn FnMut(Event),
    ) {
        let place = self.sent % AHEAD;
        if self.sent >= AHEAD {
            self.arrive(place, on_event);
        }
        let table = &self.connections.table;
        let hash = table.hash(quote.as_ref().unwrap_or(tuple));
        table.prefetch(hash);
        table.prefetch_entry(self.on_the_way[(self.sent + AHEAD / 2) % AHEAD].hash);
        self.on_the_way[place] = Parsed {
            tuple: *tuple,
            hash,
            seen,
            tcp_flags,
            icmp,
            quotes: quote.is_some(),
        };
        if let Some(quote) = quote {
            self.quotes[place] = quote;
        }
        self.sent += 1;
    }

    /// Looks up a packet that has been on its way.
    #[inline(always)]
    fn arrive(&mut self, place: usize, on_event: &mut dyn FnMut(Event)) {
        let parsed = &self.on_the_way[place];
        let quote = parsed.quotes.then(|| &self.quotes[place]);
        if let Err(error) = self.connections.track(parsed, quote, on_event) {
            self.errors[error.index()] += 1;
        }
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
        self.summary.packets += 1;
        self.summary.bytes += u64::from(wire_length);
        self.times = [self.times[0].min(time.0), self.times[1].max(time.0)];
        if let Err(error) = self.parse(link, time.0, wire_length, data, on_event) {
            self.errors[error.index()] += 1;
        }
    }

    fn flush(&mut self, on_event: &mut dyn FnMut(Event)) {
        for number in self.sent.saturating_sub(AHEAD)..self.sent {
            self.arrive(number % AHEAD, on_event);
        }
        self.sent = 0;
    }

    fn save(&self, path: &Path) -> Result<(), MemoryError> {
        self.connections.save(path)
    }

    fn finish(
        mut self: Box<Self>,
        on_event: &mut dyn FnMut(Event),
        each: &mut dyn FnMut(&Connection),
    ) -> Summary {
        self.flush(on_event);
        self.errors[Error::FragmentUnknown.index()] += self.fragments.lost();
        let mut summary = core::mem::take(&mut self.summary);
        if summary.packets != 0 {
            [summary.first, summary.last] = self.times.map(|time| Some(Timestamp(time)));
        }
        summary.errors = Error::ALL
            .iter()
            .map(|error| (error.name(), self.errors[error.index()]))
            .filter(|(_, count)| *count != 0)
            .collect();
        self.connections.for_each(|connection| {
            summary.count(connection);
            each(connection);
        });
        summary
    }
}
