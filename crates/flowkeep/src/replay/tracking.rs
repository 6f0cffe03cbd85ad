//! Looking up the packets of a capture, creating connections, noticing what happens to them.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::path::Path;

use flowkeep_core::Error;
use flowkeep_core::entry::Entry;
use flowkeep_core::error::Refusal;
use flowkeep_core::packet::tcp;
use flowkeep_core::rules::Rules;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{EntryHandle, Seed};
use flowkeep_core::tracker::{
    Change, Creation, Direction, Instant, Observation, Request, Status, Tracker, originated,
};
use flowkeep_core::tuple::{Flags, Tuple};

use super::Options;
use super::clock::Clock;
use super::engine::Parsed;
use super::expiry_queue::ExpiryQueue;
use super::growing::GrowingTable;
use crate::connection::{
    Connection, Event, EventKind, FlowSummary, IcmpError, SECOND, Timestamp, View,
};
use crate::memory::MemoryError;
use crate::prefix::Prefix;

/// A connection's name in the list of ICMP errors: when it began, and its tuple.
type Birth = (u64, Tuple);

/// The connections of a replay under the rules `R`.
pub(super) struct Connections<R> {
    pub(super) settings: Settings,
    pub(super) table: GrowingTable,
    local: Vec<Prefix>,
    icmp_errors: BTreeMap<Birth, Vec<IcmpError>>,
    /// `None` if no events are wanted.
    expiries: Option<ExpiryQueue>,
    clock: Clock,
    rules: PhantomData<R>,
}

impl<R: Rules> Connections<R> {
    pub(super) fn new(options: Options) -> Result<Self, MemoryError> {
        let seed = Seed::from_words([(); Seed::WORDS].map(|()| random()));
        let settings = Settings::default();
        Ok(Self {
            table: GrowingTable::new(options.connections, SECOND, seed)?,
            local: options.local,
            icmp_errors: BTreeMap::new(),
            expiries: options.events.then(ExpiryQueue::default),
            clock: Clock::new(&settings),
            settings,
            rules: PhantomData,
        })
    }

    /// The point of view on a packet.
    #[inline(never)]
    fn direction(&self, tuple: &Tuple) -> Direction {
        let family = tuple.family();
        let is_local = |ip: IpAddr| self.local.iter().any(|prefix| prefix.contains(ip));
        let from = is_local(tuple.source().to_ip(family));
        let to = is_local(tuple.destination().to_ip(family));
        match (from, to) {
            (true, false) => Direction::Egress,
            (false, true) => Direction::Ingress,
            _ => Direction::Forwarded,
        }
    }

    /// Looks a packet up, and creates its connection if it is new.
    #[inline(always)]
    pub(super) fn track(
        &mut self,
        parsed: &Parsed,
        quote: Option<&Tuple>,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), Error> {
        let seen = parsed.seen;
        // Packets of the same second need no division.
        if self.clock.is_due(seen.time) {
            self.tick(seen.time, on_event);
        }
        let now = Instant {
            seconds: self.clock.now(),
            ticks: seen.time,
        };
        if let Some(quote) = quote {
            return self.relate(parsed, quote, now, on_event);
        }
        if self.local.is_empty() {
            // A way of its own, on which the direction is known.
            self.look_up(parsed, Direction::Forwarded, now, on_event)
        } else {
            self.look_up(parsed, self.direction(&parsed.tuple), now, on_event)
        }
    }

    #[inline(always)]
    fn look_up(
        &mut self,
        parsed: &Parsed,
        direction: Direction,
        now: Instant,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), Error> {
        let request = Request::new(direction, parsed.seen.length, now);
        let tracker: Tracker<'_, R, GrowingTable> = Tracker::new(&self.settings, &self.table);
        let found =
            tracker.lookup_tuple(parsed.hash, &parsed.tuple, parsed.tcp_flags, &request, None);
        let Some(handle) = found.handle else {
            let tuple = found.tuple_of(&parsed.tuple, &request);
            return self.create(parsed, tuple, found.reopened, &request, on_event);
        };
        if let Some(expiries) = &mut self.expiries
            && found.status != Status::Related
            && let Some(entry) = handle.entry()
        {
            let tuple = found.tuple_of(&parsed.tuple, &request);
            // Nothing but a close brings the end nearer.
            if is_closing(parsed.tcp_flags) && !entry.progress.alive() {
                expiries.push(&tuple, &entry);
            }
            let (flags, reported) = (parsed.tcp_flags, found.monitor.is_some_and(|n| n != 0));
            let change = change_of(
                found.status,
                found.reopened,
                reported,
                flags,
                &tuple,
                &entry,
            );
            if let Some(change) = change {
                self.emit(change.into(), parsed, &tuple, &entry, on_event);
            }
        }
        Ok(())
    }

    /// A packet of another second than the one before: usually a later one.
    #[cold]
    fn tick(&mut self, time: u64, on_event: &mut dyn FnMut(Event)) {
        self.clock.advance(time);
        if self.expiries.is_some() {
            self.expire(on_event);
        }
    }

    /// Notes an ICMP error with the connection whose packet it quotes.
    #[inline(never)]
    fn relate(
        &mut self,
        parsed: &Parsed,
        quote: &Tuple,
        now: Instant,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), Error> {
        // An ICMP error goes against the packet that it quotes, whoever sent it to whom.
        let direction = self.direction(&quote.swapped());
        let request = Request::new(direction, parsed.seen.length, now);
        let tracker: Tracker<'_, R, GrowingTable> = Tracker::new(&self.settings, &self.table);
        let found = tracker.relate(parsed.hash, quote, &request)?;
        if let Some(handle) = found.handle
            && let (Some(tuple), Some(entry)) = (handle.tuple(), handle.entry())
        {
            self.note_icmp_error(parsed, quote, &tuple, &entry);
            self.emit(
                EventKind::Changed(Change::Related),
                parsed,
                &tuple,
                &entry,
                on_event,
            );
        }
        Ok(())
    }

    #[inline(never)]
    fn create(
        &mut self,
        packet: &Parsed,
        tuple: Tuple,
        reopened: bool,
        request: &Request,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), Error> {
        // Under rules that relate by an entry of its own: an error about nothing known.
        if tuple.flags().contains(Flags::RELATED) {
            return Err(Error::QuoteUnknown);
        }
        let (mut tuple, direction) = originated(tuple, request.direction, packet.tcp_flags);
        let creation = Creation {
            related: true,
            ..Creation::new(direction, packet.tcp_flags, request.length, request.now)
        };
        loop {
            let tracker: Tracker<'_, R, GrowingTable> = Tracker::new(&self.settings, &self.table);
            match tracker.create(&mut tuple, &creation) {
                Ok(handle) => {
                    let entry = handle.entry();
                    if let (Some(expiries), Some(entry)) = (&mut self.expiries, entry) {
                        expiries.push(&tuple, &entry);
                        let kind = if reopened {
                            EventKind::Changed(Change::Reopened)
                        } else {
                            EventKind::Changed(Change::New)
                        };
                        self.emit(kind, packet, &tuple, &entry, on_event);
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
    fn note_icmp_error(&mut self, packet: &Parsed, quote: &Tuple, tuple: &Tuple, entry: &Entry) {
        let [icmp_type, code] = packet.icmp;
        let error = IcmpError {
            time: Timestamp(packet.seen.time),
            sender: packet.tuple.source().to_ip(quote.family()),
            icmp_type,
            code,
        };
        self.icmp_errors
            .entry((entry.created, *tuple))
            .or_default()
            .push(error);
    }

    /// Notices the connections that have expired by now.
    #[inline(never)]
    fn expire(&mut self, on_event: &mut dyn FnMut(Event)) {
        while let Some((tuple, entry)) = self
            .expiries
            .as_mut()
            .and_then(|expiries| expiries.pop(&self.table, self.clock.now()))
        {
            let flow = FlowSummary::new(&tuple, &entry);
            let view = self.view();
            if flow.is_connection() && !flow.is_retired(&view.clock) {
                on_event(Event {
                    time: view.expiry(flow.lifetime),
                    kind: EventKind::Expired,
                    tcp_flags: 0,
                    connection: self.describe(&flow),
                });
            }
            // Under Cilium's rules an expired entry is still found.
            if R::EXPIRED_IS_MISS {
                self.table.archive(&tuple);
            }
        }
    }

    fn emit(
        &self,
        kind: EventKind,
        packet: &Parsed,
        tuple: &Tuple,
        entry: &Entry,
        on_event: &mut dyn FnMut(Event),
    ) {
        if self.expiries.is_none() {
            return;
        }
        let connection = self.describe(&FlowSummary::new(tuple, entry));
        on_event(Event {
            time: Timestamp(packet.seen.time),
            kind,
            tcp_flags: packet.tcp_flags,
            connection,
        });
    }

    fn describe(&self, flow: &FlowSummary) -> Connection {
        let errors = self.icmp_errors.get(&(flow.created, flow.tuple));
        self.view()
            .describe(flow, errors.cloned().unwrap_or_default())
    }

    fn view(&self) -> View {
        View {
            clock: self.clock.of_table(),
            now: self.clock.now(),
            expired: true,
            icmp_refuses: true,
        }
    }

    /// Writes the connections that have not expired to a file.
    pub(super) fn save(&self, path: &Path) -> Result<(), MemoryError> {
        self.table.save(path, self.clock.now())
    }

    /// Calls `each` for every connection, in the order of their starts.
    pub(super) fn for_each(&self, mut each: impl FnMut(&Connection)) {
        let archived = self.table.take_archive();
        // Sixteen bytes a connection, which compare as one number: when it began, and where it is.
        let key = |created: u64, number: u64| u128::from(created) << 64 | u128::from(number);
        let keys_archived = (archived.iter().zip(0_u64..))
            .map(|(flow, number)| key(flow.created, number | ARCHIVED));
        let keys_in_table = self
            .table
            .iter()
            .map(|(number, _, entry)| key(entry.created, number));
        let mut order: Vec<u128> = keys_archived.chain(keys_in_table).collect();
        let get = |key: u128| {
            let number = key as u64;
            if number & ARCHIVED != 0 {
                archived.get((number & !ARCHIVED) as usize).copied()
            } else {
                self.table
                    .at(number)
                    .map(|(tuple, entry)| FlowSummary::new(&tuple, &entry))
            }
        };
        order.sort_unstable();
        // The order of those that began at once must not depend on the table's seed.
        for at_once in order.chunk_by_mut(|one, other| one >> 64 == other >> 64) {
            if at_once.len() > 1 {
                at_once.sort_unstable_by_key(|&key| get(key).map(|flow| flow.tuple));
            }
        }
        order
            .iter()
            .filter_map(|&key| get(key))
            .filter(FlowSummary::is_connection)
            .for_each(|flow| each(&self.describe(&flow)));
    }
}

/// Set in the number of a connection that has left the table.
const ARCHIVED: u64 = 1 << 63;

/// What happened to a known connection, if it is worth an event.
fn change_of(
    status: Status,
    reopened: bool,
    reported: bool,
    tcp_flags: u8,
    tuple: &Tuple,
    entry: &Entry,
) -> Option<Change> {
    let responder = if tuple.flags().contains(Flags::IN) {
        entry.tx
    } else {
        entry.rx
    };
    Change::of(&Observation {
        status,
        reopened,
        reported,
        tcp_flags,
        first_of_responder: responder.packets == 1,
        alive: entry.progress.alive(),
    })
}

const fn is_closing(tcp_flags: u8) -> bool {
    tcp_flags & (tcp::FIN | tcp::RST) != 0
}

/// A random word, from the standard library's own seeding.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}
