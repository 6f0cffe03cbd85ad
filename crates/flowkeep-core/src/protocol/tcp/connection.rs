//! What is remembered of a connection, seen from the sender of the packet at hand.

use super::{Memory, Seq};

/// How far a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum State {
    /// The originator has sent a SYN.
    #[default]
    SynSent,
    /// Both sides have (simultaneous open).
    SynSent2,
    /// One SYN has been acknowledged.
    SynRecv,
    /// Open.
    Established,
    /// One side has sent a FIN.
    FinWait,
    /// And that is acknowledged.
    HalfClosed,
    /// Both sides have sent a FIN.
    LastAck,
    /// And both are acknowledged.
    TimeWait,
    /// Reset.
    Closed,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::SynSent,
        Self::SynSent2,
        Self::SynRecv,
        Self::Established,
        Self::FinWait,
        Self::HalfClosed,
        Self::LastAck,
        Self::TimeWait,
        Self::Closed,
    ];

    /// Its name, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SynSent => "syn_sent",
            Self::SynSent2 => "syn_sent2",
            Self::SynRecv => "syn_recv",
            Self::Established => "established",
            Self::FinWait => "fin_wait",
            Self::HalfClosed => "half_closed",
            Self::LastAck => "last_ack",
            Self::TimeWait => "time_wait",
            Self::Closed => "closed",
        }
    }

    /// Before the numbers of both sides are known.
    #[must_use]
    #[inline]
    pub const fn opening(self) -> bool {
        matches!(self, Self::SynSent | Self::SynSent2)
    }

    /// The state of the number `bits`; what is no number of a state is closed.
    #[inline]
    pub(super) const fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::SynSent,
            1 => Self::SynSent2,
            2 => Self::SynRecv,
            3 => Self::Established,
            4 => Self::FinWait,
            5 => Self::HalfClosed,
            6 => Self::LastAck,
            7 => Self::TimeWait,
            _ => Self::Closed,
        }
    }
}

/// How far a side's windows are shifted (RFC 7323, 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Scale(pub(super) u8);

impl Scale {
    /// Not offered by a SYN, or never seen of a connection picked up in mid-stream.
    pub const UNKNOWN: Self = Self(15);
    /// What RFC 7323, 2.3 allows at most: the guess where it is unknown.
    const HIGHEST: u32 = 14;

    /// Whether it is known.
    #[must_use]
    #[inline]
    pub const fn known(self) -> bool {
        self.0 != Self::UNKNOWN.0
    }

    /// The shift, guessed if it is unknown.
    #[must_use]
    #[inline]
    pub const fn shift(self) -> u32 {
        if self.known() {
            self.0 as u32
        } else {
            Self::HIGHEST
        }
    }
}

/// Windows are remembered up to this many units, twice what one can be.
pub(super) const MAX_UNITS: u32 = (1 << 17) - 1;
/// How far an acknowledgement may be off whatever the window: netfilter's number.
pub(super) const ALLOWANCE: u32 = 66_000;
/// Acknowledgements that are counted.
pub(super) const ACKS: u8 = 2;

/// The numbers of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Numbers {
    /// END as far as it is proven: the number after the last that it has sent in sequence, or
    /// that the other side has acknowledged.
    pub end: Seq,
    /// END as it was seen. Where it is beyond `end`, by less than [`Numbers::AHEAD`], a part was
    /// lost or is still to come, or this is a forgery.
    pub sent: Seq,
    /// LIMIT: the right edge that the other side has allowed it, rounded up to a multiple of that
    /// window's unit. Means nothing while the connection opens.
    pub limit: Seq,
    /// ACKED: what the other side has acknowledged of it.
    pub acked: Seq,
    /// WIN: the largest window that it has offered, in units of its scale; 0 for unknown.
    pub units: u32,
    /// While the connection opens: how much data its SYN carried.
    pub syn_data: u32,
    /// SCALE; of a SYN that waits for its answer, what it offers.
    pub scale: Scale,
    /// How often it has acknowledged the other side, up to two times. While a SYN waits, of the
    /// side that has not sent one: whether `end` is what a stray ACK of it acknowledged.
    pub acks: u8,
    /// Whether `acked` is known.
    pub acked_known: bool,
    /// So far it has been seen only on the other side's path.
    pub astray: bool,
    /// The last number before `sent` is a FIN, which is not proven.
    pub fin_ahead: bool,
    /// What lies beyond `end` goes on from a packet that acknowledged only what was proven.
    pub credible: bool,
    /// Unused.
    pub reserved: [u8; 2],
}

impl Numbers {
    pub(super) const UNSEEN: Self = Self {
        end: Seq(0),
        sent: Seq(0),
        limit: Seq(0),
        acked: Seq(0),
        units: 0,
        syn_data: 0,
        scale: Scale::UNKNOWN,
        acks: 0,
        acked_known: false,
        astray: false,
        fin_ahead: false,
        credible: false,
        reserved: [0; 2],
    };

    /// What is seen this far beyond what is proven is not remembered.
    pub const AHEAD: u32 = 1 << 24;

    /// Begins with `end`.
    #[inline]
    pub(super) const fn begin(&mut self, end: Seq) {
        self.end = end;
        self.sent = end;
        self.fin_ahead = false;
    }

    /// Whether something was seen beyond what is proven.
    #[must_use]
    #[inline]
    pub fn has_gap(&self) -> bool {
        self.sent != self.end
    }

    /// WIN in bytes; 0 for unknown.
    #[must_use]
    #[inline]
    pub const fn window(&self) -> u32 {
        self.units << self.scale.shift()
    }

    /// All that it has sent in sequence is acknowledged.
    #[must_use]
    #[inline]
    pub fn all_acked(&self) -> bool {
        self.acked_known && self.acked == self.end
    }

    /// It offers a window. A closed one counts as one unit, so that a keep-alive probe of the
    /// other side is not older than a window.
    #[inline]
    pub(super) const fn offer(&mut self, units: u32) {
        let units = if units > MAX_UNITS { MAX_UNITS } else { units };
        if units > self.units {
            self.units = units;
        }
        if self.units == 0 {
            self.units = 1;
        }
    }

    /// It may send up to `edge`, by a window of the other side of scale `by`.
    #[inline]
    pub(super) const fn allow(&mut self, edge: Seq, by: Scale) {
        self.limit = self.limit.latest(edge.round_up(by.shift()));
    }

    /// How far it may acknowledge beyond what the other side was seen to send. A guessed window
    /// does not count.
    #[inline]
    pub(super) const fn ahead_allowance(&self) -> u32 {
        if self.scale.known() {
            self.behind_allowance()
        } else {
            ALLOWANCE
        }
    }

    /// How far behind it may acknowledge.
    #[inline]
    pub(super) const fn behind_allowance(&self) -> u32 {
        let window = self.window();
        if window > ALLOWANCE {
            window
        } else {
            ALLOWANCE
        }
    }

    /// It is acknowledged up to there.
    #[inline]
    pub(super) const fn set_acked(&mut self, acked: Seq) {
        self.acked = acked;
        self.acked_known = true;
    }

    #[inline]
    pub(super) const fn count_ack(&mut self) {
        if self.acks < ACKS {
            self.acks += 1;
        }
    }
}

/// A connection, seen from the sender of the packet at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Connection {
    /// The packet's sender.
    pub own: Numbers,
    /// Its receiver.
    pub other: Numbers,
    /// What could not be judged at once.
    pub memory: Memory,
    /// The last packet that moved no number, folded to 12 bits; 0 for none.
    pub last: u16,
    /// How often it came again, up to three times.
    pub repeats: u8,
    /// How far it is.
    pub state: State,
    /// Whether the packet's sender is the originator.
    pub by_originator: bool,
    /// Once a FIN was seen: whether the first one was the originator's.
    pub first_fin_by_originator: bool,
    /// It has been open, with evidence, and is not to be evicted.
    pub assured: bool,
    /// Unused.
    pub reserved: u8,
}

impl Connection {
    /// Of no packet.
    pub const EMPTY: Self = Self {
        own: Numbers::UNSEEN,
        other: Numbers::UNSEEN,
        memory: Memory::NOTHING,
        last: 0,
        repeats: 0,
        state: State::SynSent,
        by_originator: true,
        first_fin_by_originator: false,
        assured: false,
        reserved: 0,
    };

    /// Whether the responder has been seen.
    #[must_use]
    pub const fn answered(&self) -> bool {
        let responder = if self.by_originator {
            &self.other
        } else {
            &self.own
        };
        match self.state {
            State::SynSent => responder.acks > 0,
            State::SynSent2 => true,
            _ => responder.scale.known() || responder.acks > 0,
        }
    }

    /// Whether a side's numbers were taken from the middle of a stream.
    #[must_use]
    #[inline]
    pub const fn picked_up(&self) -> bool {
        !(self.own.scale.known() && self.other.scale.known())
    }

    /// Closed before it was open: no number is known.
    #[inline]
    pub(super) const fn never_open(&self) -> bool {
        matches!(self.state, State::Closed) && self.own.acks == 0 && self.other.acks == 0
    }

    /// Whether something was seen of either side beyond what is proven.
    #[inline]
    pub(super) fn has_gap(&self) -> bool {
        self.own.has_gap() || self.other.has_gap()
    }

    /// Whether the packet's sender has sent a FIN.
    #[inline]
    pub(super) const fn own_fin(&self) -> bool {
        self.fin_of(self.by_originator)
    }

    /// Whether the packet's receiver has.
    #[inline]
    pub(super) const fn other_fin(&self) -> bool {
        self.fin_of(!self.by_originator)
    }

    const fn fin_of(&self, originator: bool) -> bool {
        match self.state {
            State::FinWait | State::HalfClosed => self.first_fin_by_originator == originator,
            State::LastAck | State::TimeWait => true,
            _ => false,
        }
    }

    /// What the receiver has acknowledged of the packet's sender, its SYN at least.
    #[inline]
    pub(super) fn is_own_acked(&self, number: Seq) -> bool {
        self.other.acks > 0 && self.own.acked_known && self.own.acked == number
    }

    /// The edge that a packet of its sender may begin at: nothing comes behind a FIN.
    #[inline]
    pub(super) const fn own_limit(&self) -> Seq {
        if self.own_fin() {
            self.own.end
        } else {
            self.own.limit
        }
    }

    /// Whether `number` is older than a window, once that is known.
    #[inline]
    pub(super) const fn is_old(&self, number: Seq) -> bool {
        let oldest = self.own.end.minus(self.other.window()).minus(1);
        !number.after(oldest)
    }
}
