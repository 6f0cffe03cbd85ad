//! The short way of most packets: their connection goes on as it is.

use core::hint::select_unpredictable;

use crate::entry::EntryFlags;

/// What a packet asks of a connection that goes on as it is: another lifetime, and a report if one
/// is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The second.
    pub now: u32,
    /// Seconds that the entry is to live from now on.
    pub timeout: u32,
    /// A report is due when more seconds than this have passed since the last one.
    pub report_interval: u32,
    /// The packet's TCP flags, under the report mask.
    pub flags: u8,
    /// The packet counts into rx; else into tx.
    pub ingress: bool,
    /// EntryFlags that the entry has to have, or else it does not go on as it is.
    pub has: EntryFlags,
    /// EntryFlags that the packet sets.
    pub sets: EntryFlags,
}

/// The words of a record that a renewal changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Renewed {
    pub(super) state: u64,
    pub(super) seen: u64,
    pub(super) reports: u64,
    /// Whether a report is due.
    pub(super) due: bool,
}

impl Renewal {
    /// The words of a record as they are after the packet; `None` if there is more to do.
    ///
    /// Straight on words, and with a single branch: what depends on a record that is on its way
    /// from memory waits in the processor, and the less waits there, the further it gets ahead
    /// with the packets that follow.
    #[inline(always)]
    pub(super) fn of(&self, generation: u16, [state, seen, reports]: [u64; 3]) -> Option<Renewed> {
        const MARKS: u32 = 16;
        const LIFETIME: u32 = 32;
        const CLOSED: u64 = (EntryFlags::CLOSED.0 as u64) << MARKS;
        let must = EntryFlags::LIVE.0 | self.has.0;
        let judged = u64::from(must | EntryFlags::BUSY.0) << MARKS | 0xffff;
        let wanted = u64::from(must) << MARKS | u64::from(generation);
        let (flags_at, stamp_at) = if self.ingress { (8, 32) } else { (0, 0) };
        let seen_now = seen | u64::from(self.flags) << flags_at;
        let goes_on = (state & judged == wanted)
            & (state & CLOSED != CLOSED)
            & ((state >> LIFETIME) as u32 >= self.now);
        if !goes_on {
            return None;
        }
        let lifetime = u64::from(self.now.wrapping_add(self.timeout));
        // In 32 bits, as the specification has it.
        let overdue = ((reports >> stamp_at) as u32).wrapping_add(self.report_interval) < self.now;
        let due = overdue | (seen_now != seen);
        let stamped = reports & !(0xffff_ffff << stamp_at) | u64::from(self.now) << stamp_at;
        Some(Renewed {
            state: state & 0xffff_ffff | u64::from(self.sets.0) << MARKS | lifetime << LIFETIME,
            seen: seen_now,
            reports: select_unpredictable(due, stamped, reports),
            due,
        })
    }
}
