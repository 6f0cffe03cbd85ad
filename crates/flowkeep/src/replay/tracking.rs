//! The connections of a replay: looking up packets, creating connections, reporting events.

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
use flowkeep_core::tracker::{Change, Direction, Instant, Request, Subject, Tracker};
use flowkeep_core::tuple::Tuple;

use super::Options;
use super::clock::Clock;
use super::engine::Parsed;
use super::expiry_queue::ExpiryQueue;
use super::growing::GrowingTable;
use crate::connection::{
    Connection, Event, EventKind, FlowSummary, IcmpError, IcmpErrors, SECOND, Timestamp, View,
};
use crate::memory::MemoryError;
use crate::prefix::Prefix;

/// The connections of a replay under the rules `R`.
pub(super) struct Connections<R> {
    pub(super) settings: Settings,
    pub(super) table: GrowingTable,
    local: Vec<Prefix>,
    icmp_errors: IcmpErrors,
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
            icmp_errors: IcmpErrors::default(),
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
            // Apart, so that the direction is a constant.
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
        loop {
            let tracker: Tracker<'_, R, GrowingTable> = Tracker::new(&self.settings, &self.table);
            let verdict = tracker.track_tuple(
                parsed.hash,
                &Subject {
                    tuple: &parsed.tuple,
                    tcp_flags: parsed.tcp_flags,
                    request: &request,
                },
            );
            match verdict.reason {
                None => {
                    if self.expiries.is_some()
                        && let Some(handle) = verdict.handle
                        && let (Some(tuple), Some(entry)) = (handle.tuple(), handle.entry())
                    {
                        self.note(parsed, &tuple, &entry, verdict.change, on_event);
                    }
                    return Ok(());
                }
                Some(Error::NotCreated(Refusal::Full)) => self.grow(parsed, now)?,
                Some(reason) => return Err(reason),
            }
        }
    }

    #[cold]
    fn grow(&mut self, parsed: &Parsed, now: Instant) -> Result<(), Error> {
        self.table
            .grow(&parsed.tuple, now)
            .map_err(|_| Error::NotCreated(Refusal::Full))
    }

    /// Notes what a packet has changed: when its connection expires, and what is worth an event.
    fn note(
        &mut self,
        parsed: &Parsed,
        tuple: &Tuple,
        entry: &Entry,
        change: Option<Change>,
        on_event: &mut dyn FnMut(Event),
    ) {
        let Some(change) = change else {
            return;
        };
        // Only a close makes a known connection expire sooner.
        let sooner = match change {
            Change::New | Change::Reopened => true,
            _ => is_closing(parsed.tcp_flags) && !entry.progress.alive(),
        };
        if sooner && let Some(expiries) = &mut self.expiries {
            expiries.push(tuple, entry);
        }
        self.emit(change.into(), parsed, tuple, entry, on_event);
    }

    /// Called for a packet of a later second.
    #[cold]
    fn tick(&mut self, time: u64, on_event: &mut dyn FnMut(Event)) {
        self.clock.advance(time);
        if self.expiries.is_some() {
            self.expire(on_event);
        }
    }

    /// Finds the connection whose packet an ICMP error quotes.
    #[inline(never)]
    fn relate(
        &mut self,
        parsed: &Parsed,
        quote: &Tuple,
        now: Instant,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), Error> {
        // An ICMP error travels against the packet that it quotes.
        let direction = self.direction(&quote.swapped());
        let request = Request::new(direction, parsed.seen.length, now);
        let tracker: Tracker<'_, R, GrowingTable> = Tracker::new(&self.settings, &self.table);
        let verdict = tracker.relate(parsed.hash, quote, &request);
        if let Some(reason) = verdict.reason {
            return Err(reason);
        }
        if let Some(handle) = verdict.handle
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

    /// Keeps an ICMP error with its connection.
    #[inline(never)]
    fn note_icmp_error(&mut self, packet: &Parsed, quote: &Tuple, tuple: &Tuple, entry: &Entry) {
        let [icmp_type, code] = packet.icmp;
        let error = IcmpError {
            time: Timestamp(packet.seen.time),
            sender: packet.tuple.source().to_ip(quote.family()),
            icmp_type,
            code,
        };
        self.icmp_errors.add(tuple, entry.created, error);
    }

    /// Reports the connections that have expired by now.
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
        let errors = self.icmp_errors.about(flow);
        self.view().describe(flow, errors.to_vec())
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
        self.table.save(path, self.clock.now(), &self.icmp_errors)
    }

    /// Calls `each` for every connection, in the order of their starts.
    pub(super) fn for_each(&self, mut each: impl FnMut(&Connection)) {
        let archived = self.table.take_archive();
        // Sixteen bytes a connection, compared as one number: when it began, and where it is.
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

const fn is_closing(tcp_flags: u8) -> bool {
    tcp_flags & (tcp::FIN | tcp::RST) != 0
}

/// A random word, from the standard library's own seeding.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}
