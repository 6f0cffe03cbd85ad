//! When packets in fragments begin and end, and which fragments are refused.

use super::packets::{ACK, SYN, fragments, tcp};
use super::{
    CLIENT, CLIENT_6, Frame, Options, SECOND, SERVER, SERVER_6, START, at, connections, replay,
    traffic,
};
use crate::connection::{Connection, Timestamp};

#[test]
fn a_connection_begins_with_its_earliest_fragment() {
    for (from, to) in [(CLIENT, SERVER), (CLIENT_6, SERVER_6)] {
        let pieces = fragments(from, to);
        for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [1, 2, 0]] {
            let frames: Vec<Frame> = (0..3)
                .map(|turn| at(turn as f64, pieces[order[turn]].clone()))
                .collect();
            let list = connections(&frames);
            let whole = at_seconds(&list[0]);
            assert_eq!((list.len(), whole), (1, (0, 2)), "{order:?}");
        }
    }
}

/// When it began and ended, in seconds after the start.
fn at_seconds(connection: &Connection) -> (u64, u64) {
    let after = |time: Timestamp| time.0 / SECOND - START as u64;
    (after(connection.start), after(connection.end))
}

#[test]
fn a_fragment_over_tcps_flags_is_refused_in_any_order() {
    // RFC 3128: the first one has an ACK, the second one a SYN for the same place.
    let cut = |flags, range: std::ops::Range<usize>, more: bool| {
        let packet = tcp(CLIENT, SERVER, flags, 4);
        let offset = (range.start - 20) as u8 / 8;
        let mut fragment = packet[..20].to_vec();
        fragment.extend(&packet[range]);
        let length = fragment.len() as u16;
        fragment[2..4].copy_from_slice(&length.to_be_bytes());
        fragment[6..8].copy_from_slice(&[u8::from(more) << 5, offset]);
        fragment
    };
    let (first, over) = (cut(ACK, 20..44, true), cut(SYN, 28..36, false));
    for order in [[&first, &over], [&over, &first]] {
        let frames = [at(0.0, order[0].clone()), at(1.0, order[1].clone())];
        let replayed = replay(Options::default(), &frames);
        assert_eq!(
            replayed.summary.errors,
            [("fragment that overlaps the first", 1)]
        );
        assert_eq!(replayed.connections.len(), 1);
        assert_eq!(replayed.connections[0].originator_flags, ACK);
        assert_eq!(replayed.connections[0].sent, traffic(1, 44));
    }
}
