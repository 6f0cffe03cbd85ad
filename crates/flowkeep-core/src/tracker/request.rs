//! What is asked about a packet: its direction, what it counts for, the time.

use super::{Direction, Instant};
use crate::cilium::{Kinds, Scope};
use crate::tuple::Tuple;

/// What is asked about a packet, beside what its bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The packet's direction.
    pub direction: Direction,
    /// Which directions to look up.
    pub scope: Scope,
    /// Which entries to accept.
    pub kinds: Kinds,
    /// The flags of the tuple are set anew, whatever the packet was (D10).
    pub forget_related: bool,
    /// What a packet adds to the counters, in bytes.
    pub length: u64,
    /// What it adds to the counters in packets: more than 1 if it is several that were merged.
    pub packets: u64,
    /// The time.
    pub now: Instant,
}

impl Request {
    /// What every rule set asks about one packet: both directions, or for a service the one.
    #[must_use]
    #[inline]
    pub const fn new(direction: Direction, length: u64, now: Instant) -> Self {
        let scope = if direction.is_service() {
            Scope::Reverse
        } else {
            Scope::Both
        };
        Self {
            direction,
            scope,
            kinds: Kinds::ANY,
            forget_related: false,
            length,
            packets: 1,
            now,
        }
    }

    /// The tuples that are looked up for a packet: that of the reverse direction, then its own.
    #[must_use]
    #[inline(always)]
    pub fn keys(&self, tuple: &Tuple) -> [Tuple; 2] {
        let (flags, reverse_flags) = (tuple.flags(), self.direction.reverse_flags());
        let reverse = tuple.with_flags(if self.forget_related {
            flags.replaced_by(reverse_flags)
        } else {
            flags.with_direction(reverse_flags)
        });
        let forward = match (self.direction, self.scope) {
            // Both directions of a forwarded connection are of the one entry that it has.
            (Direction::Forwarded, _) => reverse.swapped(),
            // No reverse look-up before it: direction flags as for the reverse of the reverse,
            // but a service's flag stays alone.
            (Direction::Service, Scope::Forward) => reverse.swapped(),
            _ => reverse.reversed(),
        };
        [reverse, forward]
    }

    /// As [`Self::keys`], for an ICMP error, which travels against the packet that it quotes.
    #[inline]
    pub(super) fn keys_of_quoted(&self, quote: &Tuple) -> [Tuple; 2] {
        let direction = match self.direction {
            Direction::Egress => Direction::Ingress,
            Direction::Ingress => Direction::Egress,
            direction => direction,
        };
        let flags = quote.flags().with_direction(direction.reverse_flags());
        let reverse = quote.with_flags(flags);
        let forward = match self.direction {
            Direction::Forwarded => reverse.swapped(),
            _ => reverse.reversed(),
        };
        [reverse, forward]
    }
}
