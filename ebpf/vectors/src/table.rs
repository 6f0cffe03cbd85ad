//! The table as a caller with a small stack uses it: whatever is done with it is a step.

use flowkeep_core::entry::Entry;
use flowkeep_core::error::Refusal;
use flowkeep_core::table::{self, BucketPair, BucketTable, Found, Keys, Memory, Sighting, Table};
use flowkeep_core::tracker::Instant;
use flowkeep_core::tuple::Tuple;

use crate::call::Call;
use crate::handle::SteppedHandle;
use crate::memory::Maps;
use crate::work::{Work, call};

/// The table, whose inserts can be made to fail.
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
    fn insert(
        &self,
        (): (),
        tuple: &Tuple,
        entry: &Entry,
        _: Instant,
    ) -> Result<SteppedHandle, Refusal> {
        let (call, work) = call().ok_or(Refusal::Full)?;
        if fails(call) {
            return Err(Refusal::Other(call.fail_with as i32));
        }
        (work.key, work.entry) = (*tuple, *entry);
        match store() {
            CONTENDED => Err(Refusal::Contended),
            FULL => Err(Refusal::Full),
            stored => Ok(SteppedHandle::from_bits(stored)),
        }
    }
}

/// The same for a look-up of both directions, whose tuples the work has: a search for both was made
/// before. It spares the look-up the stack that the tuples take.
pub(crate) struct Searched;

impl Table for Searched {
    type Handle<'t> = SteppedHandle;
    type Hash = ();

    #[inline(always)]
    fn hash(&self, _: &Tuple) {}

    /// After a probe, that is for the second tuple.
    #[inline(always)]
    fn find(&self, (): (), _: &Tuple) -> Option<SteppedHandle> {
        let work = Work::get()?;
        work.first = work.second;
        found(search()).map(|found| found.handle)
    }

    #[inline(always)]
    fn probe(&self, (): (), _: &Tuple, _: &Tuple) -> Option<Found<SteppedHandle>> {
        found(Work::get()?.sighting)
    }

    #[inline(always)]
    fn insert(
        &self,
        (): (),
        tuple: &Tuple,
        entry: &Entry,
        now: Instant,
    ) -> Result<SteppedHandle, Refusal> {
        Stepped.insert((), tuple, entry, now)
    }
}

/// Whether this insert is the one that fails.
#[inline(always)]
fn fails(call: &mut Call) -> bool {
    let left = call.fail_in;
    call.fail_in = left.saturating_sub(1);
    left == 1
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
pub(crate) extern "C" fn search() -> u64 {
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

/// In place of a sighting: the table is full there.
const FULL: u64 = Sighting::NONE.bits();
/// In place of a sighting: others were faster.
const CONTENDED: u64 = Sighting::NONE.bits() | 1;

/// Stores the work's entry under its key. As [`search`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn store() -> u64 {
    let (Some(maps), Some(work)) = (Maps::new(), Work::get()) else {
        return FULL;
    };
    let table = BucketTable::new(maps);
    match table.insert(table.hash(&work.key), &work.key, &work.entry, work.now) {
        Ok(handle) => {
            let is_first = true;
            Sighting::of(&Found { handle, is_first }).bits()
        }
        Err(Refusal::Contended) => CONTENDED,
        Err(_) => FULL,
    }
}
