//! What could not be judged at once: the last such packet only.

use super::{Scale, Seq};

/// A remembered packet, in the bits of a word that are its own: see [`Words`](super::Words).
///
/// | kind | bits |
/// | --- | --- |
/// | nothing | (what [`Words`](super::Words) has room for then) |
/// | far | 12 to 43 the number after the last, 44 of the responder, 45 a FIN |
/// | restart | 12 to 34 the originator's next number, 35 to 57 the responder's, 58 answered, 59 to 62 progress |
/// | latest SYN | 12 to 43 the number after the last, 44 to 59 bytes of data, 60 to 63 scale |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Memory(pub(super) u64);

/// A side has sent beyond all bounds, where a mode lets that pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Far {
    /// The number after the last; a FIN counts.
    pub(super) to: Seq,
    /// It ends in a FIN.
    pub(super) fin: bool,
}

/// A SYN inside a live connection, and what came of it. Its numbers are modulo 2^23: no evidence
/// hangs on them, since whoever forges the SYN knows them anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The next number of the originator, and of the responder once `answered`.
    pub(super) next: [u32; 2],
    /// A SYN-ACK has answered it.
    pub(super) answered: bool,
    /// Bits 0 and 1: originator and responder have sent data since. Bits 2 and 3: and all of it
    /// has been acknowledged.
    pub(super) progress: u8,
}

/// A SYN of the originator that is not its highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Syn {
    /// The number after it and its data.
    pub(super) end: Seq,
    /// Bytes of data.
    pub(super) data: u32,
    /// The window scale that it offers.
    pub(super) scale: Scale,
}

impl Syn {
    /// Whether `ack` acknowledges it: anything from the SYN to the end of what came with it
    /// (RFC 7413, 4.2).
    #[inline]
    pub(super) const fn acknowledged_by(&self, ack: Seq) -> bool {
        self.end.since(ack) <= self.data
    }
}

pub(super) const KIND_SHIFT: u32 = 8;
const KIND: u64 = 3 << KIND_SHIFT;
const FAR: u64 = 1 << KIND_SHIFT;
const RESTART: u64 = 2 << KIND_SHIFT;
const LATEST_SYN: u64 = 3 << KIND_SHIFT;
const PAYLOAD: u32 = 12;
const RESPONDER: u64 = 1 << 44;
const FIN: u64 = 1 << 45;
const ANSWERED: u64 = 1 << 58;
const PROGRESS: u32 = 59;
const CANDIDATE_BITS: u32 = 23;
/// The bits of a candidate's number.
pub(super) const CANDIDATE: u32 = (1 << CANDIDATE_BITS) - 1;

impl Memory {
    /// Nothing is remembered.
    pub const NOTHING: Self = Self(0);

    /// Whether nothing is.
    #[must_use]
    #[inline]
    pub const fn is_nothing(self) -> bool {
        self.0 & KIND == 0
    }

    #[inline]
    pub(super) const fn is_far(self) -> bool {
        self.0 & KIND == FAR
    }

    /// Whether both are of a kind.
    #[inline]
    pub(super) const fn is_like(self, other: Self) -> bool {
        (self.0 ^ other.0) & KIND == 0
    }

    #[inline]
    pub(super) const fn far(of_originator: bool, to: Seq, fin: bool) -> Self {
        let mut bits = FAR | (to.0 as u64) << PAYLOAD;
        if !of_originator {
            bits |= RESPONDER;
        }
        if fin {
            bits |= FIN;
        }
        Self(bits)
    }

    /// What the originator, or the responder, has sent far ahead.
    #[inline]
    pub(super) const fn far_of(self, originator: bool) -> Option<Far> {
        if self.0 & KIND != FAR || (self.0 & RESPONDER == 0) != originator {
            return None;
        }
        Some(Far {
            to: Seq((self.0 >> PAYLOAD) as u32),
            fin: self.0 & FIN != 0,
        })
    }

    #[inline]
    pub(super) const fn restart(candidate: &Candidate) -> Self {
        let [originator, responder] = candidate.next;
        let mut bits = RESTART
            | ((originator & CANDIDATE) as u64) << PAYLOAD
            | ((responder & CANDIDATE) as u64) << (PAYLOAD + CANDIDATE_BITS)
            | ((candidate.progress & 15) as u64) << PROGRESS;
        if candidate.answered {
            bits |= ANSWERED;
        }
        Self(bits)
    }

    #[inline]
    pub(super) const fn candidate(self) -> Option<Candidate> {
        if self.0 & KIND != RESTART {
            return None;
        }
        Some(Candidate {
            next: [
                (self.0 >> PAYLOAD) as u32 & CANDIDATE,
                (self.0 >> (PAYLOAD + CANDIDATE_BITS)) as u32 & CANDIDATE,
            ],
            answered: self.0 & ANSWERED != 0,
            progress: (self.0 >> PROGRESS) as u8 & 15,
        })
    }

    #[inline]
    pub(super) const fn latest_syn(syn: &Syn) -> Self {
        Self(
            LATEST_SYN
                | (syn.end.0 as u64) << PAYLOAD
                | ((syn.data & 0xffff) as u64) << 44
                | (syn.scale.0 as u64) << 60,
        )
    }

    #[inline]
    pub(super) const fn syn(self) -> Option<Syn> {
        if self.0 & KIND != LATEST_SYN {
            return None;
        }
        Some(Syn {
            end: Seq((self.0 >> PAYLOAD) as u32),
            data: (self.0 >> 44) as u32 & 0xffff,
            scale: Scale((self.0 >> 60) as u8),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Candidate, Far, Memory, Scale, Seq, Syn};

    #[test]
    fn each_kind_comes_back_and_is_no_other() {
        let far = Memory::far(false, Seq(u32::MAX), true);
        let expected = Far {
            to: Seq(u32::MAX),
            fin: true,
        };
        assert_eq!(far.far_of(false), Some(expected));
        assert_eq!(far.far_of(true), None);

        let candidate = Candidate {
            next: [0x7f_ffff, 1],
            answered: true,
            progress: 0b1010,
        };
        let restart = Memory::restart(&candidate);
        assert_eq!(restart.candidate(), Some(candidate));

        let syn = Syn {
            end: Seq(7),
            data: 0xffff,
            scale: Scale::UNKNOWN,
        };
        let latest = Memory::latest_syn(&syn);
        assert_eq!(latest.syn(), Some(syn));

        for memory in [far, restart, latest] {
            assert!(!memory.is_nothing() && memory.0 & 0xff == 0);
        }
        assert!(far.candidate().is_none() && far.syn().is_none());
        assert!(restart.far_of(true).is_none() && restart.syn().is_none());
        assert!(latest.far_of(true).is_none() && latest.candidate().is_none());
    }
}
