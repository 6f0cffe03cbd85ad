//! What is known of one side's numbers, and how precisely.

use super::{Connection, Host, Memory};

/// `a > b` modulo 2^32 (RFC 9293, 3.4).
pub(crate) fn after(a: u32, b: u32) -> bool {
    (b.wrapping_sub(a) as i32) < 0
}

pub(crate) fn before(a: u32, b: u32) -> bool {
    after(b, a)
}

/// How far an acknowledgement may be off whatever the window: netfilter's number.
pub(crate) const ALLOWANCE: u32 = 66_000;
/// The shift of a window whose scale is unknown: the highest that RFC 7323 allows.
const UNKNOWN_SHIFT: u8 = 14;
/// A jump ahead is remembered if it is shorter than this.
pub(crate) const AHEAD: u32 = 1 << 24;
/// A window is remembered up to this many of its units.
const MAX_UNITS: u32 = (1 << 17) - 1;
/// The limit is remembered if it lies within this many units of what was sent.
const LIMIT_REACH: u32 = 1 << 18;

/// One side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Side {
    /// END as far as it is proven: the number after the last that it has sent in sequence, or
    /// that the other side has acknowledged.
    pub(crate) end: Option<u32>,
    /// END as it was seen. Where it is beyond `end`, a part was lost or is still to come, or this
    /// is a forgery.
    pub(crate) sent: Option<u32>,
    /// The last number before `sent` is a FIN, not proven.
    pub(crate) fin_ahead: bool,
    /// What lies beyond `end` goes on from a packet that acknowledged only what was proven.
    pub(crate) credible: bool,
    /// LIMIT: the right edge that the other side has allowed it.
    pub(crate) limit: Option<u32>,
    /// WIN: the largest window that it has offered, in units of its scale.
    pub(crate) units: Option<u32>,
    /// SCALE. Of a SYN that waits for its answer: what it offers. Later `None` is "unknown".
    pub(crate) scale: Option<u8>,
    /// What the other side has acknowledged of it, while that is remembered.
    pub(crate) acked: Option<u32>,
    /// How often it has acknowledged the other side, up to 2.
    pub(crate) acks: u8,
    /// So far it has been seen on the other side's path only.
    pub(crate) astray: bool,
    /// Length of what its SYN carried, until that is answered.
    pub(crate) syn_len: u32,
}

impl Side {
    pub(crate) const UNSEEN: Self = Self {
        end: None,
        sent: None,
        fin_ahead: false,
        credible: false,
        limit: None,
        units: None,
        scale: None,
        acked: None,
        acks: 0,
        astray: false,
        syn_len: 0,
    };

    pub(crate) fn shift(&self) -> u8 {
        self.scale.unwrap_or(UNKNOWN_SHIFT)
    }

    /// All up to `end` is proven, and acknowledged.
    pub(crate) fn prove(&mut self, end: u32) {
        self.end = Some(end);
        self.sent = Some(end);
        self.acked = Some(end);
        self.fin_ahead = false;
    }

    pub(crate) fn has_gap(&self) -> bool {
        self.sent != self.end
    }

    /// WIN in bytes.
    pub(crate) fn window(&self) -> Option<u32> {
        self.units.map(|units| units << self.shift())
    }

    /// How far beyond what it has seen it may acknowledge: a guessed scale does not count.
    pub(crate) fn ahead_allowance(&self) -> u32 {
        match self.scale {
            Some(_) => self.window().unwrap_or(0).max(ALLOWANCE),
            None => ALLOWANCE,
        }
    }

    /// How far behind it may acknowledge.
    pub(crate) fn behind_allowance(&self) -> u32 {
        self.window().unwrap_or(0).max(ALLOWANCE)
    }

    /// It offers a window of `bytes`. None is 0: a keep-alive probe has to fit.
    pub(crate) fn offer_units(&mut self, units: u32) {
        let units = units.clamp(1, MAX_UNITS);
        self.units = Some(self.units.unwrap_or(0).max(units));
    }

    /// A segment stuck out of its window: so much was in flight, and counts as its window.
    pub(crate) fn exceed(&mut self, bytes: u32) {
        if self.units.is_some() {
            self.offer_units(bytes.div_ceil(1 << self.shift()));
        }
    }
}

/// `number`, rounded up to a multiple of the unit of the window that it is an edge of.
pub(crate) fn round_up(number: u32, shift: u8) -> u32 {
    let unit = 1_u32 << shift;
    number.wrapping_add(unit - 1) & !(unit - 1)
}

impl Connection {
    /// `by` allows the other side to send up to `edge`.
    pub(crate) fn allow(&mut self, by: Host, edge: u32) {
        let edge = round_up(edge, self.side(by).shift());
        let side = self.side_mut(by.other());
        side.limit = Some(match side.limit {
            Some(limit) if !after(edge, limit) => limit,
            _ => edge,
        });
    }

    /// Rounds what is remembered to what a record has room for.
    pub(crate) fn forget(&mut self) {
        for host in [Host::Client, Host::Server] {
            let granted = self.side(host.other()).shift();
            let nothing = self.memory == Memory::Nothing;
            let side = self.side_mut(host);
            let (Some(end), Some(limit)) = (side.end, side.limit) else {
                continue;
            };
            // Beside something remembered, there is room for nothing that lies ahead.
            if !nothing {
                side.sent = side.end;
                side.fin_ahead = false;
            }
            // And there as beside something that lies ahead, only for "all is acknowledged".
            let sent = side.sent.unwrap_or(end);
            side.acked = side
                .acked
                .filter(|&acked| nothing && sent == end || acked == end);
            // Modulo 2^24.
            side.acked = side
                .acked
                .map(|acked| end.wrapping_sub(end.wrapping_sub(acked) & 0xff_ffff));
            // A unit of 2^12 or more leaves nothing out.
            let reach = LIMIT_REACH << granted.min(12);
            let lowest = round_up(sent.wrapping_sub(reach), granted);
            let highest = round_up(sent.wrapping_add(reach), granted);
            if granted < 12 && before(limit, lowest) {
                side.limit = Some(lowest);
            } else if granted < 12 && after(limit, highest) {
                side.limit = Some(highest);
            }
        }
    }
}
