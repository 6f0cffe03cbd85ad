//! Two packets at the same time, each through the tracker from look-up to creation: with the bounds
//! of the host, and on the way of the kernel's programs with their bounds.
//!
//! What is right is what the same packets leave one after the other, in one order or the other, in
//! a table of plain words. Only the times of reports may differ.

use Direction::{Egress, Forwarded, Ingress};
use flowkeep_core::entry::{Entry, EntryFlags};
use flowkeep_core::packet::tcp::{ACK, FIN, PSH, RST, SYN};
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{Bounds, HostBounds, KernelBounds, Table};
use flowkeep_core::tracker::{Direction, Request, Subject, Tracker};
use flowkeep_core::tuple::Tuple;
use flowkeep_core::{Error, rules};

use crate::common::at;
use crate::common::memory::plain_table;
use crate::small::{NOW, SEED, bounded_table, first_at_home, settled, tuples};
use crate::{join, model, spawn};

/// When the packets come: later than what was before.
const LATER: u32 = NOW + 7;

/// A packet of a TCP connection.
#[derive(Clone, Copy, Debug)]
struct Packet {
    /// As it stands in the packet.
    tuple: Tuple,
    direction: Direction,
    tcp_flags: u8,
    length: u64,
}

/// What becomes of a packet.
fn track<T: Table, B: Bounds>(table: &T, packet: &Packet, seconds: u32) -> Result<(), Error> {
    let settings = Settings::default();
    let tracker: Tracker<'_, rules::Default, T> = Tracker::new(&settings, table);
    let Packet {
        tuple,
        direction,
        tcp_flags,
        length,
    } = *packet;
    let request = Request::new(direction, length, at(seconds));
    let subject = Subject {
        tuple: &tuple,
        tcp_flags,
        request: &request,
    };
    let hash = table.hash(&tuple);
    let verdict = if B::BOUNDED_PROBE {
        // As the kernel's programs do: the fast path, then the steps.
        tracker.track_from(hash, tracker.track_at_home(&subject), &subject)
    } else {
        tracker.track_tuple(hash, &subject)
    };
    match verdict.reason {
        None => Ok(()),
        Some(reason) => Err(reason),
    }
}

/// What is in a table, without the times of reports.
type Contents = Vec<(Tuple, Entry)>;

fn without_reports(contents: impl IntoIterator<Item = (Tuple, Entry)>) -> Contents {
    let mut contents: Contents = contents.into_iter().collect();
    for (_, entry) in &mut contents {
        let progress = &mut entry.progress;
        (progress.last_tx_report, progress.last_rx_report) = (0, 0);
    }
    contents.sort_unstable_by_key(|(tuple, _)| *tuple);
    contents
}

/// Stores what is there before.
fn prepare(table: &impl Table, before: &Contents) {
    for (tuple, entry) in before {
        let stored = table.insert(table.hash(tuple), tuple, entry, at(NOW));
        assert!(stored.is_ok(), "there is room");
    }
}

/// What packets leave one after the other, after what was before.
fn one_after_the_other(before: &Contents, packets: &[Packet], seconds: u32) -> Contents {
    let table = plain_table::<HostBounds>(1, SEED);
    prepare(&table, before);
    for packet in packets {
        track::<_, HostBounds>(&table, packet, seconds).expect("there is room");
    }
    without_reports(table.iter().map(|(_, tuple, entry)| (tuple, entry)))
}

/// Two packets at once, after what was before. `right` makes sure that either order leaves what it
/// should.
fn at_once<B: Bounds>(before: Contents, pair: [Packet; 2], right: impl Fn(&Entry)) {
    let [here, there] = pair;
    let orders =
        [[here, there], [there, here]].map(|order| one_after_the_other(&before, &order, LATER));
    for contents in &orders {
        let [(_, entry)] = contents[..] else {
            panic!("one after the other they leave {contents:?}");
        };
        right(&entry);
    }
    model(move || {
        let table = bounded_table::<B>(1, 2);
        prepare(&*table, &before);
        let other = spawn(&table, move |table| track::<_, B>(table, &there, LATER));
        let results = [track::<_, B>(&*table, &here, LATER), join(other)];
        let contents = without_reports(settled(&table));
        assert!(
            orders.contains(&contents),
            "{results:?} and {contents:#?}, which is not one of {orders:#?}"
        );
    });
}

/// One packet of each side, as a host and as a gateway sees them.
fn of_both_sides([here, there]: [u8; 2]) -> [[Packet; 2]; 2] {
    let tuple = first_at_home();
    [[Egress, Ingress], [Forwarded; 2]].map(|[one, other]| {
        [
            packet(tuple, one, here, 100),
            packet(tuple.swapped(), other, there, 1000),
        ]
    })
}

/// Two packets of one side.
fn of_one_side([here, there]: [u8; 2]) -> [[Packet; 2]; 2] {
    let tuple = first_at_home();
    [Egress, Forwarded].map(|direction| {
        [
            packet(tuple, direction, here, 100),
            packet(tuple, direction, there, 1000),
        ]
    })
}

fn packet(tuple: Tuple, direction: Direction, tcp_flags: u8, length: u64) -> Packet {
    Packet {
        tuple,
        direction,
        tcp_flags,
        length,
    }
}

/// The connection of a pair of packets, established by its first sender; or half-closed by it.
fn established(pair: &[Packet; 2], is_half_closed: bool) -> Contents {
    let [client, other] = *pair;
    let server = Packet {
        tuple: client.tuple.swapped(),
        direction: if client.direction == Egress {
            Ingress
        } else {
            other.direction
        },
        ..client
    };
    let with = |packet, tcp_flags| Packet {
        tcp_flags,
        ..packet
    };
    let mut packets = vec![
        with(client, SYN),
        with(server, SYN | ACK),
        with(client, ACK),
    ];
    if is_half_closed {
        packets.push(with(client, FIN | ACK));
    }
    one_after_the_other(&Contents::new(), &packets, NOW)
}

/// In the kernel only the first pair of flags: a SYN does not take the fast path, and every word that
/// both paths read of an entry that is being written doubles the number of runs.
fn first<B: Bounds>(flags: &[[u8; 2]]) -> impl Iterator<Item = [u8; 2]> {
    let most = if B::BOUNDED_PROBE { 1 } else { flags.len() };
    flags.iter().copied().take(most)
}

fn first_packets_of_one_side<B: Bounds>() {
    // A SYN that is sent again, and data in mid-stream.
    for flags in first::<B>(&[[SYN, SYN], [ACK, ACK | PSH]]) {
        for pair in of_one_side(flags) {
            at_once::<B>(Contents::new(), pair, |entry| {
                assert_eq!((entry.tx.packets, entry.tx.bytes), (2, 1100));
            });
        }
    }
}

#[test]
fn first_packets_of_one_side_are_of_one_entry() {
    first_packets_of_one_side::<HostBounds>();
}

#[test]
fn first_packets_of_one_side_are_of_one_entry_in_the_kernel() {
    first_packets_of_one_side::<KernelBounds>();
}

fn first_packets_of_both_sides<B: Bounds>() {
    // Simultaneous open, a SYN and the answer to it, and data in mid-stream.
    for flags in first::<B>(&[[SYN, SYN], [SYN, SYN | ACK], [ACK, ACK | PSH]]) {
        for pair in of_both_sides(flags) {
            at_once::<B>(Contents::new(), pair, |entry| {
                assert_eq!((entry.tx.packets, entry.rx.packets), (1, 1));
            });
        }
    }
}

#[test]
fn first_packets_of_both_sides_are_of_one_entry() {
    first_packets_of_both_sides::<HostBounds>();
}

#[test]
fn first_packets_of_both_sides_are_of_one_entry_in_the_kernel() {
    first_packets_of_both_sides::<KernelBounds>();
}

fn is_closed(entry: &Entry) {
    assert!(entry.progress.entry_flags.contains(EntryFlags::CLOSED));
    assert_eq!(entry.progress.lifetime, LATER + Settings::default().close);
}

fn closes<B: Bounds>() {
    for pair in of_both_sides([FIN | ACK, FIN | ACK]) {
        at_once::<B>(established(&pair, false), pair, |entry| {
            is_closed(entry);
            assert_eq!(entry.progress.tx_flags & FIN, FIN);
            assert_eq!(entry.progress.rx_flags & FIN, FIN);
        });
    }
    let resets = of_both_sides([FIN | ACK, RST]).into_iter();
    for pair in resets.chain(of_one_side([FIN | ACK, RST])) {
        at_once::<B>(established(&pair, false), pair, |entry| {
            is_closed(entry);
            assert_eq!(entry.progress.tx_flags & FIN, FIN);
            assert_eq!(
                (entry.progress.tx_flags | entry.progress.rx_flags) & RST,
                RST
            );
        });
    }
}

#[test]
fn no_close_is_lost() {
    closes::<HostBounds>();
}

#[test]
fn no_close_is_lost_in_the_kernel() {
    closes::<KernelBounds>();
}

fn data<B: Bounds>() {
    let pairs = of_both_sides([ACK | PSH, FIN | ACK]).into_iter();
    for pair in pairs.chain(of_one_side([ACK | PSH, FIN | ACK])) {
        at_once::<B>(established(&pair, false), pair, |entry| {
            assert_eq!(entry.progress.lifetime, LATER + Settings::default().tcp);
            assert_eq!(entry.progress.tx_flags & PSH, PSH);
        });
    }
    for pair in of_both_sides([ACK, FIN | ACK]) {
        at_once::<B>(established(&pair, true), pair, is_closed);
    }
}

#[test]
fn data_takes_no_close_away() {
    data::<HostBounds>();
}

#[test]
fn data_takes_no_close_away_in_the_kernel() {
    data::<KernelBounds>();
}

/// Packets of either side that go on: every one of them takes the short way.
fn goes_on<B: Bounds>() {
    let pairs = of_both_sides([ACK, ACK | PSH]).into_iter();
    for pair in pairs.chain(of_one_side([ACK, ACK | PSH])) {
        at_once::<B>(established(&pair, false), pair, |entry| {
            assert_eq!(entry.tx.packets + entry.rx.packets, 5);
        });
    }
}

#[test]
fn packets_of_a_connection_that_goes_on_are_all_noted() {
    goes_on::<HostBounds>();
}

#[test]
fn packets_of_a_connection_that_goes_on_are_all_noted_in_the_kernel() {
    goes_on::<KernelBounds>();
}

/// A connection has to make room while its packet comes: it is whole, or gone as a whole, and the
/// newcomer has nothing of it.
fn replacement<B: Bounds>() {
    let old = first_at_home();
    let new = tuples(1, 0, 0).find(|tuple| *tuple != old && tuple.family() == old.family());
    let new = new.expect("there is no end of them");
    let client = |flags, length| packet(old, Egress, flags, length);
    let server = |flags, length| packet(old.swapped(), Ingress, flags, length);
    // The packet ends the handshake, after which nobody may evict the connection; or the connection
    // is closed, and may go with it.
    let half_open = [client(SYN, 40), server(SYN | ACK, 40)];
    let closed = [client(SYN, 40), server(SYN | ACK, 40), server(RST, 40)];
    for (before, is_assured) in [(&half_open[..], true), (&closed[..], false)] {
        let before = one_after_the_other(&Contents::new(), before, NOW);
        let (update, newcomer) = (client(ACK | PSH, 300), packet(new, Egress, SYN, 9));
        let leaves = |before: &Contents, packet| one_after_the_other(before, &[packet], LATER);
        let kept = leaves(&before, update);
        let begun_anew = leaves(&Contents::new(), update);
        let new_alone = leaves(&Contents::new(), newcomer);
        model(move || {
            let table = bounded_table::<B>(1, 1);
            prepare(&*table, &before);
            let other = spawn(&table, move |table| {
                track::<_, B>(table, &newcomer, LATER).is_ok()
            });
            let updated = track::<_, B>(&*table, &update, LATER).is_ok();
            let stored = join(other);
            let contents = without_reports(settled(&table));
            let fits = if contents == kept {
                updated && !stored
            } else if contents == begun_anew {
                updated && stored
            } else {
                but_for_additions(&contents) == but_for_additions(&new_alone)
                    && stored
                    && !(updated && is_assured)
            };
            assert!(fits, "updated {updated}, stored {stored}: {contents:#?}");
        });
    }
}

/// Contents but for what packets add to, of which the model checker may show what an addition made
/// of the value before a store, which no machine does: the races in the kernel look at those.
fn but_for_additions(contents: &Contents) -> Contents {
    let mut contents = contents.clone();
    for (_, entry) in &mut contents {
        (entry.tx, entry.rx) = Default::default();
        (entry.progress.tx_flags, entry.progress.rx_flags) = (0, 0);
    }
    contents
}

#[test]
fn whoever_makes_room_is_whole_or_gone() {
    replacement::<HostBounds>();
}

#[test]
fn whoever_makes_room_is_whole_or_gone_in_the_kernel() {
    replacement::<KernelBounds>();
}

/// A connection is deleted while its packet comes: what is there then is the packet's own.
fn deletion<B: Bounds>() {
    for pair in of_both_sides([ACK | PSH, ACK]) {
        let [packet, _] = pair;
        let before = established(&pair, false);
        let begun_anew = one_after_the_other(&Contents::new(), &[packet], LATER);
        model(move || {
            let table = bounded_table::<B>(1, 2);
            prepare(&*table, &before);
            let other = spawn(&table, move |table| {
                let found = table.at(0).or_else(|| table.at(1));
                let (handle, _, _) = found.expect("only this thread removes it");
                table.remove(&handle, LATER)
            });
            track::<_, B>(&*table, &packet, LATER).expect("there is room");
            assert!(join(other), "what is deleted is gone");
            let contents = without_reports(settled(&table));
            assert!(
                contents.is_empty() || contents == begun_anew,
                "{contents:#?}"
            );
        });
    }
}

#[test]
fn a_deletion_leaves_nothing_of_a_connection() {
    deletion::<HostBounds>();
}

#[test]
fn a_deletion_leaves_nothing_of_a_connection_in_the_kernel() {
    deletion::<KernelBounds>();
}
