//! Events of live connections.

use std::os::fd::{AsFd, BorrowedFd};
use std::thread::sleep;
use std::time::Duration;

use flowkeep_bpf::{self as bpf, Kind};
use flowkeep_core::entry::{Counters, Entry, EntryFlags};
use flowkeep_core::table::EvictReason;
use flowkeep_core::tracker::{Change, Status};
use flowkeep_core::tuple::{Flags, Tuple};

use super::icmp_log::IcmpLog;
use super::sweep::Sweeper;
use super::{Error, Folder, Pinned};
use crate::connection::{Event, EventKind, FlowSummary, IcmpError, SECOND, View};

/// How many events one call reads at most.
const BATCH: usize = 16_384;

/// Reads the events of the tracker in a folder. There is one reader at a time.
///
/// An expired connection is reported by [`Self::sweep`], or when the programs reuse its slot.
#[derive(Debug)]
pub struct Watcher {
    /// Dropped first, so that the programs stop sending.
    events: bpf::Events,
    pinned: Pinned,
    sweeper: Sweeper,
    log: IcmpLog,
}

impl Watcher {
    /// Starts reading.
    ///
    /// # Errors
    /// [`Error::NoTracker`], [`Error::Ended`], [`Error::Watched`] if another process reads,
    /// [`Error::Untrusted`] if other users can change the folder, [`Error::Missing`] without the
    /// privilege.
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
                // While 'flowkeep run' removes expired connections, which takes a moment, it keeps
                // readers out.
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
            log: IcmpLog::default(),
        })
    }

    /// Calls `each` for the events that have arrived, up to a limit, with the packet that caused the
    /// event, if it belongs to the connection.
    pub fn read(&mut self, mut each: impl FnMut(&Event, Option<&bpf::Packet>)) {
        let view = self.pinned.view(true);
        for event in self.events.by_ref().take(BATCH) {
            if let Some(described) = describe(&view, &mut self.log, &event) {
                // The packet of an eviction belongs to the connection that took the slot.
                let is_own = !matches!(event.kind, Kind::Evicted(_));
                each(&described, is_own.then_some(&event.packet));
            }
        }
    }

    /// Removes expired connections until the budget is used up, and calls `each` for their events.
    /// The next call continues.
    pub fn sweep(&mut self, budget: Duration, mut each: impl FnMut(&Event)) {
        let view = self.pinned.view(true);
        let table = self.pinned.kernel().table();
        let log = &mut self.log;
        self.sweeper.sweep(table, budget, |tuple, entry| {
            if let Some(event) = expiry(&view, log, tuple, entry) {
                each(&event);
            }
        });
    }

    /// Makes sure that the tracker is still in its folder.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub fn check_alive(&self) -> Result<(), Error> {
        self.pinned.check_alive()
    }

    /// How many events were dropped since this began to read, because they arrived faster than they
    /// were read.
    ///
    /// # Errors
    /// [`Error::Kernel`].
    pub fn lost(&self) -> Result<u64, Error> {
        Ok(self.events.lost()?)
    }
}

impl Watcher {
    /// For how long no events were sent, because this process was stopped or the machine suspended.
    #[must_use]
    pub fn lapsed(&self) -> Duration {
        self.events.lapsed()
    }
}

impl AsFd for Watcher {
    /// Readable while there are events.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

/// Describes an event, if it is one to report.
fn describe(view: &View, log: &mut IcmpLog, event: &bpf::Event) -> Option<Event> {
    let packet = &event.packet;
    let time = view.clock.of_tick(event.time);
    let tuple = &event.tuple;
    let entry = event.entry.unwrap_or_else(|| entry_from_packet(event));
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
                Some(entry) => log.add(tuple, entry.created, error),
                // The connection is gone, so nothing would remove them.
                None => vec![error],
            };
            (Change::Related.into(), errors)
        }
        Kind::Changed(change) => (change.into(), log.about(tuple, entry.created)),
        Kind::Rejected(_) => (EventKind::Rejected, Vec::new()),
        Kind::Evicted(EvictReason::Closed | EvictReason::Unassured) => {
            (EventKind::Evicted, log.take(tuple, entry.created))
        }
        Kind::Evicted(EvictReason::Expired | EvictReason::Overwritten) => {
            let expired = entry.progress.expired((event.time / SECOND) as u32);
            if expired {
                return expiry(view, log, tuple, &entry);
            }
            // The connection begins again, which is another event.
            log.take(tuple, entry.created);
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

/// The expiry of an entry, at the time when its timeout passed; `None` if it was ended by another
/// connection under its tuple, which is another event.
fn expiry(view: &View, log: &mut IcmpLog, tuple: &Tuple, entry: &Entry) -> Option<Event> {
    let icmp_errors = log.take(tuple, entry.created);
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

/// What the event's packet says about a connection without an entry: it was rejected, or it was
/// removed between the packet and its event.
fn entry_from_packet(event: &bpf::Event) -> Entry {
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
    // The packet of an ICMP error does not belong to the connection.
    if packet.status == Status::Related {
        return entry;
    }
    let counters = Counters {
        packets: u64::from(packet.packets),
        bytes: packet.length,
    };
    // Of an incoming connection the originator's packets are received, of an outgoing one the
    // responder's.
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

    /// The second of the programs' clock, and the Unix time of its zero.
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
        let found = describe(
            &view(),
            &mut IcmpLog::default(),
            &event(Kind::Changed(Change::New), NOW + 60),
        );
        let found = found.expect("an event");
        assert_eq!(found.kind, EventKind::Changed(Change::New));
        assert_eq!(found.time, Timestamp(EPOCH + u64::from(NOW) * SECOND + 7));
        let connection = found.connection;
        assert_eq!(connection.originator, ([192, 0, 2, 1], 40_000).into());
        assert_eq!(connection.responder, ([192, 0, 2, 2], 53).into());
        assert_eq!(connection.start, found.time);
        assert_eq!((connection.sent.packets, connection.sent.bytes), (1, 48));
    }

    #[test]
    fn an_icmp_error_is_reported_with_its_sender() {
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
        let mut log = IcmpLog::default();
        let found = describe(&view(), &mut log, &event).expect("an event");
        let error = found.connection.icmp_errors.first().expect("an error");
        assert_eq!(error.sender.to_string(), "203.0.113.9");
        assert_eq!((error.icmp_type, error.code), (3, 1));
        assert_eq!(
            found.connection.state,
            ConnectionState::Unanswered,
            "as in a list"
        );
        // It is kept until the connection is gone.
        let (tuple, entry) = (event.tuple, event.entry.expect("an entry"));
        let ended = expiry(&view(), &mut log, &tuple, &entry).expect("an event");
        assert_eq!(ended.connection.icmp_errors, found.connection.icmp_errors);
        assert!(log.is_empty());
    }

    #[test]
    fn a_connection_that_gives_its_slot_has_expired_or_was_evicted_or_begins_again() {
        let kind_of = |why, lifetime, last_seen| {
            let mut event = event(Kind::Evicted(why), lifetime);
            let entry = event.entry.as_mut().expect("an entry");
            entry.created = 7;
            entry.last_seen = u64::from(last_seen) * SECOND;
            let found = describe(&view(), &mut IcmpLog::default(), &event);
            found.map(|event| (event.kind, event.time.0))
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
        assert_eq!(cut, None, "another connection under its tuple ended it");
    }

    #[test]
    fn a_connection_removed_before_its_event_is_described_by_its_packet() {
        let mut event = event(Kind::Changed(Change::Reply), NOW + 60);
        event.entry = None;
        event.packet.status = Status::Reply;
        let mut log = IcmpLog::default();
        let found = describe(&view(), &mut log, &event).expect("an event");
        assert_eq!(found.kind, EventKind::Changed(Change::Reply));
        let connection = found.connection;
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
        let found = describe(&view(), &mut log, &event).expect("an event");
        assert_eq!(
            found.connection.state,
            ConnectionState::Unanswered,
            "as in a list"
        );
        assert_eq!(found.connection.icmp_errors.len(), 1);
        assert_eq!(found.connection.sent, Traffic::default());
        assert!(log.is_empty(), "nothing would remove them");
    }

    #[test]
    fn a_rejected_connection_is_described_by_its_packet() {
        let mut event = event(Kind::Rejected(Refusal::Full), 0);
        event.entry = None;
        let found = describe(&view(), &mut IcmpLog::default(), &event).expect("an event");
        assert_eq!(found.kind, EventKind::Rejected);
        let Traffic { packets, bytes } = found.connection.sent;
        assert_eq!((packets, bytes), (1, 48));
    }
}
