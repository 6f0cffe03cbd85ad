//! What can be set.

use super::{State, Timeout};

/// How strictly numbers are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Mode {
    /// What does not fit is invalid.
    #[default]
    Strict,
    /// What does not fit the windows passes, but nothing inexact ends or shortens anything.
    Liberal,
    /// Only one direction may be seen: a connection is established by a second packet and closed
    /// by a FIN or RST of that direction.
    OneWay,
}

/// The rules that a packet is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How strictly.
    pub mode: Mode,
    /// Whether connections are picked up in mid-stream.
    pub loose: bool,
    /// Whether a SYN-ACK picks up a connection, with its receiver as the originator.
    pub syn_ack_picks_up: bool,
    /// Whether the packet came by a path that its sender's packets do not come by: for a reply,
    /// the originator's interface. Such a packet may belong to the connection, but is no evidence
    /// that the other side exists.
    pub astray: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::Strict,
            loose: true,
            syn_ack_picks_up: false,
            astray: false,
        }
    }
}

/// Timeouts of the states, in the caller's unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A SYN waits for its answer.
    pub syn_sent: u32,
    /// A SYN-ACK waits for its answer.
    pub syn_recv: u32,
    /// Open.
    pub established: u32,
    /// A FIN waits for its acknowledgement.
    pub fin_wait: u32,
    /// One side has closed, and the other may go on.
    pub half_closed: u32,
    /// Both sides have closed, and not both have had that acknowledged. A retransmission may
    /// wait for two minutes (RFC 6298, 2.5).
    pub last_ack: u32,
    /// Both have.
    pub time_wait: u32,
    /// Reset.
    pub closed: u32,
    /// At most, with data unacknowledged, three equal packets, a closed window, or a pick-up
    /// unanswered.
    pub unanswered: u32,
}

impl Timeouts {
    /// The defaults, in seconds.
    pub const SECONDS: Self = Self {
        syn_sent: 60,
        syn_recv: 60,
        established: 21_600,
        fin_wait: 120,
        half_closed: 900,
        last_ack: 120,
        time_wait: 120,
        closed: 10,
        unanswered: 300,
    };

    /// A state's own.
    #[must_use]
    pub const fn of(&self, state: State) -> u32 {
        match state {
            State::SynSent | State::SynSent2 => self.syn_sent,
            State::SynRecv => self.syn_recv,
            State::Established => self.established,
            State::FinWait => self.fin_wait,
            State::HalfClosed => self.half_closed,
            State::LastAck => self.last_ack,
            State::TimeWait => self.time_wait,
            State::Closed => self.closed,
        }
    }

    /// When an entry expires that expired at `before` until a packet came `now`, and is in `state`
    /// since. Times do not wrap here.
    #[must_use]
    pub fn expires(&self, state: State, timeout: Timeout, before: u32, now: u32) -> u32 {
        let own = self.of(state);
        let left = match timeout {
            Timeout::Unchanged => return before,
            Timeout::Doubtful => return before.min(now.saturating_add(self.unanswered)),
            Timeout::Own => own,
            Timeout::AtMost => own.min(self.unanswered),
            Timeout::Half => own / 2,
        };
        now.saturating_add(left)
    }
}

#[cfg(test)]
mod tests {
    use super::{State, Timeout, Timeouts};

    #[test]
    fn what_is_doubtful_is_never_lengthened() {
        let timeouts = Timeouts::SECONDS;
        let doubtful =
            |before| timeouts.expires(State::Established, Timeout::Doubtful, before, 1000);
        assert_eq!(doubtful(20_000), 1300);
        assert_eq!(doubtful(1100), 1100);
    }

    #[test]
    fn at_most_lengthens_no_state_either() {
        let timeouts = Timeouts::SECONDS;
        let at_most = |state| timeouts.expires(state, Timeout::AtMost, 0, 1000) - 1000;
        assert_eq!(at_most(State::Established), 300);
        assert_eq!(at_most(State::FinWait), 120);
        assert_eq!(
            timeouts.expires(State::Closed, Timeout::Half, 0, 1000),
            1005
        );
        assert_eq!(
            timeouts.expires(State::Closed, Timeout::Unchanged, 7, 1000),
            7
        );
    }
}
