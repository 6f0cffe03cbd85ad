//! Packets and time through a tracker over a table of a few sets.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bolero::{TypeGenerator, check, produce};
use flowkeep_core::Error;
use flowkeep_core::cilium::{Creation, State};
use flowkeep_core::error::Refusal;
use flowkeep_core::packet::{Layout, LinkType, NoFragments, Packet, parse, protocol};
use flowkeep_core::rules::{Cilium18, Cilium119, Default as Flowkeep, Rules};
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{
    BucketTable, EntryHandle, EvictLimit, EvictReason, Evicted, EvictionObserver, HostBounds, Word,
};
use flowkeep_core::tracker::{Direction, Request, Status, Tracker};
use flowkeep_core::tuple::{Address, Flags, Tuple};

use super::common::memory::Owned;
use super::common::peek::{Peek, Words, check as check_table, memory};
use super::common::{Worth, at, entry, tuple};

/// Judges whatever makes room.
#[derive(Default)]
struct Judge {
    now: Cell<u32>,
}

impl EvictionObserver for Judge {
    fn on_evict<W: Word>(&self, why: EvictReason, gone: &Evicted<'_, W>) {
        let entry = gone.entry();
        let progress = &entry.progress;
        let fair = match why {
            EvictReason::Overwritten => true,
            EvictReason::Expired => progress.expired(self.now.get()),
            EvictReason::Closed => !progress.alive(),
            EvictReason::Unassured => !progress.entry_flags.assured(),
        };
        assert!(fair, "{why:?}: {entry:?}");
    }
}

type Table = BucketTable<Owned<Peek>, Judge>;

#[derive(Clone, Debug, TypeGenerator)]
enum Step {
    /// A packet of one of a few hosts.
    Packet {
        hosts: u8,
        ports: u8,
        tcp_flags: u8,
        kind: u8,
        direction: u8,
        service: bool,
    },
    /// Bytes, from the IP header on.
    Bytes {
        bytes: Vec<u8>,
        direction: u8,
    },
    /// Connections from elsewhere, which fill the table up.
    Crowd {
        from: u8,
        count: u8,
        worth: u8,
    },
    Wait {
        seconds: u16,
    },
    Sweep {
        from: u8,
        budget: u8,
    },
    KeepAlive {
        hosts: u8,
        ports: u8,
    },
}

fn direction(choice: u8) -> Direction {
    match choice % 4 {
        0 => Direction::Egress,
        1 => Direction::Ingress,
        2 => Direction::Service,
        _ => Direction::Forwarded,
    }
}

fn packet_tuple(hosts: u8, ports: u8, kind: u8) -> Tuple {
    let host = |number: u8| Address::from_v4([192, 0, 2, number & 7]);
    let port = |number: u8| u16::from(number & 7);
    let protocol = [protocol::TCP, protocol::TCP, protocol::UDP, protocol::ICMP];
    Tuple::new(
        host(hosts),
        host(hosts >> 4),
        port(ports),
        port(ports >> 4),
        protocol[usize::from(kind) % protocol.len()],
        Flags::OUT,
    )
}

struct Run<'t, R> {
    tracker: Tracker<'t, R, Table>,
    now: u32,
}

impl<R: Rules> Run<'_, R> {
    fn show(&self, packet: &Packet, direction: Direction) {
        let mut state = State::default();
        let request = Request::new(direction, 100, at(self.now));
        let lookup = self.tracker.lookup(packet, &request, Some(&mut state));
        if let Some(error) = lookup.reason {
            assert!(error == Error::QuoteUnknown && packet.quote.is_some());
            return;
        }
        assert_eq!(lookup.handle.is_none(), lookup.status == Status::New);
        let mut tuple = lookup.tuple(packet, &request);
        if let Some(handle) = lookup.handle {
            assert_eq!(handle.tuple(), Some(tuple));
            assert!(
                !R::EXPIRED_IS_MISS || !handle.entry().is_none_or(|e| e.progress.expired(self.now))
            );
            return;
        }
        let creation = Creation {
            direction,
            state: Some(&state),
            tcp_flags: packet.tcp_flags,
            related: packet.tcp_flags & 1 != 0,
            length: 100,
            packets: 1,
            now: at(self.now),
        };
        match self.tracker.create(&mut tuple, &creation) {
            Ok(handle) => {
                let stored = handle.tuple();
                // A second entry, which relates ICMP errors, may take the slot of the first.
                let gone = R::RELATED_ENTRY && stored.is_none();
                assert!(gone || stored == Some(tuple));
            }
            Err(error) => assert_eq!(error, Error::NotCreated(Refusal::Full)),
        }
    }

    fn step(&mut self, step: &Step) {
        let table = self.tracker.table;
        match *step {
            Step::Packet {
                hosts,
                ports,
                tcp_flags,
                kind,
                direction: way,
                service,
            } => {
                let tuple = packet_tuple(hosts, ports, kind);
                let packet = Packet {
                    tuple,
                    tcp_flags: if tuple.protocol() == protocol::TCP {
                        tcp_flags
                    } else {
                        0
                    },
                    quote: (R::RELATE_BY_QUOTE && kind > 250).then_some(tuple.swapped()),
                    icmp: [0; 2],
                    layout: Layout::default(),
                    later_fragment: false,
                };
                self.show(&packet, direction(if service { 2 } else { way }));
            }
            Step::Bytes {
                ref bytes,
                direction: way,
            } => {
                let settings = self.tracker.settings;
                if let Ok(packet) =
                    parse::<R, [u8]>(bytes, LinkType::RawIp, settings, &mut NoFragments)
                {
                    self.show(&packet, direction(way));
                }
            }
            Step::Crowd { from, count, worth } => {
                let worth = Worth::ALL[usize::from(worth) % Worth::ALL.len()];
                for number in u32::from(from)..u32::from(from) + u32::from(count % 64) {
                    use flowkeep_core::table::Table;
                    let (tuple, entry) = (tuple(number), entry(number, worth, self.now + 30));
                    let _ = table.insert(table.hash(&tuple), &tuple, &entry, at(self.now));
                }
            }
            Step::Wait { seconds } => {
                self.now += u32::from(seconds % 128);
                table.observer().now.set(self.now);
            }
            Step::Sweep { from, budget } => {
                table.sweep(from.into(), budget.into(), self.now, |_, entry| {
                    assert!(entry.progress.expired(self.now));
                });
            }
            Step::KeepAlive { hosts, ports } => {
                let tuple = packet_tuple(hosts, ports, 0);
                let _ = self.tracker.keep_alive(&tuple, at(self.now));
                self.tracker.update_backend(&tuple, 7);
                self.tracker.update_rev_nat_index(&tuple, 7);
                self.tracker.update_dsr(&tuple, true);
            }
        }
    }
}

fn run<R: Rules>(table: &Table, steps: &[Step]) {
    let settings = Settings::default();
    let mut run = Run::<R> {
        tracker: Tracker::new(&settings, table),
        now: 1000,
    };
    table.observer().now.set(run.now);
    for step in steps {
        run.step(step);
    }
}

fn tables() -> [(Table, Words); 3] {
    [1, 2, 3].map(|buckets| {
        let (memory, words) = memory::<true, HostBounds>(buckets, 5);
        let table = BucketTable::with(memory, Judge::default(), EvictLimit::Unassured);
        (table, words)
    })
}

#[test]
fn packets_leave_a_consistent_table() {
    let tables = std::panic::AssertUnwindSafe(tables());
    check!()
        .with_test_time(Duration::from_secs(1))
        .with_iterations(if cfg!(miri) { 20 } else { usize::MAX })
        .with_max_len(2048)
        .with_generator((
            produce::<(u8, u8)>(),
            produce::<Vec<Step>>().with().len(0..48_usize),
        ))
        .for_each(|((buckets, rules), steps)| {
            let (table, words) = &tables[usize::from(*buckets) % tables.len()];
            words
                .all()
                .for_each(|word| word.store(0, Ordering::Relaxed));
            match rules % 3 {
                0 => run::<Flowkeep>(table, steps),
                1 => run::<Cilium119>(table, steps),
                _ => run::<Cilium18>(table, steps),
            }
            check_table(table, words);
        });
}
