//! The table as a caller with a small stack uses it: whatever is done with it is a step.

use flowkeep_core::entry::Entry;
use flowkeep_core::error::Refusal;
use flowkeep_core::table::{
    self, BucketPair, BucketTable, Existing, Found, Keys, Memory, Sighting, Stored, Table,
};
use flowkeep_core::tracker::Instant;
use flowkeep_core::tuple::Tuple;

use crate::handle::SteppedHandle;
use crate::memory::Maps;
use crate::work::Work;

/// The table, which is searched in a step.
pub(crate) struct Stepped;

impl Table for Stepped {
    type Handle<'t> = SteppedHandle;
    type Hash = ();

    #[inline(always)]
    fn hash(&self, _: &Tuple) {}

    #[inline(always)]
    fn find(&self, (): (), tuple: &Tuple) -> Option<SteppedHandle> {
        let work = Work::get()?;
        (work.first, work.second) = (*tuple, *tuple);
        found(search()).map(|found| found.handle)
    }

    #[inline(always)]
    fn probe(&self, (): (), first: &Tuple, second: &Tuple) -> Option<Found<SteppedHandle>> {
        let work = Work::get()?;
        (work.first, work.second) = (*first, *second);
        found(search())
    }

    /// Nothing is inserted by it: see [`planned`](crate::planned).
    #[inline(always)]
    fn store(
        &self,
        (): (),
        _: &Tuple,
        _: &Tuple,
        _: &Entry,
        _: Existing,
        _: Instant,
    ) -> Result<Stored<SteppedHandle>, Refusal> {
        Err(Refusal::Full)
    }
}

/// In place of a sighting: there is no such entry.
const NOTHING: u64 = Sighting::NONE.bits();
/// Beside a sighting: it is of the first tuple. No sighting has this bit.
const IS_FIRST: u64 = 1 << 62;

/// A [`search`]'s result again.
#[inline(always)]
pub(crate) const fn bits(found: &Found<SteppedHandle>) -> u64 {
    found.handle.bits() | if found.is_first { IS_FIRST } else { 0 }
}

/// What a [`search`] has found.
#[inline(always)]
pub(crate) fn found(sighting: u64) -> Option<Found<SteppedHandle>> {
    (sighting != NOTHING).then(|| Found {
        handle: SteppedHandle::from_bits(sighting & !IS_FIRST),
        is_first: sighting & IS_FIRST != 0,
    })
}

/// Searches for the work's two tuples. A global function of BPF: see [`step`](crate::outcome::step).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn search() -> u64 {
    let (Some(maps), Some(work)) = (Maps::<false>::new(), Work::get()) else {
        return NOTHING;
    };
    let pair = BucketPair::new(maps.seed().hash(&work.first), maps.buckets());
    let keys = Keys::pair(work.first, work.second);
    // In place: a function of its own would take more stack.
    let sighting = table::search(&maps, pair, &keys);
    match BucketTable::new(maps).found(sighting) {
        Some(found) => {
            let is_first = if found.is_first { IS_FIRST } else { 0 };
            Sighting::of(&found).bits() | is_first
        }
        None => NOTHING,
    }
}
