//! What packets, answers and settings consist of.

use std::fmt;

use super::restart::Candidate;
use super::side::after;

/// One end of the flow. Either may be the originator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Client,
    Server,
}

impl Host {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// A TCP header and the length of what follows it.
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) from: Host,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    pub(crate) ack_flag: bool,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) len: u32,
    pub(crate) win: u16,
    pub(crate) wscale: Option<u8>,
    /// Right edges of the SACK blocks.
    pub(crate) sack: [Option<u32>; 4],
    /// It did not come by the way that its sender's packets come by (another interface).
    pub(crate) astray: bool,
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ", self.from)?;
        let flags = [
            (self.syn, 'S'),
            (self.fin, 'F'),
            (self.rst, 'R'),
            (self.ack_flag, 'A'),
            (self.astray, '!'),
        ];
        for (_, letter) in flags.into_iter().filter(|(set, _)| *set) {
            write!(f, "{letter}")?;
        }
        let end = self.end();
        write!(f, " {}..{end} ack {} win {}", self.seq, self.ack, self.win)?;
        if let Some(scale) = self.wscale {
            write!(f, " scale {scale}")?;
        }
        for edge in self.sack.into_iter().flatten() {
            write!(f, " sack {edge}")?;
        }
        Ok(())
    }
}

impl Segment {
    /// The number after its last: SYN and FIN count one (RFC 9293, 3.4).
    pub(crate) fn end(&self) -> u32 {
        self.seq
            .wrapping_add(self.len)
            .wrapping_add(u32::from(self.syn))
            .wrapping_add(u32::from(self.fin))
    }

    /// The highest right edge of its SACK blocks, if one is above the acknowledgement.
    pub(crate) fn highest_sack(&self) -> Option<u32> {
        let mut highest = None;
        for edge in self.sack.into_iter().flatten() {
            if after(edge, highest.unwrap_or(self.ack)) {
                highest = Some(edge);
            }
        }
        highest
    }

    /// The window scale that a SYN offers; more than 14 means 14 (RFC 7323, 2.3).
    pub(crate) fn offered_scale(&self) -> Option<u8> {
        self.wscale.map(|scale| scale.min(14))
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        match (self.syn, self.fin, self.rst, self.ack_flag) {
            (true, false, false, false) => Some(Kind::Syn),
            (true, false, false, true) => Some(Kind::SynAck),
            (true, true, false, true) => Some(Kind::SynFinAck),
            (false, false, true, _) => Some(Kind::Rst),
            (false, _, false, true) => Some(Kind::Ack),
            _ => None,
        }
    }
}

/// The legal sets of flags; PSH, URG, ECE, CWR and AE are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Syn,
    SynAck,
    /// Legal only where fast open is answered and closed at once.
    SynFinAck,
    Rst,
    /// With or without FIN.
    Ack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    SynSent,
    SynSent2,
    SynRecv,
    Established,
    FinWait,
    HalfClosed,
    LastAck,
    TimeWait,
    Closed,
}

impl State {
    pub(crate) const fn name(self) -> &'static str {
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    New,
    Established,
    Reply,
    Invalid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Flags,
    SeqFar,
    SeqOver,
    SeqOld,
    AckUnseen,
    AckOld,
    SynLive,
    SynAckStray,
    RstBelow,
    RstInexact,
    RstBadAck,
    FinInexact,
    FinSynSent,
    AckSynSent,
    NoEntry,
    MidStream,
}

impl Reason {
    pub(crate) const fn name(self) -> &'static str {
        match self {
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    pub(crate) reason: Option<Reason>,
}

/// What becomes of the lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    Unchanged,
    /// The state's own, set anew.
    Own,
    /// The same, but at most `Timeouts::at_most`.
    AtMost,
    /// Shortened to `Timeouts::at_most` if it is longer.
    Doubtful,
}

/// What a packet did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) invalid: bool,
    pub(crate) reason: Option<Reason>,
    pub(crate) lifetime: Lifetime,
    pub(crate) remove: bool,
}

impl Step {
    pub(crate) const fn fits(lifetime: Lifetime) -> Self {
        Self {
            invalid: false,
            reason: None,
            lifetime,
            remove: false,
        }
    }

    /// It passes as part of the connection and changes nothing.
    pub(crate) const fn passes(reason: Option<Reason>) -> Self {
        Self {
            invalid: false,
            reason,
            lifetime: Lifetime::Unchanged,
            remove: false,
        }
    }

    pub(crate) const fn invalid(reason: Reason) -> Self {
        Self {
            invalid: true,
            reason: Some(reason),
            lifetime: Lifetime::Unchanged,
            remove: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Strict,
    Liberal,
    OneWay,
}

/// Seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) syn_sent: u64,
    pub(crate) syn_recv: u64,
    pub(crate) established: u64,
    pub(crate) fin_wait: u64,
    pub(crate) half_closed: u64,
    pub(crate) last_ack: u64,
    pub(crate) time_wait: u64,
    pub(crate) closed: u64,
    pub(crate) at_most: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    /// Whether connections are picked up in mid-stream.
    pub(crate) loose: bool,
    /// Whether a SYN-ACK picks a connection up, with its receiver as originator.
    pub(crate) syn_ack_picks_up: bool,
    pub(crate) timeouts: Timeouts,
}

/// A SYN that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syn {
    /// The number after it and its data.
    pub(crate) end: u32,
    pub(crate) len: u32,
    pub(crate) scale: Option<u8>,
}

impl Syn {
    pub(crate) fn of(segment: &Segment) -> Self {
        Self {
            end: segment.end(),
            // More than an IPv4 packet carries does not come with one.
            len: segment.len.min(u32::from(u16::MAX)),
            scale: segment.offered_scale(),
        }
    }

    /// Whether `ack` acknowledges it: anything from the SYN to the end of its data.
    pub(crate) fn acknowledged_by(&self, ack: u32) -> bool {
        self.end.wrapping_sub(ack) <= self.len
    }
}

/// What could not be judged at once. The last such packet only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    Nothing,
    /// `of` has sent up to `to`, beyond all bounds, where a mode lets that pass. Whether that is
    /// its own or a forgery is known once the other side acknowledges just that.
    Far {
        of: Host,
        /// The number after the last; a FIN counts.
        to: u32,
        /// It ends in a FIN.
        fin: bool,
    },
    /// A SYN of the originator inside a live connection.
    Restart(Candidate),
}
