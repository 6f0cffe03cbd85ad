//! A connection in four words and six bits of a record.
//!
//! | word | bits |
//! | --- | --- |
//! | `originator`, `responder` | 0 to 7 generation, 8 to 39 END as seen, 40 to 59 LIMIT of the *other* side, 60 and 61 acknowledgements counted, 62 astray, 63 credible |
//! | `windows` | 0 to 7 generation, 8 to 24 and 25 to 41 WIN, 42 to 45 and 46 to 49 SCALE, 50 to 61 the last packet folded, 62 and 63 how often it came again |
//! | `memory` | 0 to 7 generation, 8 and 9 kind, 10 and 11 ACKED is unknown, 12 to 63 by kind: see [`Memory`] |
//! | `memory` of kind "nothing" | 12 to 35 and 36 to 59 marks, 60 and 61 gaps, 62 and 63 a FIN ahead |
//! | state bits | 0 to 3 state, 4 the first FIN was the originator's, 5 assured |
//!
//! Of each pair the originator's comes first. A side's mark is its ACKED; where END as seen has a
//! gap before it, END as proven.
//!
//! A side's word holds what that side's packets change, so that packets of one direction, which
//! one processor mostly handles, write one word, and a packet that changes nothing writes none.
//! `windows` changes when a window grows or packets repeat, `memory` when an acknowledgement
//! advances or something odd comes.
//!
//! # How they are written
//!
//! Every word names its owner by eight bits of the record's generation, so that a word that is
//! exchanged for what was read can't hit the next owner. Words that did not change are not
//! written. The others are exchanged in the order `memory`, the sender's word, the other side's,
//! `windows`, and at last the state word, which has the state bits and the lifetime. When an
//! exchange fails, all is read anew and the packet judged again: what was written already does not
//! stand in its way (see [`Connection::judge`]). Where that would not be enough the fate is
//! [`Fate::Rewrite`](super::Fate::Rewrite): the record is claimed as for a new owner, the words
//! are stored, and it is published under its old generation.
//!
//! # What is rounded, and why that is safe
//!
//! - LIMIT is a multiple of the window's unit (2^SCALE), rounded up: less than a unit is let
//!   through too much, once, since rounding up again changes nothing. Of it 20 bits are kept; the
//!   rest follows from END, which is within 2^18 units.
//! - WIN is in units, rounded up, and ends at 2^17 - 1 of them, twice the largest that there is.
//! - Marks are kept modulo 2^24. What jumps further ahead is not remembered: it passes, and
//!   proves nothing until the other side acknowledges it with an exact number. With more in
//!   flight than that, ACKED is wrong by a multiple of it, and a RST that has just that number is
//!   not taken for exact; an attacker gains nothing, since for each END one number is exact.
//! - Behind a gap, and while `memory` holds something else, ACKED is known only if it is END. In
//!   the latter case what lies beyond a gap is forgotten.
//! - While the connection opens, LIMIT's bits hold how much data the SYN carried, and `memory`
//!   the originator's latest SYN if that is not the highest. Who has not sent a SYN has, in END,
//!   what a stray ACK of it acknowledged, and one acknowledgement counted.

use super::memory::KIND_SHIFT;
use super::{Connection, Memory, Numbers, Scale, Seq, State};

/// What a record keeps of a connection beside the state bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Changed by packets of the originator.
    pub originator: u64,
    /// Changed by packets of the responder.
    pub responder: u64,
    /// Windows and repetitions.
    pub windows: u64,
    /// What could not be judged at once, or what is acknowledged.
    pub memory: u64,
}

const GENERATION: u64 = 0xff;
const END: u32 = 8;
const EDGE: u32 = 40;
const EDGE_BITS: u32 = 20;
const EDGE_MASK: u32 = (1 << EDGE_BITS) - 1;
/// LIMIT is kept within 2 to this many units of END, half of what can be told apart.
const REACH: u32 = EDGE_BITS - 2;
/// Bits of [`Numbers::syn_data`], which takes the place of an edge.
const SYN_DATA: u32 = 0xffff;
const ACKS: u32 = 60;
const ASTRAY: u32 = 62;
const CREDIBLE: u32 = 63;

const UNITS: [u32; 2] = [8, 25];
const UNITS_MASK: u64 = super::connection::MAX_UNITS as u64;
const SCALE: [u32; 2] = [42, 46];
const LAST: u32 = 50;
const REPEATS: u32 = 62;

const KIND: u64 = 3 << KIND_SHIFT;
const UNKNOWN: [u32; 2] = [10, 11];
const MARK: [u32; 2] = [12, 36];
const MARK_MASK: u32 = Numbers::AHEAD - 1;
const GAP: [u32; 2] = [60, 61];
const FIN_AHEAD: [u32; 2] = [62, 63];

const FIRST_FIN: u8 = 1 << 4;
const ASSURED: u8 = 1 << 5;

impl Words {
    /// The connection, seen from the sender of a packet. `None` if a word is not of
    /// `generation`: then the record has another owner.
    #[must_use]
    #[inline]
    pub const fn unpack(
        &self,
        state_bits: u8,
        generation: u8,
        by_originator: bool,
    ) -> Option<Connection> {
        let differs = (self.originator ^ generation as u64)
            | (self.responder ^ generation as u64)
            | (self.windows ^ generation as u64)
            | (self.memory ^ generation as u64);
        if differs & GENERATION != 0 {
            return None;
        }
        let state = State::from_bits(state_bits & 15);
        let nothing = self.memory & KIND == 0;
        let marked = nothing && !state.opening();
        let originator = self.numbers(0, self.originator, marked);
        let responder = self.numbers(1, self.responder, marked);
        let (mut own, mut other, own_edge, other_edge) = if by_originator {
            let edges = (edge(self.originator), edge(self.responder));
            (originator, responder, edges.0, edges.1)
        } else {
            let edges = (edge(self.responder), edge(self.originator));
            (responder, originator, edges.0, edges.1)
        };
        if state.opening() {
            own.syn_data = own_edge & SYN_DATA;
            other.syn_data = other_edge & SYN_DATA;
        } else {
            own.limit = limit(other_edge, other.scale, own.sent);
            other.limit = limit(own_edge, own.scale, other.sent);
        }
        Some(Connection {
            own,
            other,
            memory: if nothing {
                Memory::NOTHING
            } else {
                Memory(self.memory & !(GENERATION | 1 << UNKNOWN[0] | 1 << UNKNOWN[1]))
            },
            last: (self.windows >> LAST) as u16 & 0xfff,
            repeats: (self.windows >> REPEATS) as u8,
            state,
            by_originator,
            first_fin_by_originator: state_bits & FIRST_FIN != 0,
            assured: state_bits & ASSURED != 0,
            reserved: 0,
        })
    }

    /// What the words tell of a side apart from the other.
    #[inline]
    const fn numbers(&self, side: usize, word: u64, marked: bool) -> Numbers {
        let sent = Seq((word >> END) as u32);
        let mark = if marked {
            let low = (self.memory >> MARK[side]) as u32;
            sent.minus(sent.0.wrapping_sub(low) & MARK_MASK)
        } else {
            sent
        };
        let gap = marked && self.memory >> GAP[side] & 1 != 0 && mark.0 != sent.0;
        Numbers {
            end: if gap { mark } else { sent },
            sent,
            limit: Seq(0),
            acked: mark,
            units: (self.windows >> UNITS[side] & UNITS_MASK) as u32,
            syn_data: 0,
            scale: Scale((self.windows >> SCALE[side]) as u8 & 15),
            acks: (word >> ACKS) as u8 & 3,
            acked_known: self.memory >> UNKNOWN[side] & 1 == 0,
            astray: word >> ASTRAY & 1 != 0,
            fin_ahead: gap && self.memory >> FIN_AHEAD[side] & 1 != 0,
            credible: word >> CREDIBLE & 1 != 0,
            reserved: [0; 2],
        }
    }
}

#[inline]
const fn edge(word: u64) -> u32 {
    (word >> EDGE) as u32 & EDGE_MASK
}

/// The number next to `end` whose units end in `edge`.
#[inline]
const fn limit(edge: u32, by: Scale, end: Seq) -> Seq {
    let distance = Seq(edge << by.shift()).since(end);
    // The bits above those that the edge tells.
    let unknown = 32_u32.saturating_sub(EDGE_BITS + by.shift());
    end.plus(((distance << unknown) as i32 >> unknown) as u32)
}

impl Connection {
    /// The words and state bits of a record of `generation`.
    #[must_use]
    #[inline]
    pub fn pack(&self, generation: u8) -> (Words, u8) {
        let (originator, responder) = if self.by_originator {
            (&self.own, &self.other)
        } else {
            (&self.other, &self.own)
        };
        let generation = u64::from(generation);
        let windows = generation
            | u64::from(originator.units) << UNITS[0]
            | u64::from(responder.units) << UNITS[1]
            | u64::from(originator.scale.0) << SCALE[0]
            | u64::from(responder.scale.0) << SCALE[1]
            | u64::from(self.last) << LAST
            | u64::from(self.repeats) << REPEATS;
        let words = Words {
            originator: generation | self.side(originator, responder),
            responder: generation | self.side(responder, originator),
            windows,
            memory: generation
                | self.memory.0
                | self.marks(0, originator)
                | self.marks(1, responder),
        };
        let mut bits = self.state as u8;
        if self.first_fin_by_originator {
            bits |= FIRST_FIN;
        }
        if self.assured {
            bits |= ASSURED;
        }
        (words, bits)
    }

    /// What lies beyond a gap is kept where nothing else is remembered.
    #[inline]
    const fn seen(&self, side: &Numbers) -> Seq {
        if self.memory.is_nothing() {
            side.sent
        } else {
            side.end
        }
    }

    #[inline]
    fn side(&self, side: &Numbers, other: &Numbers) -> u64 {
        let shift = side.scale.shift();
        let edge = if self.state.opening() {
            side.syn_data
        } else {
            nearest(other.limit, self.seen(other), shift).0 >> shift
        };
        u64::from(self.seen(side).0) << END
            | u64::from(edge & EDGE_MASK) << EDGE
            | u64::from(side.acks) << ACKS
            | u64::from(side.astray) << ASTRAY
            | u64::from(side.credible) << CREDIBLE
    }

    #[inline]
    fn marks(&self, index: usize, side: &Numbers) -> u64 {
        if self.state.opening() {
            return 0;
        }
        if !self.memory.is_nothing() {
            return u64::from(!side.all_acked()) << UNKNOWN[index];
        }
        let gap = side.has_gap();
        let (mark, known) = if gap {
            (side.end, side.all_acked())
        } else {
            (side.acked, side.acked_known)
        };
        u64::from(!known) << UNKNOWN[index]
            | u64::from(mark.0 & MARK_MASK) << MARK[index]
            | u64::from(gap) << GAP[index]
            | u64::from(gap && side.fin_ahead) << FIN_AHEAD[index]
    }
}

/// LIMIT, as far from END as it can be told by it. Further is only what a gap lies before that
/// is forgotten.
#[inline]
const fn nearest(limit: Seq, end: Seq, shift: u32) -> Seq {
    // With a unit of 2^12 or more nothing is left out.
    if REACH + shift < 30 {
        let reach = 1 << (REACH + shift);
        let lowest = end.minus(reach).round_up(shift);
        let highest = end.plus(reach).round_up(shift);
        if limit.after(highest) {
            highest
        } else {
            limit.latest(lowest)
        }
    } else {
        limit
    }
}
