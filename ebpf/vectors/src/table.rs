//! The table as a caller with a small stack uses it: whatever is done with it is a step.

use flowkeep_core::entry::Entry;
use flowkeep_core::error::Refusal;
use flowkeep_core::table::{self, BucketPair, BucketTable, Found, Keys, Memory, Sighting, Table};
use flowkeep_core::tracker::{Instant, Scope};
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

    /// Operations on a single entry insert nothing.
    #[inline(always)]
    fn insert(&self, (): (), _: &Tuple, _: &Entry, _: Instant) -> Result<SteppedHandle, Refusal> {
        Err(Refusal::Full)
    }
}

/// The table of a look-up, after [`search_before`]: to look up means to look at what was found. It
/// spares a look-up the stack that tuples and searches take.
pub(crate) struct Searched;

impl Table for Searched {
    type Handle<'t> = SteppedHandle;
    type Hash = ();

    #[inline(always)]
    fn hash(&self, _: &Tuple) {}

    #[inline(always)]
    fn find(&self, (): (), _: &Tuple) -> Option<SteppedHandle> {
        found(Work::get()?.alone).map(|found| found.handle)
    }

    #[inline(always)]
    fn probe(&self, (): (), _: &Tuple, _: &Tuple) -> Option<Found<SteppedHandle>> {
        found(Work::get()?.both)
    }

    /// A look-up inserts nothing.
    #[inline(always)]
    fn insert(&self, (): (), _: &Tuple, _: &Entry, _: Instant) -> Result<SteppedHandle, Refusal> {
        Err(Refusal::Full)
    }
}

/// Searches for all that a look-up may ask for: for both of its tuples, and for the one that it looks
/// for if it looks for one alone.
#[inline(always)]
pub(crate) fn search_before(work: &mut Work, scope: Scope, [reverse, forward]: [Tuple; 2]) {
    if scope == Scope::Both {
        (work.first, work.second) = (reverse, forward);
        work.both = search();
    }
    let alone = if scope == Scope::Reverse {
        reverse
    } else {
        forward
    };
    (work.first, work.second) = (alone, alone);
    work.alone = search();
}

/// In place of a sighting: there is no such entry.
const NOTHING: u64 = Sighting::NONE.bits();
/// Beside a sighting: it is of the first tuple. No sighting has this bit.
const IS_FIRST: u64 = 1 << 62;

/// What a [`search`] has found.
#[inline(always)]
fn found(sighting: u64) -> Option<Found<SteppedHandle>> {
    (sighting != NOTHING).then(|| Found {
        handle: SteppedHandle::from_bits(sighting & !IS_FIRST),
        is_first: sighting & IS_FIRST != 0,
    })
}

/// Searches for the work's two tuples. A global function of BPF: see [`step`](crate::outcome::step).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn search() -> u64 {
    let (Some(maps), Some(work)) = (Maps::new(), Work::get()) else {
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
