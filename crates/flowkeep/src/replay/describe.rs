//! From entries to connections as people know them.

use std::net::SocketAddr;

use flowkeep_core::entry::{Counters, EntryFlags};
use flowkeep_core::packet::{protocol, tcp};
use flowkeep_core::settings::Settings;
use flowkeep_core::tuple::{Flags, Tuple};

use super::ended::Ended;
use crate::connection::{Connection, IcmpError, State, Timestamp, Traffic};

/// Nanoseconds of a second, the ticks of a replay's table.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// An entry counts time since its creation in so many ticks, three days; then to the second.
const LAST_SEEN_LIMIT: u64 = (1 << 48) - 1;

/// Describes a connection as it is at the second `now`.
pub(crate) fn describe(
    ended: &Ended,
    settings: &Settings,
    now: u32,
    icmp_errors: Vec<IcmpError>,
) -> Connection {
    let tuple = &ended.tuple;
    let (originator, responder) = ends(tuple);
    let (sent, received, originator_flags, responder_flags) = if tuple.flags().contains(Flags::IN) {
        (ended.rx, ended.tx, ended.rx_flags, ended.tx_flags)
    } else {
        (ended.tx, ended.rx, ended.tx_flags, ended.rx_flags)
    };
    let mut connection = Connection {
        protocol: tuple.protocol(),
        originator,
        responder,
        state: State::Unanswered,
        expired: ended.is_expired(now),
        originator_flags,
        responder_flags,
        sent: traffic(sent),
        received: traffic(received),
        start: Timestamp(ended.created),
        end: Timestamp(end(ended, settings)),
        icmp_errors,
    };
    connection.state = state(&connection, ended.entry_flags);
    connection
}

/// Originator and responder of the connection that is stored under a tuple.
pub(crate) fn ends(tuple: &Tuple) -> (SocketAddr, SocketAddr) {
    let family = tuple.family();
    // The tuple is the originator's packets' reversed, and ports stand crossed in a tuple.
    (
        SocketAddr::new(tuple.destination().to_ip(family), tuple.source_port()),
        SocketAddr::new(tuple.source().to_ip(family), tuple.destination_port()),
    )
}

const fn traffic(counters: Counters) -> Traffic {
    Traffic {
        packets: counters.packets,
        bytes: counters.bytes,
    }
}

/// Time of the last packet.
fn end(ended: &Ended, settings: &Settings) -> u64 {
    if ended.last_seen - ended.created < LAST_SEEN_LIMIT {
        return ended.last_seen;
    }
    let timeout = if ended.entry_flags.contains(EntryFlags::CLOSED) {
        settings.close
    } else if ended.tuple.protocol() != protocol::TCP {
        settings.non_tcp
    } else if ended.entry_flags.contains(EntryFlags::SEEN_NON_SYN) {
        settings.tcp
    } else {
        settings.syn
    };
    u64::from(ended.lifetime.saturating_sub(timeout)) * SECOND
}

/// How far a connection has come, by what both sides have sent.
fn state(connection: &Connection, entry_flags: EntryFlags) -> State {
    // Packets are not counted where accounting is off.
    let answered = connection.received.packets != 0 || entry_flags.contains(EntryFlags::REPLIED);
    if connection.protocol != protocol::TCP {
        return match (answered, connection.icmp_errors.is_empty()) {
            (true, _) => State::Answered,
            (false, true) => State::Unanswered,
            (false, false) => State::Refused,
        };
    }
    let (ours, theirs) = (connection.originator_flags, connection.responder_flags);
    let handshake = theirs & tcp::SYN != 0;
    let data_only = ours & tcp::SYN == 0;
    if theirs & tcp::RST != 0 && !handshake && !data_only && connection.received.packets <= 1 {
        return State::Refused;
    }
    if !answered {
        return if connection.icmp_errors.is_empty() {
            State::Unanswered
        } else {
            State::Refused
        };
    }
    if (ours | theirs) & tcp::RST != 0 {
        State::Reset
    } else if ours & theirs & tcp::FIN != 0 {
        State::Closed
    } else if (ours | theirs) & tcp::FIN != 0 || entry_flags.intersects(EntryFlags::CLOSED) {
        State::Closing
    } else {
        State::Answered
    }
}
