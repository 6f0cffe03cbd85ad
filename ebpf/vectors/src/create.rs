//! A creation.
//!
//! It inserts up to three entries. An insertion on top of a creation would take more stack than there
//! is: so the creation stops where it asks for one, which is then made, and begins again. This time it
//! is told what came of that insertion, and so on.

use flowkeep_core::entry::Entry;
use flowkeep_core::error::Refusal;
use flowkeep_core::table::{BucketTable, Table};
use flowkeep_core::tracker::{Creation, Direction, Instant, Tracker};
use flowkeep_core::tuple::Tuple;

use crate::call::{direction, refusal, state};
use crate::handle::SteppedHandle;
use crate::memory::Maps;
use crate::outcome::{Outcome, step};
use crate::rules::Rules;
use crate::work::{Work, call};

/// A connection's entry, its reply's where it is a loopback one, and one for ICMP errors.
const MOST_INSERTS: u64 = 3;

/// Creates an entry.
#[inline(always)]
pub(crate) fn create() -> Outcome {
    let Some((call, work)) = call() else {
        return Outcome::DONE;
    };
    work.state = state(&call.state);
    (work.made, work.last) = (0, STORED);
    let mut created = Outcome::DONE;
    for _ in 0..=MOST_INSERTS {
        work.tuple = Tuple::from_words(call.tuple);
        work.asked = 0;
        created = match call.direction {
            direction::EGRESS => make_egress(),
            direction::INGRESS => make_ingress(),
            direction::SERVICE => make_service(),
            _ => Outcome::DONE,
        };
        if work.asked <= work.made {
            break;
        }
        insert();
        work.made += 1;
    }
    call.tuple = work.tuple.words();
    created
}

/// A table whose insertions are made between one turn of a creation and the next.
pub(crate) struct Planned;

impl Table for Planned {
    type Handle<'t> = SteppedHandle;
    type Hash = ();

    #[inline(always)]
    fn hash(&self, _: &Tuple) {}

    /// Creations search for nothing.
    #[inline(always)]
    fn find(&self, (): (), _: &Tuple) -> Option<SteppedHandle> {
        None
    }

    #[inline(always)]
    fn insert(
        &self,
        (): (),
        tuple: &Tuple,
        entry: &Entry,
        _: Instant,
    ) -> Result<SteppedHandle, Refusal> {
        let work = Work::get().ok_or(Refusal::Full)?;
        work.asked += 1;
        if work.asked > work.made {
            (work.key, work.entry) = (*tuple, *entry);
            // It ends here, for now.
            return Err(Refusal::Full);
        }
        // Only the last one can have been refused: a creation ends with it.
        match work.last {
            STORED => Ok(SteppedHandle::NONE),
            _ if work.asked < work.made => Ok(SteppedHandle::NONE),
            refusal::FULL => Err(Refusal::Full),
            refusal::CONTENDED => Err(Refusal::Contended),
            number => Err(Refusal::Other((number as u32).cast_signed())),
        }
    }
}

/// In a [`refusal`]'s place: the entry is stored.
const STORED: u64 = 0;

step! {
    /// Makes the insertion that the creation asked for.
    fn insert() -> Outcome {
        let (Some((call, work)), Some(maps)) = (call(), Maps::new()) else {
            return Outcome::DONE;
        };
        let left = call.fail_in;
        call.fail_in = left.saturating_sub(1);
        if left == 1 {
            work.last = call.fail_with;
            return Outcome::GO_ON;
        }
        let table = BucketTable::new(maps);
        let stored = table.insert(table.hash(&work.key), &work.key, &work.entry, work.now);
        work.last = match stored {
            Ok(_) => STORED,
            Err(Refusal::Contended) => refusal::CONTENDED,
            Err(_) => refusal::FULL,
        };
        Outcome::GO_ON
    }
}

step! {
    /// Makes the entry of a packet that leaves.
    fn make_egress() -> Outcome {
        make_in(Direction::Egress)
    }
}

step! {
    /// Makes the entry of a packet that arrives.
    fn make_ingress() -> Outcome {
        make_in(Direction::Ingress)
    }
}

step! {
    /// Makes the entry of a packet to a service.
    fn make_service() -> Outcome {
        make_in(Direction::Service)
    }
}

/// Makes the entry of the work's tuple and state, as far as it comes.
#[inline(always)]
fn make_in(direction: Direction) -> Outcome {
    let (Some((call, work)), Some(maps)) = (call(), Maps::new()) else {
        return Outcome::DONE;
    };
    let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &Planned);
    let mut creation = Creation::new(direction, 0, call.length, work.now);
    creation.state = (call.has_state != 0).then_some(&work.state);
    creation.related = call.related != 0;
    let created = tracker.create(&mut work.tuple, &creation);
    call.refusal = work.last;
    Outcome::of(created.map(|_| ()))
}
