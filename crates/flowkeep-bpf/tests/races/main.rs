//! Two processors in the kernel against one table, at the same time.
//!
//! For each pair two threads, pinned to two processors, wait for each other and then do one thing
//! each: run one of the programs on a packet, or delete an entry through the mapped table. A pair
//! has a connection of its own; many are prepared at once, and the table is emptied in between.
//!
//! ```sh
//! cargo test --release -p flowkeep-bpf --test races -- --nocapture
//! FLOWKEEP_RACES=1000000 cargo test --release -p flowkeep-bpf --test races -- --nocapture
//! ```
//!
//! Each kind prints a line `WHAT: pairs N lost M`, and below it how many of the pairs were at work
//! at the same time and what was lost. A pair that does not end in one of these ways is lost:
//!
//! | what | how a pair may end |
//! | --- | --- |
//! | two packets of one connection (the first five kinds) | with the one entry that the same two packets leave one after the other, in one order or the other: key and direction, packets and bytes of each side, TCP flags of each side, every entry flag, lifetime, times. Only the times of reports may differ. What both orders leave is checked apart: see each test |
//! | replacement against update | see [`replacement`] |
//! | deletion against update | see [`deletion`] |
//!
//! Needs CAP_BPF, CAP_NET_ADMIN and two processors; without them each test says that it was
//! skipped.

mod arena;
mod deletion;
mod orders;
mod packets;
mod pair;
mod replacement;
mod report;

use flowkeep_core::entry::{Entry, EntryFlags};
use flowkeep_core::packet::tcp::{ACK, FIN, PSH, RST};
use flowkeep_core::settings::Settings;

use End::{Client, Server};
use arena::lives;
use orders::Scene;
use packets::{End, HANDSHAKE, SYN, SYN_ACK, View, tcp, udp};

/// Both packets are of the same side: one entry, of whose direction there is no doubt, with two
/// packets and both lengths.
#[test]
fn first_packets_of_one_direction() {
    let scenes = [
        [udp(Client, 11), udp(Client, 700)],
        // A SYN that is sent again.
        [SYN, tcp(Client, "S", [0, 0], 7)],
        // Two segments in mid-stream.
        [
            tcp(Client, "A", [1, 1], 100),
            tcp(Client, "PA", [101, 1], 50),
        ],
    ]
    .map(|pair| Scene { before: &[], pair });
    orders::run(
        "first packets of one direction",
        &scenes,
        |_, view, entry| {
            let counted = if view == View::Server {
                entry.rx
            } else {
                entry.tx
            };
            assert_eq!(counted.packets, 2);
        },
    );
}

/// One packet of each side: one entry, with one packet on each, whichever of the two is its
/// originator. A SYN-ACK never is.
#[test]
fn first_packets_of_opposite_directions() {
    let scenes = [
        [udp(Client, 11), udp(Server, 700)],
        // Simultaneous open (RFC 9293, 3.5).
        [SYN, tcp(Server, "S", [0, 0], 7)],
        [SYN, SYN_ACK],
        // In mid-stream.
        [tcp(Client, "A", [1, 1], 100), tcp(Server, "PA", [1, 1], 50)],
    ]
    .map(|pair| Scene { before: &[], pair });
    let what = "first packets of opposite directions";
    orders::run(what, &scenes, |scene, _, entry| {
        assert_eq!((entry.tx.packets, entry.rx.packets), (1, 1));
        // A SYN-ACK that comes first is no answer yet.
        if !scene.pair[1].has('S') || !scene.pair[1].has('A') {
            let replied = entry.progress.entry_flags.contains(EntryFlags::REPLIED);
            assert!(replied, "{scene:?}");
        }
    });
}

/// The TCP flags that each end has sent, first the client's.
fn sent(view: View, entry: &Entry) -> [u8; 2] {
    let (tx, rx) = (entry.progress.tx_flags, entry.progress.rx_flags);
    if view == View::Server {
        [rx, tx]
    } else {
        [tx, rx]
    }
}

fn is_closed(view: View, entry: &Entry, flags: [u8; 2]) {
    assert!(entry.progress.entry_flags.contains(EntryFlags::CLOSED));
    assert_eq!(entry.progress.lifetime, lives(Settings::default().close));
    for (sent, flags) in sent(view, entry).into_iter().zip(flags) {
        assert_eq!(sent & flags, flags);
    }
}

/// One of each side: closed, by both, with the lifetime of closed connections.
#[test]
fn fin_against_fin() {
    let fins = [tcp(Client, "FA", [1, 1], 0), tcp(Server, "FA", [1, 1], 40)];
    let scenes = [Scene {
        before: HANDSHAKE,
        pair: fins,
    }];
    orders::run("FIN against FIN", &scenes, |_, view, entry| {
        is_closed(view, entry, [FIN | ACK; 2]);
    });
}

/// Of different sides or of the same one: closed, whatever came first, and both were seen.
#[test]
fn fin_against_rst() {
    let fin = tcp(Client, "FA", [1, 1], 0);
    let scenes = [
        [fin, tcp(Server, "R", [1, 0], 40)],
        [fin, tcp(Client, "RA", [2, 1], 40)],
    ]
    .map(|pair| Scene {
        before: HANDSHAKE,
        pair,
    });
    orders::run("FIN against RST", &scenes, |scene, view, entry| {
        let [_, rst] = scene.pair;
        let flags = match rst.from {
            Client => [FIN | RST, 0],
            Server => [FIN, RST],
        };
        is_closed(view, entry, flags);
    });
}

/// Data of either side against a FIN that is the first, or against the one that closes the
/// connection: then its lifetime is that of closed connections, whatever came first.
#[test]
fn data_against_fin() {
    const HALF_CLOSED: &[packets::Packet] = &[
        HANDSHAKE[0],
        HANDSHAKE[1],
        HANDSHAKE[2],
        tcp(Client, "FA", [1, 1], 0),
    ];
    let first = tcp(Client, "FA", [101, 1], 0);
    let second = tcp(Server, "FA", [101, 2], 0);
    let open = |data| Scene {
        before: HANDSHAKE,
        pair: [data, first],
    };
    let half_closed = |data| Scene {
        before: HALF_CLOSED,
        pair: [data, second],
    };
    let scenes = [
        open(tcp(Client, "PA", [1, 1], 100)),
        open(tcp(Server, "PA", [1, 1], 100)),
        half_closed(tcp(Server, "PA", [1, 2], 100)),
        half_closed(tcp(Client, "A", [2, 1], 0)),
    ];
    orders::run("data against FIN", &scenes, |scene, view, entry| {
        let [data, fin] = scene.pair;
        if fin.from == Server {
            return is_closed(view, entry, [FIN, FIN]);
        }
        let flags = entry.progress.entry_flags;
        assert!(flags.intersects(EntryFlags::CLOSED) && !flags.contains(EntryFlags::CLOSED));
        assert_eq!(entry.progress.lifetime, lives(Settings::default().tcp));
        let [client, server] = sent(view, entry);
        assert_eq!(client & FIN, FIN);
        let pushed = if data.from == Client { client } else { server };
        assert_eq!(pushed & PSH, PSH);
    });
}

/// See [`replacement`].
#[test]
fn replacement_against_update() {
    replacement::run();
}

/// See [`deletion`].
#[test]
fn deletion_against_update() {
    deletion::run();
}
