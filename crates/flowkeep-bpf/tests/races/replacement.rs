//! A newcomer that needs room against a packet of the connection that has to make it.
//!
//! Each pair has a set of slots to itself: a bucket that is both candidates of every connection in
//! it. All but one slot hold assured connections; the last one holds the *old* connection, which may
//! be evicted. While its packet comes, a *newcomer* begins.
//!
//! A pair may end in these ways, and in no other:
//!
//! | old connection | newcomer | how |
//! | --- | --- | --- |
//! | as its packet leaves it | not there | the packet came first and made it assured; the newcomer was refused, which is counted |
//! | not there | as its packet makes it | it was evicted; its packet made no new entry, which is counted as a refusal |
//! | as its packet makes it anew | not there | it was evicted, and its packet then evicted the newcomer, which is only a SYN old |
//!
//! "As its packet leaves it" is every field but the times of reports. So the newcomer's entry has
//! nothing of the old one's, and the old one is whole or gone as a whole. A packet that makes a
//! connection assured and is not counted as refused means that the connection must be there: whoever
//! evicts it after that evicts an assured one. If the old connection was closed, its packet does not
//! make it assured, and it may go with that packet.
//!
//! The residents never go. Over all pairs, refusals and evictions are as many as these ways have.

use std::collections::HashMap;

use flowkeep_core::entry::{Entry, EntryFlags, Progress};
use flowkeep_core::table::{BucketPair, SLOTS, Statistic, Table};
use flowkeep_core::tracker::Instant;
use flowkeep_core::tuple::{Address, Flags, Tuple};

use crate::arena::{Arena, Outcome, difference, seed};
use crate::packets::{ClientNumber, End, Frame, HANDSHAKE, Packet, SYN, SYN_ACK, View, tcp};
use crate::pair::{Pace, Side, race};
use crate::report::{self, Report};
use End::{Client, Server};

/// Buckets of the table, and pairs of a batch.
const BUCKETS: u32 = 256;
/// As long as a program takes to find out who is to go, in nanoseconds.
const SPREAD: u64 = 800;

/// The old connection.
#[derive(Clone, Copy, Debug)]
struct Old {
    before: &'static [Packet],
    packet: Packet,
    /// Whether the packet makes it assured.
    is_assured: bool,
}

/// Old connections that are evicted as unanswered, and as closed.
const OLD: [Old; 2] = [
    Old {
        before: &[SYN, SYN_ACK],
        packet: tcp(Client, "PA", [1, 1], 300),
        is_assured: true,
    },
    Old {
        before: &[
            HANDSHAKE[0],
            HANDSHAKE[1],
            HANDSHAKE[2],
            tcp(Server, "R", [1, 0], 40),
        ],
        packet: tcp(Client, "PA", [1, 1], 300),
        is_assured: false,
    },
];

/// What the newcomer sends.
const NEW: Packet = tcp(Client, "S", [0, 0], 9);

/// Connections of a bucket.
struct Bucket {
    old: ClientNumber,
    new: ClientNumber,
}

/// An old connection as somebody sees it, and how a pair may end.
struct Seen {
    old: Old,
    view: View,
    /// The old connection with its packet.
    kept: Outcome,
    /// Only its packet.
    begun_anew: Outcome,
    newcomer: Outcome,
}

impl Seen {
    fn new(arena: &mut Arena, old: Old, view: View) -> Self {
        let client = ClientNumber(0);
        let mut leaves = |before: &[Packet], packet: Packet| {
            let show = |arena: &Arena, packet: &Packet| {
                arena.show(view.hook(packet.from), &packet.frame(client), 1);
            };
            before.iter().for_each(|packet| show(arena, packet));
            arena.later();
            show(arena, &packet);
            let outcome = arena.outcomes().remove(&client).expect("there is room");
            assert_eq!(outcome.len(), 1);
            arena.next_batch();
            outcome
        };
        Self {
            old,
            view,
            kept: leaves(old.before, old.packet),
            begun_anew: leaves(&[], old.packet),
            newcomer: leaves(&[], NEW),
        }
    }
}

/// Races the pairs.
pub(crate) fn run() {
    let _alone = report::alone();
    let Some(mut arena) = Arena::new(BUCKETS) else {
        return;
    };
    let mut seen = Vec::new();
    for view in View::ALL {
        for old in OLD {
            seen.push(Seen::new(&mut arena, old, view));
        }
    }
    let buckets = populate(&arena);
    let mut report = Report::new("replacement against update");
    let mut pace = Pace::new(SPREAD);
    let mut left = report::pairs();
    for number in 0.. {
        let pairs = left.min(buckets.len());
        if pairs == 0 {
            break;
        }
        left -= pairs;
        let seen = &seen[number % seen.len()];
        batch(&mut arena, seen, &buckets[..pairs], &mut pace, &mut report);
    }
    report.finish();
}

/// Fills each bucket with assured connections, but for one slot.
fn populate(arena: &Arena) -> Vec<Bucket> {
    let mut own: HashMap<u32, Vec<ClientNumber>> = HashMap::new();
    let mut full = 0;
    for client in (1..1 << 24).map(ClientNumber) {
        let pair = BucketPair::new(seed().hash(&tuple(client)), BUCKETS);
        let [first, second] = pair.buckets();
        let clients = own.entry(first).or_default();
        if first != second || clients.len() > SLOTS {
            continue;
        }
        clients.push(client);
        full += usize::from(clients.len() == SLOTS + 1);
        if full == BUCKETS as usize {
            break;
        }
    }
    assert_eq!(full, BUCKETS as usize, "there are connections for each");
    let mut buckets = Vec::new();
    for clients in own.into_values() {
        let [old, new, residents @ ..] = &clients[..] else {
            panic!("{} connections", clients.len());
        };
        for &resident in residents {
            let (table, tuple) = (arena.kernel().table(), tuple(resident));
            let stored = table.insert(table.hash(&tuple), &tuple, &assured(), Instant::default());
            stored.expect("there is room");
        }
        buckets.push(Bucket {
            old: *old,
            new: *new,
        });
    }
    buckets
}

/// A tuple that has the hash of a client's connection, whatever the direction.
fn tuple(client: ClientNumber) -> Tuple {
    let [client_end, server_end] = client.ends();
    Tuple::new(
        Address::from_v4(server_end.0),
        Address::from_v4(client_end.0),
        client_end.1,
        server_end.1,
        6,
        Flags::OUT,
    )
}

/// A connection that nobody may evict.
fn assured() -> Entry {
    Entry {
        progress: Progress {
            lifetime: u32::MAX,
            entry_flags: EntryFlags(
                EntryFlags::TCP.0 | EntryFlags::REPLIED.0 | EntryFlags::SEEN_NON_SYN.0,
            ),
            ..Progress::default()
        },
        ..Entry::default()
    }
}

/// How often the table refused somebody, and evicted.
fn counted(arena: &Arena) -> [u64; 2] {
    let count = |statistics: &[Statistic]| {
        let counts = statistics
            .iter()
            .map(|&statistic| arena.statistic(statistic));
        counts.sum()
    };
    [
        count(&[Statistic::Refused, Statistic::Contended]),
        count(&[Statistic::EvictedClosed, Statistic::EvictedUnassured]),
    ]
}

fn batch(arena: &mut Arena, seen: &Seen, buckets: &[Bucket], pace: &mut Pace, report: &mut Report) {
    let Seen { old, view, .. } = seen;
    let hook = |packet: &Packet| view.hook(packet.from);
    arena.next_time();
    for bucket in buckets {
        for packet in old.before {
            arena.show(hook(packet), &packet.frame(bucket.old), 1);
        }
    }
    arena.later();
    let frames = |packet: Packet, client: fn(&Bucket) -> ClientNumber| -> Vec<Frame> {
        let clients = buckets.iter().map(client);
        clients.map(|client| packet.frame(client)).collect()
    };
    let news = frames(NEW, |bucket| bucket.new);
    let updates = frames(old.packet, |bucket| bucket.old);
    let before = counted(arena);
    let newcomer = |pair: usize| arena.show(hook(&NEW), &news[pair], 1);
    let update = |pair: usize| arena.show(hook(&old.packet), &updates[pair], 1);
    let sides: [Side<'_>; 2] = [&newcomer, &update];
    let raced = race(arena.processors, buckets.len(), *pace, sides);
    report.overlap.add(raced.overlap);
    pace.shift(raced.later);

    let after = counted(arena);
    let [refused, evicted] = [0, 1].map(|of| after[of] - before[of]);
    let (mut must_be_refused, mut must_be_evicted, mut either) = (0, 0, 0);
    let mut outcomes = arena.outcomes();
    let mut take = |client| outcomes.remove(&client).unwrap_or_default();
    for bucket in buckets {
        let (old_is, new_is) = (take(bucket.old), take(bucket.new));
        match (&old_is[..], &new_is[..]) {
            ([_], []) if old_is == seen.kept => {
                report.fine("old one kept, newcomer refused");
                must_be_refused += 1;
            }
            ([_], []) if old_is == seen.begun_anew => {
                report.fine("old one evicted, and its packet evicted the newcomer");
                must_be_evicted += 2;
            }
            ([], [_]) if new_is == seen.newcomer => {
                must_be_evicted += 1;
                if old.is_assured {
                    report.fine("old one evicted, and its packet refused");
                    must_be_refused += 1;
                } else {
                    report.fine("old one evicted, with or without its packet");
                    either += 1;
                }
            }
            ([], []) => report.lost("neither is there".to_owned()),
            ([_], []) => {
                let how = difference(&old_is, &seen.kept);
                report.lost(format!("old one has {how} ({view:?})"));
            }
            ([], [_]) => {
                let how = difference(&new_is, &seen.newcomer);
                report.lost(format!("newcomer has {how} ({view:?})"));
            }
            _ => report.lost("both are there".to_owned()),
        }
    }
    let residents = outcomes.len();
    let wanted = BUCKETS as usize * (SLOTS - 1);
    report.lost_many("residents", wanted.abs_diff(residents));
    // Where a pair was lost these need not be as many.
    if !report.has_lost() {
        let too_few = must_be_refused - (refused as i64).min(must_be_refused);
        let how = "an assured connection was evicted, or a refusal was not counted";
        report.lost_many(how, too_few as usize);
        let too_many = (refused as i64 - must_be_refused - either).max(0);
        report.lost_many("refused for nothing", too_many as usize);
        let evictions = (evicted as i64).abs_diff(must_be_evicted);
        report.lost_many("evictions miscounted", evictions as usize);
    }
    remove(arena, buckets);
}

/// Removes what is not a resident.
fn remove(arena: &Arena, buckets: &[Bucket]) {
    let clients: Vec<ClientNumber> = buckets.iter().flat_map(|b| [b.old, b.new]).collect();
    let table = arena.kernel().table();
    for client in clients {
        let tuple = tuple(client);
        for flags in [Flags::OUT, Flags::IN] {
            for tuple in [tuple, tuple.swapped()].map(|tuple| tuple.with_flags(flags)) {
                if let Some(handle) = table.find(table.hash(&tuple), &tuple) {
                    table.remove(&handle, arena.now());
                }
            }
        }
    }
}
