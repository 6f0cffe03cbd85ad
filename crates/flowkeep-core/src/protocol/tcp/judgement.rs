//! What is said of a packet.

/// What a packet is to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Verdict {
    /// Of the originator, and the other side has not been seen yet.
    New,
    /// Of the originator.
    Established,
    /// Of the other side.
    Reply,
    /// Of no connection, whatever its tuple says.
    Invalid,
}

/// Why a packet is invalid, or what was odd about one that passes: one counter each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Reason {
    /// Nothing was odd.
    None,
    /// A set of flags that can't be.
    Flags,
    /// Begins beyond the edge of what was allowed, by more than a window.
    SeqFar,
    /// Begins beyond the edge of what was allowed, by less than a window.
    SeqOver,
    /// Older than a window.
    SeqOld,
    /// Acknowledges what was never sent.
    AckUnseen,
    /// An acknowledgement too old to mean anything.
    AckOld,
    /// A SYN on a live connection, or a packet of the connection that it would begin.
    SynLive,
    /// A SYN-ACK that answers no SYN.
    SynAckStray,
    /// A RST below what has been acknowledged.
    RstBelow,
    /// A RST in the window, but not with the next number.
    RstInexact,
    /// A RST that does not acknowledge the SYN that it would refuse.
    RstBadAck,
    /// A FIN in the window that does not continue what its side has sent.
    FinInexact,
    /// A FIN before the connection is open.
    FinSynSent,
    /// An ACK of the originator before any answer.
    AckSynSent,
    /// A FIN or RST of no connection.
    NoEntry,
    /// In mid-stream, and nothing is picked up.
    MidStream,
}

impl Reason {
    /// Every reason but [`Self::None`].
    pub const ALL: [Self; 16] = [
        Self::Flags,
        Self::SeqFar,
        Self::SeqOver,
        Self::SeqOld,
        Self::AckUnseen,
        Self::AckOld,
        Self::SynLive,
        Self::SynAckStray,
        Self::RstBelow,
        Self::RstInexact,
        Self::RstBadAck,
        Self::FinInexact,
        Self::FinSynSent,
        Self::AckSynSent,
        Self::NoEntry,
        Self::MidStream,
    ];

    /// The name of its counter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Flags => "flags",
            Self::SeqFar => "seq_far",
            Self::SeqOver => "seq_over",
            Self::SeqOld => "seq_old",
            Self::AckUnseen => "ack_unseen",
            Self::AckOld => "ack_old",
            Self::SynLive => "syn_live",
            Self::SynAckStray => "synack_stray",
            Self::RstBelow => "rst_below",
            Self::RstInexact => "rst_inexact",
            Self::RstBadAck => "rst_bad_ack",
            Self::FinInexact => "fin_inexact",
            Self::FinSynSent => "fin_syn_sent",
            Self::AckSynSent => "ack_syn_sent",
            Self::NoEntry => "no_entry",
            Self::MidStream => "mid_stream",
        }
    }

    /// A sentence about a packet of this kind.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::None => "It fits.",
            Self::Flags => "No segment may have this set of flags.",
            Self::SeqFar => "It begins beyond what the receiver allowed, by more than a window.",
            Self::SeqOver => "It begins beyond what the receiver allowed, by less than a window.",
            Self::SeqOld => "It is older than a window.",
            Self::AckUnseen => "It acknowledges what was never sent.",
            Self::AckOld => "Its acknowledgement is too old.",
            Self::SynLive => "It belongs to a new connection on the ports of a live one.",
            Self::SynAckStray => "It is a SYN-ACK that answers no SYN.",
            Self::RstBelow => "It is a RST below what its receiver has acknowledged.",
            Self::RstInexact => "It is a RST that does not have exactly the next number.",
            Self::RstBadAck => "It is a RST that does not acknowledge the SYN.",
            Self::FinInexact => "It is a FIN that does not continue what its sender has sent.",
            Self::FinSynSent => "It is a FIN before the connection is open.",
            Self::AckSynSent => "It is an ACK before the SYN is answered.",
            Self::NoEntry => "It ends a connection that is not there.",
            Self::MidStream => "It is not the first packet of a connection.",
        }
    }
}

/// Which lifetime a packet leaves the entry with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Timeout {
    /// It expires when it would have.
    Unchanged,
    /// The state's own, from now on.
    Own,
    /// The state's own from now on, but at most that of unacknowledged data.
    AtMost,
    /// Half of the state's own from now on: only one direction is seen.
    Half,
    /// Shortened to that of unacknowledged data, if it is longer.
    Doubtful,
}

/// What becomes of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fate {
    /// Nothing of the connection changes; at most its lifetime does.
    Keep,
    /// Words and state may have changed: each is to be exchanged for what was read.
    Update,
    /// The words have another meaning now: the record has to be claimed while they are written.
    Rewrite,
    /// A new connection begins in place of a closed one; the packet's sender is its originator.
    Begin,
    /// It goes: its SYN was refused.
    Remove,
}

/// The judgement of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Judgement {
    /// What the packet is.
    pub verdict: Verdict,
    /// What was odd about it.
    pub reason: Reason,
    /// Which lifetime the entry has now.
    pub timeout: Timeout,
    /// What becomes of the entry.
    pub fate: Fate,
}

impl Judgement {
    /// It belongs to no connection and changes none.
    #[must_use]
    pub(super) const fn invalid(reason: Reason) -> Self {
        Self {
            verdict: Verdict::Invalid,
            reason,
            timeout: Timeout::Unchanged,
            fate: Fate::Keep,
        }
    }
}
