//! A creation that inserts more than one entry.
//!
//! An insertion on top of such a creation would take more stack than there is, and the verifier would
//! walk through each of them. So the creation stops where it asks for one; the insertion is made, in a
//! step of its own; and the creation begins again. This time it is told what came of that insertion,
//! and so on, until it asks for no more.

use flowkeep_core::entry::Entry;
use flowkeep_core::error::Refusal;
use flowkeep_core::rules;
use flowkeep_core::table::{
    BucketTable, EvictLimit, Existing, Found, Handle, Sighting, Stored, Table,
};
use flowkeep_core::tracker::Instant;
use flowkeep_core::tuple::Tuple;

use crate::memory::Maps;
use crate::outcome::{Outcome, step};
use crate::rules::Rules;
use crate::scratch::Scratch;
use crate::watch::Observer;
use crate::word::Word;

/// Most entries that a creation inserts: the connection's, its reply's where an endpoint reaches itself
/// through a service, and one for ICMP errors.
pub(crate) const MOST: usize = 3;

/// Whether creations insert more than one entry, or have to leave room on the stack.
pub(crate) const IS_NEEDED: bool = <Rules as rules::Rules>::RELATED_ENTRY || crate::IS_FOR_TESTS;

/// How far a creation has come.
#[repr(C)]
pub(crate) struct Plan {
    /// How many of its insertions are made.
    made: u32,
    /// How many it has asked for in this turn.
    asked: u32,
    /// What came of each: its sighting's bits, beside [`FOUND`] if it was there already, or a refusal
    /// as [`refusal`] has it.
    results: [u64; MOST],
    /// What is to be inserted next.
    key: Tuple,
    other: Tuple,
    entry: Entry,
    existing: u64,
}

impl Plan {
    /// This processor's. Whoever makes a creation asks for it anew after each step: the steps change
    /// it, of which a reference that is held meanwhile knows nothing.
    #[inline(always)]
    fn get() -> Option<&'static mut Self> {
        Scratch::get().map(|scratch| &mut scratch.plan)
    }

    #[inline(always)]
    const fn is_waiting(&self) -> bool {
        self.asked > self.made
    }
}

/// A creation begins.
#[inline(always)]
pub(crate) fn begin() {
    if let Some(plan) = Plan::get() {
        plan.made = 0;
    }
}

/// A turn of it begins.
#[inline(always)]
pub(crate) fn turn() {
    if let Some(plan) = Plan::get() {
        plan.asked = 0;
    }
}

/// Whether the turn has ended because an insertion has to be made.
#[inline(always)]
pub(crate) fn is_waiting() -> bool {
    Plan::get().is_some_and(|plan| plan.is_waiting())
}

/// Beside a sighting: the entry was there already. No sighting has this bit.
const FOUND: u64 = 1 << 62;

/// Notes what came of the insertion that it waits for.
#[inline(always)]
pub(crate) fn note(result: Result<Stored<Handle<'_, Word>>, Refusal>) {
    let Some(plan) = Plan::get() else {
        return;
    };
    let bits = match result {
        Ok(Stored::Inserted(handle)) => {
            let is_first = true;
            Sighting::of(&Found { handle, is_first }).bits()
        }
        Ok(Stored::Found(found)) => Sighting::of(&found).bits() | FOUND,
        Err(why) => refusal::bits(why),
    };
    if let Some(slot) = plan.results.get_mut(plan.made as usize) {
        *slot = bits;
    }
    plan.made += 1;
}

/// Refusals in a sighting's place: no sighting has bit 63.
mod refusal {
    use flowkeep_core::error::Refusal;
    use flowkeep_core::table::Sighting;

    const FULL: u64 = Sighting::NONE.bits();
    const CONTENDED: u64 = FULL | 1 << 32;
    /// Below it stands the table's own number.
    const OTHER: u64 = FULL | 2 << 32;

    #[inline(always)]
    pub(super) fn bits(why: Refusal) -> u64 {
        match why {
            Refusal::Full => FULL,
            Refusal::Contended => CONTENDED,
            Refusal::Other(number) => OTHER | u64::from(number.cast_unsigned()),
        }
    }

    #[inline(always)]
    pub(super) fn of(bits: u64) -> Refusal {
        match bits & !0xffff_ffff {
            CONTENDED => Refusal::Contended,
            OTHER => Refusal::Other((bits as u32).cast_signed()),
            _ => Refusal::Full,
        }
    }
}

/// A table whose insertions are made between one turn of a creation and the next.
pub(crate) struct Planned {
    table: BucketTable<Maps>,
}

impl Planned {
    #[inline(always)]
    pub(crate) const fn new(maps: Maps) -> Self {
        Self {
            table: BucketTable::new(maps),
        }
    }
}

impl Table for Planned {
    type Handle<'t> = Handle<'t, Word>;
    type Hash = ();

    #[inline(always)]
    fn hash(&self, _: &Tuple) {}

    /// Creations search for nothing.
    #[inline(always)]
    fn find(&self, (): (), _: &Tuple) -> Option<Handle<'_, Word>> {
        None
    }

    #[inline(always)]
    fn store(
        &self,
        (): (),
        tuple: &Tuple,
        other: &Tuple,
        entry: &Entry,
        existing: Existing,
        _: Instant,
    ) -> Result<Stored<Handle<'_, Word>>, Refusal> {
        let plan = Plan::get().ok_or(Refusal::Full)?;
        plan.asked += 1;
        if plan.is_waiting() {
            (plan.key, plan.other, plan.entry) = (*tuple, *other, *entry);
            plan.existing = existing as u64;
            // It ends here, for now.
            return Err(Refusal::Full);
        }
        let bits = plan.results.get(plan.asked as usize - 1);
        let bits = *bits.ok_or(Refusal::Full)?;
        let found = self.table.found(Sighting::from_bits(bits & !FOUND));
        let found = found.ok_or_else(|| refusal::of(bits))?;
        Ok(if bits & FOUND == 0 {
            Stored::Inserted(found.handle)
        } else {
            Stored::Found(found)
        })
    }

    #[inline(always)]
    fn give_up(&self) -> Refusal {
        self.table.give_up()
    }
}

/// The inverse of a cast to a number.
#[inline(always)]
const fn existing(number: u64) -> Existing {
    const KEPT: u64 = Existing::Kept as u64;
    const KEPT_UNLESS_EXPIRED: u64 = Existing::KeptUnlessExpired as u64;
    match number {
        KEPT => Existing::Kept,
        KEPT_UNLESS_EXPIRED => Existing::KeptUnlessExpired,
        _ => Existing::Overwritten,
    }
}

step! {
    /// Makes the insertion that a creation waits for.
    fn insert() -> Outcome {
        if !IS_NEEDED {
            return Outcome::DONE;
        }
        let Some((maps, scratch)) = Scratch::with_maps() else {
            return Outcome::DONE;
        };
        let watched = maps.watched(scratch.now);
        let table = BucketTable::with(maps, Observer { watched }, EvictLimit::Unassured);
        let plan = &scratch.plan;
        let (hash, existing) = (table.hash(&plan.key), existing(plan.existing));
        note(table.store(hash, &plan.key, &plan.other, &plan.entry, existing, scratch.now));
        Outcome::GO_ON
    }
}
