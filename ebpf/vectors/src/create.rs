//! A creation.

use flowkeep_core::Error;
use flowkeep_core::error::Refusal;
use flowkeep_core::tracker::{Creation, Direction, Tracker};
use flowkeep_core::tuple::Tuple;

use crate::call::{direction, refusal, state};
use crate::memory::Maps;
use crate::outcome::{Outcome, step};
use crate::rules::Rules;
use crate::table::Stepped;
use crate::work::call;

/// Creates an entry.
#[inline(always)]
pub(crate) fn create() -> Outcome {
    let Some((call, work)) = call() else {
        return Outcome::DONE;
    };
    work.state = state(&call.state);
    work.tuple = Tuple::from_words(call.tuple);
    let created = make(call.direction);
    call.tuple = work.tuple.words();
    created
}

/// The steps that make the entry, one for each direction: one for all would take more stack than there
/// is.
#[inline(always)]
fn make(direction: u64) -> Outcome {
    match direction {
        direction::EGRESS => make_egress(),
        direction::INGRESS => make_ingress(),
        direction::SERVICE => make_service(),
        _ => Outcome::DONE,
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

/// Makes the entry of the work's tuple and state.
#[inline(always)]
fn make_in(direction: Direction) -> Outcome {
    let (Some((call, work)), Some(maps)) = (call(), Maps::new()) else {
        return Outcome::DONE;
    };
    let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &Stepped);
    let mut creation = Creation::new(direction, 0, call.length, work.now);
    creation.state = (call.has_state != 0).then_some(&work.state);
    creation.related = call.related != 0;
    match tracker.create(&mut work.tuple, &creation) {
        Ok(_) => Outcome::GO_ON,
        Err(error) => {
            if let Error::NotCreated(why) = error {
                call.refusal = match why {
                    Refusal::Full => refusal::FULL,
                    Refusal::Contended => refusal::CONTENDED,
                    Refusal::Other(number) => u64::from(number.cast_unsigned()),
                };
            }
            Outcome::failed(error)
        }
    }
}
