//! The update by most packets: their connection goes on as it is.

use core::hint::select_unpredictable;

use super::state_word::{ENTRY_FLAGS, LIFETIME};
use crate::entry::EntryFlags;

/// What a packet asks of a connection that goes on as it is: another lifetime, and a report if one
/// is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainUpdate {
    /// The second.
    pub now: u32,
    /// Seconds that the entry is to live from now on.
    pub timeout: u32,
    /// A report is due when more seconds than this have passed since the last one.
    pub report_interval: u32,
    /// The packet's TCP flags, under the report mask.
    pub tcp_flags: u8,
    /// The packet counts into rx; else into tx.
    pub ingress: bool,
    /// Flags that the entry has to have, or else it does not go on as it is.
    pub has: EntryFlags,
    /// Flags that the packet sets.
    pub sets: EntryFlags,
}

/// What came of a plain update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainUpdated {
    /// A report is due.
    pub due: bool,
    /// A flag of the entry is set that was not before.
    pub flagged: bool,
}

/// What a plain update makes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Updated {
    pub(super) state: u64,
    pub(super) reports: u64,
    /// TCP flags that were not seen before.
    pub(super) new_flags: u8,
    pub(super) outcome: PlainUpdated,
}

impl PlainUpdate {
    /// The words of a record as they are after the packet; `None` if there is more to do.
    ///
    /// Straight on words, and with a single branch: what depends on a record that is on its way
    /// from memory waits in the processor, and the less waits there, the further it gets ahead
    /// with the packets that follow.
    #[inline(always)]
    pub(super) fn of(
        &self,
        generation: u16,
        state: u64,
        seen: u8,
        reports: u64,
    ) -> Option<Updated> {
        const CLOSED: u64 = (EntryFlags::CLOSED.0 as u64) << ENTRY_FLAGS;
        let must = EntryFlags::LIVE.0 | self.has.0;
        let judged = u64::from(must | EntryFlags::BUSY.0) << ENTRY_FLAGS | 0xffff;
        let wanted = u64::from(must) << ENTRY_FLAGS | u64::from(generation);
        let stamp_at = if self.ingress { 32 } else { 0 };
        let new_flags = self.tcp_flags & !seen;
        let goes_on = (state & judged == wanted)
            & (state & CLOSED != CLOSED)
            & ((state >> LIFETIME) as u32 >= self.now);
        if !goes_on {
            return None;
        }
        let lifetime = u64::from(self.now.wrapping_add(self.timeout));
        // In 32 bits, as the specification has it.
        let overdue = ((reports >> stamp_at) as u32).wrapping_add(self.report_interval) < self.now;
        let due = overdue | (new_flags != 0);
        let stamped = reports & !(0xffff_ffff << stamp_at) | u64::from(self.now) << stamp_at;
        let sets = u64::from(self.sets.0) << ENTRY_FLAGS;
        let flagged = sets & !state != 0;
        Some(Updated {
            state: state & 0xffff_ffff | sets | lifetime << LIFETIME,
            reports: select_unpredictable(due, stamped, reports),
            new_flags,
            outcome: PlainUpdated { due, flagged },
        })
    }
}
