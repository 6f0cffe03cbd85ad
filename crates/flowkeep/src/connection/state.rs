//! How far a connection has come.

use core::fmt;

use flowkeep_core::entry::EntryFlags;
use flowkeep_core::packet::{protocol, tcp};

use super::FlowSummary;
use super::summary::Side;

/// How far a connection has come. Everything that shows, filters by or counts states uses these
/// words, and gets them from `ConnectionState::of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectionState {
    /// The responder has sent nothing.
    Unanswered,
    /// TCP: the responder has sent a SYN, and the originator has not acknowledged it.
    HalfOpen,
    /// Both sides have sent; for TCP the handshake is over.
    Answered,
    /// TCP: one side has sent a FIN.
    Closing,
    /// TCP: both sides have sent a FIN.
    Closed,
    /// TCP: a RST ended it after the responder had answered.
    Reset,
    /// TCP: the responder answered the SYN with a RST. Any protocol, in a capture: an ICMP error
    /// was the only answer. A live table does not remember ICMP errors: there, a connection that
    /// only an ICMP error answered is unanswered.
    Refused,
}

impl ConnectionState {
    /// Every state, in the order of a connection's life.
    pub const ALL: [Self; 7] = [
        Self::Unanswered,
        Self::HalfOpen,
        Self::Answered,
        Self::Closing,
        Self::Closed,
        Self::Reset,
        Self::Refused,
    ];

    /// The state's name in output and in filters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::HalfOpen => "half-open",
            Self::Answered => "answered",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Refused => "refused",
        }
    }

    /// The state of an entry's connection. `refused` says whether an ICMP error is known that
    /// turned the originator away.
    #[inline(always)]
    pub(crate) fn of(flow: &FlowSummary, refused: bool) -> Self {
        let [ours, theirs] = flow.sides();
        let is_tcp = flow.tuple.protocol() == protocol::TCP;
        // Packets are not counted where accounting is off. A connection that begins with its
        // responder's packet is not marked as replied to.
        let has_replied = flow.entry_flags.contains(EntryFlags::REPLIED)
            || is_tcp && theirs.tcp_flags != 0
            || theirs.counters.packets != 0;
        match (has_replied, is_tcp) {
            (false, _) if refused => Self::Refused,
            (false, _) => Self::Unanswered,
            (true, false) => Self::Answered,
            (true, true) => Self::of_answered_tcp(ours, theirs, flow.entry_flags),
        }
    }

    #[inline(always)]
    const fn of_answered_tcp(ours: Side, theirs: Side, entry_flags: EntryFlags) -> Self {
        let (ours, theirs) = (ours.tcp_flags, theirs.tcp_flags);
        // The originator acknowledges the responder's SYN, and before that only data that the
        // responder can't have sent.
        let handshake_is_open = ours & tcp::ACK == 0;
        if theirs & (tcp::SYN | tcp::RST) == tcp::RST && ours & tcp::SYN != 0 && handshake_is_open {
            Self::Refused
        } else if (ours | theirs) & tcp::RST != 0 {
            Self::Reset
        } else if ours & theirs & tcp::FIN != 0 {
            Self::Closed
        } else if (ours | theirs) & tcp::FIN != 0 || entry_flags.intersects(EntryFlags::CLOSED) {
            Self::Closing
        } else if theirs & tcp::SYN != 0 && handshake_is_open {
            Self::HalfOpen
        } else {
            Self::Answered
        }
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use flowkeep_core::entry::{Counters, Entry};
    use flowkeep_core::packet::tcp::{ACK, FIN, PSH, RST, SYN};
    use flowkeep_core::tuple::{Flags, Tuple};

    use super::ConnectionState::{Answered, Closed, Closing, HalfOpen, Refused, Reset, Unanswered};
    use super::*;

    /// A connection whose originator and responder have sent so many packets with these flags.
    fn flow(protocol: u8, incoming: bool, ours: (u64, u8), theirs: (u64, u8)) -> FlowSummary {
        let (tx, rx) = if incoming {
            (theirs, ours)
        } else {
            (ours, theirs)
        };
        let mut entry = Entry::default();
        let counters = |packets| Counters { packets, bytes: 0 };
        (entry.tx, entry.rx) = (counters(tx.0), counters(rx.0));
        (entry.progress.tx_flags, entry.progress.rx_flags) = (tx.1, rx.1);
        let direction = if incoming { Flags::IN } else { Flags::OUT };
        let any = Default::default();
        FlowSummary::new(&Tuple::new(any, any, 1, 2, protocol, direction), &entry)
    }

    fn each_way(
        protocol: u8,
        ours: (u64, u8),
        theirs: (u64, u8),
        refused: bool,
    ) -> ConnectionState {
        let [out, incoming] = [false, true]
            .map(|incoming| ConnectionState::of(&flow(protocol, incoming, ours, theirs), refused));
        assert_eq!(out, incoming, "whichever side is the host's");
        out
    }

    #[test]
    fn tcp_is_judged_by_the_flags_of_both_sides() {
        for (ours, theirs, expected) in [
            ((1, SYN), (0, 0), Unanswered),
            ((1, RST), (0, 0), Unanswered),
            ((3, SYN), (1, SYN | ACK), HalfOpen),
            // Simultaneous open, before and after the acknowledgement.
            ((1, SYN), (1, SYN), HalfOpen),
            ((2, SYN | ACK), (1, SYN), Answered),
            // The SYN was not captured.
            ((0, 0), (1, SYN | ACK), HalfOpen),
            ((1, ACK), (1, SYN | ACK), Answered),
            ((2, SYN | ACK), (1, SYN | ACK), Answered),
            // Neither SYN was captured.
            ((1, PSH | ACK), (1, ACK), Answered),
            ((3, SYN | ACK | FIN), (1, SYN | ACK), Closing),
            ((3, SYN | ACK | FIN), (2, SYN | ACK | FIN), Closed),
            ((0, 0), (3, SYN | ACK | FIN), Closing),
            ((1, SYN), (1, RST | ACK), Refused),
            // Asked again, and refused again.
            ((2, SYN), (2, RST | ACK), Refused),
            ((2, SYN | ACK), (2, SYN | ACK | RST), Reset),
            // A port scanner's way.
            ((2, SYN | RST), (1, SYN | ACK), Reset),
            // A challenge acknowledgement, and what follows it.
            ((2, SYN | RST), (1, ACK), Reset),
            // What was refused is not known without the SYN.
            ((1, ACK), (1, RST), Reset),
        ] {
            let found = each_way(protocol::TCP, ours, theirs, false);
            assert_eq!(found, expected, "{ours:x?} {theirs:x?}");
        }
    }

    #[test]
    fn others_are_judged_by_who_has_sent() {
        for protocol in [protocol::UDP, 1, 132] {
            assert_eq!(each_way(protocol, (1, 0), (0, 0), false), Unanswered);
            assert_eq!(each_way(protocol, (1, 0), (1, 0), false), Answered);
            assert_eq!(each_way(protocol, (0, 0), (1, 0), false), Answered);
        }
    }

    #[test]
    fn an_icmp_error_refuses_what_nothing_else_answered() {
        for protocol in [protocol::UDP, protocol::TCP] {
            assert_eq!(each_way(protocol, (1, SYN), (0, 0), true), Refused);
            assert_ne!(each_way(protocol, (1, SYN), (1, SYN | ACK), true), Refused);
        }
    }

    #[test]
    fn without_accounting_the_marks_tell() {
        let mut udp = flow(protocol::UDP, false, (0, 0), (0, 0));
        assert_eq!(ConnectionState::of(&udp, false), Unanswered);
        udp.entry_flags.insert(EntryFlags::REPLIED);
        assert_eq!(ConnectionState::of(&udp, false), Answered);
        let tcp = flow(protocol::TCP, false, (0, SYN), (0, SYN | ACK));
        assert_eq!(ConnectionState::of(&tcp, false), HalfOpen);
    }

    #[test]
    fn every_state_has_a_name_of_its_own() {
        let mut names = ConnectionState::ALL.map(ConnectionState::name);
        names.sort_unstable();
        assert!(names.is_sorted_by(|one, other| one < other));
        for (index, state) in ConnectionState::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, index);
        }
    }
}
