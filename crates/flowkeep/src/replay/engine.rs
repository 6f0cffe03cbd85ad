//! The packets of a capture, one after another, through parser, tracker and table.

use std::collections::{HashMap, VecDeque};
use std::marker::PhantomData;
use std::net::IpAddr;

use flowkeep_core::Error;
use flowkeep_core::entry::Entry;
use flowkeep_core::error::Refusal;
use flowkeep_core::packet::{
    FragmentKey, LinkType, Packet, link, network, protocol, tcp, transport,
};
use flowkeep_core::rules::Rules;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{Seed, Slot, Table};
use flowkeep_core::tracker::{Creation, Direction, Instant, Request, Status, Tracker};
use flowkeep_core::tuple::{Flags, Tuple};

use super::describe::{SECOND, describe};
use super::ended::Ended;
use super::expiry::Alarms;
use super::fragments::{FragmentTracker, Waiting};
use super::growing::GrowingTable;
use super::{Options, Summary};
use crate::connection::{Connection, Event, EventKind, IcmpError, Timestamp};
use crate::memory::MemoryError;
use crate::prefix::Prefix;

/// So many packets are parsed before the first of them is looked up, so that the memory that its
/// look-up needs is on its way: half of them for the set's head, half for the entry.
const AHEAD: usize = 24;

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
struct Parsed {
    packet: Packet,
    hash: u64,
    seen: Seen,
}

/// A connection's name in the list of ICMP errors: its tuple, and when it began.
type Birth = (Tuple, u64);

/// A replay under the rules `R`.
pub(super) struct Replayer<R> {
    settings: Settings,
    table: GrowingTable,
    local: Vec<Prefix>,
    fragments: FragmentTracker,
    queue: VecDeque<Parsed>,
    icmp_errors: HashMap<Birth, Vec<IcmpError>>,
    alarms: Option<Alarms>,
    /// The latest second seen: the clock never goes back.
    clock: u32,
    summary: Summary,
    errors: [u64; Error::ALL.len()],
    rules: PhantomData<R>,
}

impl<R: Rules> Replayer<R> {
    pub(super) fn new(options: Options) -> Result<Self, MemoryError> {
        let seed = Seed::from_words([(); Seed::WORDS].map(|()| random()));
        Ok(Self {
            settings: Settings::default(),
            table: GrowingTable::new(options.connections, SECOND, seed)?,
            local: options.local,
            fragments: FragmentTracker::default(),
            queue: VecDeque::with_capacity(AHEAD + 1),
            icmp_errors: HashMap::new(),
            alarms: options.events.then(Alarms::default),
            clock: 0,
            summary: Summary::default(),
            errors: [0; Error::ALL.len()],
            rules: PhantomData,
        })
    }

    /// Parses a packet and sends it on its way.
    #[inline]
    fn parse(
        &mut self,
        link_type: LinkType,
        time: u64,
        wire_length: u32,
        data: &[u8],
    ) -> Result<(), Error> {
        let link = link(data, link_type)?;
        let network = network::<R, [u8]>(data, link.family, link.network)?;
        let length = match network.length {
            // The header leaves it open.
            0 => u64::from(wire_length).saturating_sub(link.network as u64),
            length => u64::from(length),
        };
        let seen = Seen { time, length };
        if let Some(fragment) = network.fragment {
            self.fragments.set_time(time);
            let parsed = transport::<R, [u8]>(data, &network, &self.settings, &mut self.fragments);
            if parsed == Err(Error::FragmentUnknown) {
                let key = FragmentKey {
                    destination: network.destination,
                    source: network.source,
                    id: fragment.id,
                    protocol: fragment.protocol,
                    family: network.family,
                };
                self.fragments.wait(Waiting { key, seen });
                return Ok(());
            }
            self.send(parsed?, seen);
            return Ok(());
        }
        let packet = transport::<R, [u8]>(data, &network, &self.settings, &mut self.fragments)?;
        self.send(packet, seen);
        Ok(())
    }

    #[inline]
    fn send(&mut self, packet: Packet, seen: Seen) {
        let hash = self
            .table
            .place(packet.quote.as_ref().unwrap_or(&packet.tuple));
        self.table.prefetch(hash);
        if let Some(halfway) = self.queue.get(AHEAD / 2) {
            self.table.prefetch_entry(halfway.hash);
        }
        self.queue.push_back(Parsed { packet, hash, seen });
    }

    /// The point of view on a packet.
    #[inline]
    fn direction(&self, packet: &Packet) -> Direction {
        if self.local.is_empty() {
            return Direction::Forwarded;
        }
        let family = packet.tuple.family();
        let is_local = |ip: IpAddr| self.local.iter().any(|prefix| prefix.contains(ip));
        let from = is_local(packet.tuple.source.to_ip(family));
        let to = is_local(packet.tuple.destination.to_ip(family));
        match (from, to) {
            (true, false) => Direction::Egress,
            (false, true) => Direction::Ingress,
            _ => Direction::Forwarded,
        }
    }

    /// Looks a packet up, and creates its connection if it is new.
    #[inline]
    fn track(&mut self, parsed: &Parsed, on_event: &mut dyn FnMut(Event)) -> Result<(), Error> {
        let Parsed { packet, hash, seen } = parsed;
        let seconds = u32::try_from(seen.time / SECOND).unwrap_or(u32::MAX);
        if seconds > self.clock {
            self.clock = seconds;
            if self.alarms.is_some() {
                self.expire(on_event);
            }
        }
        let now = Instant {
            seconds: self.clock,
            ticks: seen.time,
        };
        let request = Request::new(self.direction(packet), seen.length, now);
        let tracker: Tracker<'_, R, GrowingTable> = Tracker::new(&self.settings, &self.table);
        let found = tracker.lookup_at(*hash, packet, &request, None)?;
        let (status, tuple, reopened) = (found.status, found.tuple, found.reopened);
        let reported = found.monitor.is_some_and(|bytes| bytes != 0);
        match found.slot {
            Some(slot) if status == Status::Related => {
                if let Some(quote) = &packet.quote
                    && let Some(entry) = slot.entry()
                {
                    self.note_icmp_error(packet, quote, &tuple, &entry, seen.time);
                    self.tell(
                        EventKind::Related,
                        packet,
                        seen.time,
                        &tuple,
                        &entry,
                        on_event,
                    );
                }
            }
            Some(slot) => {
                if self.alarms.is_some()
                    && let Some(entry) = slot.entry()
                {
                    let kind = kind_of(status, reopened, reported, packet, &tuple, &entry);
                    if let Some(kind) = kind {
                        self.tell(kind, packet, seen.time, &tuple, &entry, on_event);
                    }
                }
            }
            // Under rules that relate by an entry of its own: an error about nothing known.
            None if tuple.flags.contains(Flags::RELATED) => return Err(Error::QuoteUnknown),
            None => self.create(packet, tuple, reopened, &request, on_event)?,
        }
        Ok(())
    }

    #[inline(never)]
    fn create(
        &mut self,
        packet: &Packet,
        tuple: Tuple,
        reopened: bool,
        request: &Request,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), Error> {
        let (mut tuple, mut direction) = (tuple, request.direction);
        // A SYN with ACK answers a SYN that was not captured: its receiver is the originator.
        let answers = packet.tuple.protocol == protocol::TCP
            && packet.tcp_flags & (tcp::SYN | tcp::ACK) == tcp::SYN | tcp::ACK;
        if answers && direction == Direction::Forwarded {
            tuple = tuple.swapped();
            direction = Direction::Ingress;
        }
        let creation = Creation {
            direction,
            state: None,
            related: true,
            length: request.length,
            now: request.now,
        };
        loop {
            let tracker: Tracker<'_, R, GrowingTable> = Tracker::new(&self.settings, &self.table);
            match tracker.create(&mut tuple, &creation) {
                Ok(slot) => {
                    let entry = slot.entry();
                    if let (Some(alarms), Some(entry)) = (&mut self.alarms, entry) {
                        alarms.set(&tuple, &entry);
                        let kind = if reopened {
                            EventKind::Reopened
                        } else {
                            EventKind::New
                        };
                        self.tell(kind, packet, request.now.ticks, &tuple, &entry, on_event);
                    }
                    return Ok(());
                }
                Err(Error::NotCreated(Refusal::Full)) => {
                    if self.table.grow(&tuple, request.now).is_err() {
                        return Err(Error::NotCreated(Refusal::Full));
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Notes an ICMP error with the connection that it is about.
    #[inline(never)]
    fn note_icmp_error(
        &mut self,
        packet: &Packet,
        quote: &Tuple,
        tuple: &Tuple,
        entry: &Entry,
        time: u64,
    ) {
        let [icmp_type, code] = packet.icmp;
        let error = IcmpError {
            time: Timestamp(time),
            sender: packet.tuple.source.to_ip(quote.family()),
            icmp_type,
            code,
        };
        self.icmp_errors
            .entry((*tuple, entry.created))
            .or_default()
            .push(error);
    }

    /// Notices the connections that have expired by now.
    #[inline(never)]
    fn expire(&mut self, on_event: &mut dyn FnMut(Event)) {
        while let Some((tuple, entry)) = self
            .alarms
            .as_mut()
            .and_then(|alarms| alarms.next(&self.table, self.clock))
        {
            let retired = is_retired(&entry);
            if !retired && !tuple.flags.contains(Flags::RELATED) {
                let time = (u64::from(entry.progress.lifetime) + 1) * SECOND;
                let ended = Ended::new(&tuple, &entry, true);
                let connection = self.describe(&ended);
                on_event(Event {
                    time: Timestamp(time),
                    kind: EventKind::Expired,
                    tcp_flags: 0,
                    connection,
                });
            }
            self.table.end(&tuple, !retired);
        }
    }

    fn tell(
        &self,
        kind: EventKind,
        packet: &Packet,
        time: u64,
        tuple: &Tuple,
        entry: &Entry,
        on_event: &mut dyn FnMut(Event),
    ) {
        if self.alarms.is_none() {
            return;
        }
        let connection = self.describe(&Ended::new(tuple, entry, false));
        on_event(Event {
            time: Timestamp(time),
            kind,
            tcp_flags: packet.tcp_flags,
            connection,
        });
    }

    fn describe(&self, ended: &Ended) -> Connection {
        let errors = self.icmp_errors.get(&(ended.tuple, ended.created));
        describe(ended, &self.settings, errors.cloned().unwrap_or_default())
    }

    /// Looks up what has been on its way for long enough.
    #[inline]
    fn drain(&mut self, leave: usize, on_event: &mut dyn FnMut(Event)) {
        while self.queue.len() > leave {
            let Some(parsed) = self.queue.pop_front() else {
                break;
            };
            if let Err(error) = self.track(&parsed, on_event) {
                self.errors[error.index()] += 1;
            }
        }
    }
}

/// What happened to a known connection, if it is worth an event.
fn kind_of(
    status: Status,
    reopened: bool,
    reported: bool,
    packet: &Packet,
    tuple: &Tuple,
    entry: &Entry,
) -> Option<EventKind> {
    let responder = if tuple.flags.contains(Flags::IN) {
        entry.tx
    } else {
        entry.rx
    };
    if reopened {
        Some(EventKind::Reopened)
    } else if packet.tcp_flags & (tcp::FIN | tcp::RST) != 0 {
        Some(EventKind::Closing)
    } else if status == Status::Reply && responder.packets == 1 {
        Some(EventKind::Reply)
    } else if reported {
        Some(EventKind::Report)
    } else {
        None
    }
}

/// Whether a connection was ended by another that began under its tuple, not by its timeout: then
/// its lifetime was cut to before its last packet.
fn is_retired(entry: &Entry) -> bool {
    u64::from(entry.progress.lifetime) < entry.last_seen / SECOND
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
        if let Err(error) = self.parse(link, time.0, wire_length, data) {
            self.errors[error.index()] += 1;
        }
        while let Some((ports, waiting)) = self.fragments.take_ready() {
            let tuple = Tuple {
                destination: waiting.key.destination,
                source: waiting.key.source,
                destination_port: ports.source,
                source_port: ports.destination,
                protocol: ports.protocol,
                flags: waiting.key.family_flags(),
                zone: 0,
            };
            let packet = Packet {
                tuple,
                tcp_flags: 0,
                quote: None,
                icmp: [0; 2],
                length: 0,
                later_fragment: true,
            };
            self.send(packet, waiting.seen);
        }
        self.drain(AHEAD, on_event);
    }

    fn finish(
        mut self: Box<Self>,
        on_event: &mut dyn FnMut(Event),
        each: &mut dyn FnMut(&Connection),
    ) -> Summary {
        self.drain(0, on_event);
        self.errors[Error::FragmentUnknown.index()] += self.fragments.lost();
        let mut summary = core::mem::take(&mut self.summary);
        summary.errors = Error::ALL
            .iter()
            .map(|error| (error.name(), self.errors[error.index()]))
            .filter(|(_, count)| *count != 0)
            .collect();
        let ended = self.table.take_ended();
        let alive = self.table.iter().map(|(tuple, entry)| {
            let expired = entry.progress.expired(self.clock) && !is_retired(&entry);
            Ended::new(&tuple, &entry, expired)
        });
        let all = ended.iter().copied().chain(alive);
        // Entries that only relate errors are no connections.
        for ended in all.filter(|ended| !ended.tuple.flags.contains(Flags::RELATED)) {
            let connection = self.describe(&ended);
            summary.connections += 1;
            *summary
                .by_protocol_and_state
                .entry((connection.protocol, connection.state))
                .or_default() += 1;
            each(&connection);
        }
        summary
    }
}

/// A random word, from the standard library's own seeding.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}
