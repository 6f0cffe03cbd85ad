//! What happens to the connections, as it happens.

use std::collections::{HashMap, hash_map};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::sleep;
use std::time::Duration;

use flowkeep_bpf::{self as bpf, Kind};
use flowkeep_core::entry::{Counters, Entry, EntryFlags};
use flowkeep_core::table::EvictReason;
use flowkeep_core::tracker::{Change, Status};
use flowkeep_core::tuple::{Flags, Tuple};

use super::sweep::Sweeper;
use super::{Error, Folder, Pinned};
use crate::connection::{Event, EventKind, FlowSummary, IcmpError, SECOND, View};

/// Events that are handed on before anything else is looked at.
const BATCH: usize = 16_384;

/// Reads the events of the tracker that lives in a folder. There is one reader at a time.
///
/// Expiries are noticed by [`Self::sweep`], or when the programs need a slot.
#[derive(Debug)]
pub struct Watcher {
    /// Dropped first: the programs no longer send.
    events: bpf::Events,
    pinned: Pinned,
    sweeper: Sweeper,
    memory: IcmpMemory,
}

/// The ICMP errors about connections, which the table does not remember.
#[derive(Debug, Default)]
struct IcmpMemory {
    /// By the connection's tuple and when it began.
    errors: HashMap<(Tuple, u64), Vec<IcmpError>>,
}

/// Connections whose ICMP errors are remembered, and errors of each: whoever floods with errors
/// gets no more memory than this.
const MOST_CONNECTIONS: usize = 65_536;
/// See [`MOST_CONNECTIONS`].
const MOST_ERRORS: usize = 16;

impl IcmpMemory {
    /// Remembers an error, and returns all about its connection, the last one last.
    fn note(&mut self, tuple: &Tuple, created: u64, error: IcmpError) -> Vec<IcmpError> {
        let known = self.errors.len();
        match self.errors.entry((*tuple, created)) {
            hash_map::Entry::Vacant(_) if known >= MOST_CONNECTIONS => vec![error],
            errors => {
                let errors = errors.or_default();
                if errors.len() >= MOST_ERRORS {
                    errors.remove(0);
                }
                errors.push(error);
                errors.clone()
            }
        }
    }

    fn about(&self, tuple: &Tuple, created: u64) -> Vec<IcmpError> {
        let errors = self.errors.get(&(*tuple, created));
        errors.cloned().unwrap_or_default()
    }

    /// As [`Self::about`], for the last time.
    fn take(&mut self, tuple: &Tuple, created: u64) -> Vec<IcmpError> {
        self.errors.remove(&(*tuple, created)).unwrap_or_default()
    }
}

impl Watcher {
    /// Begins to read.
    ///
    /// # Errors
    /// [`Error::NoTracker`], [`Error::Ended`], [`Error::Watched`] if somebody else reads, [`Error::Missing`] without
    /// the privilege.
    pub fn start(folder: &Folder) -> Result<Self, Error> {
        let mut pinned = Pinned::open(folder)?;
        if !pinned.is_running() {
            return Err(Error::Ended {
                folder: folder.path().to_owned(),
            });
        }
        let mut tries = 3;
        let events = loop {
            match pinned.kernel_mut().events() {
                // 'flowkeep run' sweeps while nobody watches, and is told from a reader by nothing
                // but how long it takes.
                Err(bpf::Error::Watched) if tries > 0 => {
                    tries -= 1;
                    sleep(Duration::from_millis(50));
                }
                Err(bpf::Error::Watched) => {
                    return Err(Error::Watched {
                        folder: folder.path().to_owned(),
                    });
                }
                events => break events?,
            }
        };
        Ok(Self {
            events,
            pinned,
            sweeper: Sweeper::default(),
            memory: IcmpMemory::default(),
        })
    }

    /// Tells `each` of the events that are there, up to a limit, each with the packet of the
    /// connection that it comes from, if it comes from one.
    pub fn read(&mut self, mut each: impl FnMut(&Event, Option<&bpf::Packet>)) {
        let view = self.pinned.view(true);
        for event in self.events.by_ref().take(BATCH) {
            if let Some(told) = describe(&view, &mut self.memory, &event) {
                // The packet of what was replaced is that of the connection that took its place.
                let own = !matches!(event.kind, Kind::Evicted(_));
                each(&told, own.then_some(&event.packet));
            }
        }
    }

    /// Removes connections that have expired, for as long as the budget lasts, and tells `each`
    /// of their expiries. A call goes on where the one before has ended.
    pub fn sweep(&mut self, budget: Duration, mut each: impl FnMut(&Event)) {
        let view = self.pinned.view(true);
        let table = self.pinned.kernel().table();
        let memory = &mut self.memory;
        self.sweeper.sweep(table, budget, |tuple, entry| {
            if let Some(event) = expiry(&view, memory, tuple, entry) {
                each(&event);
            }
        });
    }

    /// Makes sure that the tracker has not ended.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub fn lives(&self) -> Result<(), Error> {
        self.pinned.lives()
    }

    /// How many events were lost since it began, because they came faster than they were read.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn lost(&self) -> Result<u64, Error> {
        Ok(self.events.lost()?)
    }
}

impl AsFd for Watcher {
    /// Readable while there are events.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

/// An event as people know it, if there is one to tell of.
fn describe(view: &View, memory: &mut IcmpMemory, event: &bpf::Event) -> Option<Event> {
    let packet = &event.packet;
    let time = view.clock.of_tick(event.time);
    let tuple = &event.tuple;
    let entry = event.entry.unwrap_or_else(|| by_packet(event));
    let (kind, icmp_errors) = match event.kind {
        Kind::Changed(Change::Related) => {
            let [icmp_type, code] = packet.icmp;
            let error = IcmpError {
                time,
                sender: packet.sender(),
                icmp_type,
                code,
            };
            let errors = match event.entry {
                Some(entry) => memory.note(tuple, entry.created, error),
                // It has gone, and nobody would forget them.
                None => vec![error],
            };
            (Change::Related.into(), errors)
        }
        Kind::Changed(change) => (change.into(), memory.about(tuple, entry.created)),
        Kind::Refused(_) => (EventKind::Rejected, Vec::new()),
        Kind::Evicted(EvictReason::Closed | EvictReason::Unassured) => {
            (EventKind::Evicted, memory.take(tuple, entry.created))
        }
        Kind::Evicted(EvictReason::Expired | EvictReason::Overwritten) => {
            let expired = entry.progress.expired((event.time / SECOND) as u32);
            if expired {
                return expiry(view, memory, tuple, &entry);
            }
            // It begins again, which is an event of its own.
            memory.take(tuple, entry.created);
            return None;
        }
    };
    Some(Event {
        time,
        kind,
        tcp_flags: packet.tcp_flags,
        connection: view.connection(tuple, &entry, icmp_errors)?,
    })
}

/// The expiry of an entry, when its timeout had passed; none if it made room for one that began
/// under its tuple, which is an event of its own.
fn expiry(view: &View, memory: &mut IcmpMemory, tuple: &Tuple, entry: &Entry) -> Option<Event> {
    let icmp_errors = memory.take(tuple, entry.created);
    if FlowSummary::new(tuple, entry).is_retired(&view.clock) {
        return None;
    }
    Some(Event {
        time: view.expiry(entry.progress.lifetime),
        kind: EventKind::Expired,
        tcp_flags: 0,
        connection: view.connection(tuple, entry, icmp_errors)?,
    })
}

/// The entry of a connection that has none, as far as it is known by the event's packet: it was
/// refused, or others have deleted it, or evicted it, between the packet and its event.
fn by_packet(event: &bpf::Event) -> Entry {
    let packet = &event.packet;
    let mut entry = Entry {
        created: event.time,
        last_seen: event.time,
        ..Entry::default()
    };
    entry.progress.lifetime = (event.time / SECOND) as u32;
    let is_reply = packet.status == Status::Reply;
    if is_reply {
        entry.progress.entry_flags = EntryFlags::REPLIED;
    }
    // An error's packet is not one of its connection.
    if packet.status == Status::Related {
        return entry;
    }
    let counters = Counters {
        packets: u64::from(packet.packets),
        bytes: packet.length,
    };
    // The originator's packets are received where the connection comes in, the responder's where
    // it goes out.
    if event.tuple.flags().contains(Flags::IN) != is_reply {
        (entry.rx, entry.progress.rx_flags) = (counters, packet.tcp_flags);
    } else {
        (entry.tx, entry.progress.tx_flags) = (counters, packet.tcp_flags);
    }
    entry
}

#[cfg(test)]
mod tests {
    use flowkeep_bpf::{Device, Hook, Packet};
    use flowkeep_core::error::Refusal;
    use flowkeep_core::tuple::Address;

    use super::*;
    use crate::connection::{ConnectionState, TableClock, Timestamp, Traffic};

    /// At which second the kernel's clock stands, and the Unix epoch at its start.
    const NOW: u32 = 1000;
    const EPOCH: u64 = 1_600_000_000 * SECOND;

    fn view() -> View {
        View {
            clock: TableClock {
                tick_zero: Timestamp(EPOCH),
                ticks_per_second: SECOND,
                second: (0, Timestamp(EPOCH)),
            },
            now: NOW,
            expired: true,
            icmp_refuses: false,
        }
    }

    /// UDP that this host began: one packet of 48 bytes, from 192.0.2.1:40000 to port 53 of
    /// 192.0.2.2. Its entry lives until the second `lifetime`.
    fn event(kind: Kind, lifetime: u32) -> bpf::Event {
        let (here, there) = ([192, 0, 2, 1], [192, 0, 2, 2]);
        let packet = Tuple::new(
            Address::from_v4(there),
            Address::from_v4(here),
            // Ports stand crossed in a tuple.
            40_000,
            53,
            17,
            Flags::OUT,
        );
        let time = u64::from(NOW) * SECOND + 7;
        let mut entry = Entry {
            created: time,
            last_seen: time,
            tx: Counters {
                packets: 1,
                bytes: 48,
            },
            ..Entry::default()
        };
        entry.progress.lifetime = lifetime;
        entry.progress.entry_flags = EntryFlags::NONE;
        bpf::Event {
            kind,
            time,
            tuple: packet.swapped(),
            entry: Some(entry),
            packet: Packet {
                tuple: packet,
                status: Status::New,
                reopened: false,
                tcp_flags: 0,
                icmp: [0, 0],
                length: 48,
                packets: 1,
                hook: Hook::Egress,
                interface: 1,
                device: Device::Ethernet,
                bytes: Vec::new(),
                whole: 62,
            },
        }
    }

    #[test]
    fn a_new_connection_is_described_in_the_time_of_day() {
        let told = describe(
            &view(),
            &mut IcmpMemory::default(),
            &event(Kind::Changed(Change::New), NOW + 60),
        );
        let told = told.expect("an event");
        assert_eq!(told.kind, EventKind::Changed(Change::New));
        assert_eq!(told.time, Timestamp(EPOCH + u64::from(NOW) * SECOND + 7));
        let connection = told.connection;
        assert_eq!(connection.originator, ([192, 0, 2, 1], 40_000).into());
        assert_eq!(connection.responder, ([192, 0, 2, 2], 53).into());
        assert_eq!(connection.start, told.time);
        assert_eq!((connection.sent.packets, connection.sent.bytes), (1, 48));
    }

    #[test]
    fn an_icmp_error_is_told_with_its_sender() {
        let mut event = event(Kind::Changed(Change::Related), NOW + 60);
        event.packet.tuple = Tuple::new(
            Address::from_v4([192, 0, 2, 1]),
            Address::from_v4([203, 0, 113, 9]),
            0,
            0,
            1,
            Flags::RELATED,
        );
        event.packet.icmp = [3, 1];
        let mut memory = IcmpMemory::default();
        let told = describe(&view(), &mut memory, &event).expect("an event");
        let error = told.connection.icmp_errors.first().expect("an error");
        assert_eq!(error.sender.to_string(), "203.0.113.9");
        assert_eq!((error.icmp_type, error.code), (3, 1));
        assert_eq!(
            told.connection.state,
            ConnectionState::Unanswered,
            "as in a list"
        );
        // And remembered, until it is gone.
        let (tuple, entry) = (event.tuple, event.entry.expect("an entry"));
        let gone = expiry(&view(), &mut memory, &tuple, &entry).expect("an event");
        assert_eq!(gone.connection.icmp_errors, told.connection.icmp_errors);
        assert_eq!(memory.errors.len(), 0);
    }

    #[test]
    fn a_flood_of_icmp_errors_takes_little_memory() {
        let error = |number| IcmpError {
            time: Timestamp(number),
            sender: [192, 0, 2, 1].into(),
            icmp_type: 3,
            code: 1,
        };
        let mut memory = IcmpMemory::default();
        let tuple = event(Kind::Refused(Refusal::Full), 0).tuple;
        for number in 1..=2 * MOST_CONNECTIONS as u64 {
            memory.note(&tuple, number, error(number));
            memory.note(&tuple, 1, error(number));
        }
        assert_eq!(memory.errors.len(), MOST_CONNECTIONS);
        let about = memory.about(&tuple, 1);
        assert_eq!(about.len(), MOST_ERRORS);
        assert_eq!(about.last(), Some(&error(2 * MOST_CONNECTIONS as u64)));
    }

    #[test]
    fn what_is_replaced_has_expired_or_was_evicted_or_begins_again() {
        let kind_of = |why, lifetime, last_seen| {
            let mut event = event(Kind::Evicted(why), lifetime);
            let entry = event.entry.as_mut().expect("an entry");
            entry.created = 7;
            entry.last_seen = u64::from(last_seen) * SECOND;
            let told = describe(&view(), &mut IcmpMemory::default(), &event);
            told.map(|event| (event.kind, event.time.0))
        };
        let kind = |why, lifetime| kind_of(why, lifetime, NOW - 65);
        let now = EPOCH + u64::from(NOW) * SECOND + 7;
        // The timeout had passed a second after the entry's last one.
        let passed = EPOCH + u64::from(NOW - 4) * SECOND;
        for (why, lifetime, expected) in [
            (
                EvictReason::Expired,
                NOW - 5,
                Some((EventKind::Expired, passed)),
            ),
            (
                EvictReason::Overwritten,
                NOW - 5,
                Some((EventKind::Expired, passed)),
            ),
            (EvictReason::Overwritten, NOW + 5, None),
            (
                EvictReason::Closed,
                NOW + 5,
                Some((EventKind::Evicted, now)),
            ),
            (
                EvictReason::Unassured,
                NOW + 5,
                Some((EventKind::Evicted, now)),
            ),
        ] {
            assert_eq!(kind(why, lifetime), expected, "{why:?}, {lifetime}");
        }
        let cut = kind_of(EvictReason::Expired, NOW - 5, NOW);
        assert_eq!(
            cut, None,
            "its lifetime was cut for one that began under its tuple"
        );
    }

    #[test]
    fn what_has_gone_before_its_event_is_known_by_its_packet() {
        let mut event = event(Kind::Changed(Change::Reply), NOW + 60);
        event.entry = None;
        event.packet.status = Status::Reply;
        let mut memory = IcmpMemory::default();
        let told = describe(&view(), &mut memory, &event).expect("an event");
        assert_eq!(told.kind, EventKind::Changed(Change::Reply));
        let connection = told.connection;
        assert_eq!(connection.originator, ([192, 0, 2, 1], 40_000).into());
        assert_eq!(connection.state, ConnectionState::Answered);
        assert_eq!(
            (connection.sent.packets, connection.received.packets),
            (0, 1)
        );
        assert_eq!(connection.received.bytes, 48);

        event.kind = Kind::Changed(Change::Related);
        event.packet.status = Status::Related;
        event.packet.icmp = [3, 1];
        let told = describe(&view(), &mut memory, &event).expect("an event");
        assert_eq!(
            told.connection.state,
            ConnectionState::Unanswered,
            "as in a list"
        );
        assert_eq!(told.connection.icmp_errors.len(), 1);
        assert_eq!(told.connection.sent, Traffic::default());
        assert_eq!(memory.errors.len(), 0, "there is nothing left to forget");
    }

    #[test]
    fn what_is_refused_is_known_by_its_packet() {
        let mut event = event(Kind::Refused(Refusal::Full), 0);
        event.entry = None;
        let told = describe(&view(), &mut IcmpMemory::default(), &event).expect("an event");
        assert_eq!(told.kind, EventKind::Rejected);
        let Traffic { packets, bytes } = told.connection.sent;
        assert_eq!((packets, bytes), (1, 48));
    }
}
