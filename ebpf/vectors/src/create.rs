//! A creation, in turns: see [`planned`](crate::planned).

use flowkeep_core::Error;
use flowkeep_core::cilium::Creation;
use flowkeep_core::error::Refusal;
use flowkeep_core::tracker::{Direction, Tracker};
use flowkeep_core::tuple::Tuple;

use crate::call::{Call, direction, refusal, state};
use crate::memory::Maps;
use crate::outcome::{Outcome, step};
use crate::planned::{self, Planned};
use crate::rules::Rules;
use crate::scratch::Scratch;
use crate::work::call;

/// Creates an entry.
#[inline(always)]
pub(crate) fn create() -> Outcome {
    let (Some((call, work)), Some(scratch)) = (call(), Scratch::get()) else {
        return Outcome::DONE;
    };
    work.state = state(&call.state);
    scratch.now = work.now;
    planned::begin();
    let mut created = Outcome::DONE;
    for _ in 0..=planned::MOST {
        work.tuple = Tuple::from_words(call.tuple);
        planned::turn();
        created = match call.direction {
            direction::EGRESS => make_egress(),
            direction::INGRESS => make_ingress(),
            direction::SERVICE => make_service(),
            _ => Outcome::DONE,
        };
        if !planned::is_waiting() {
            break;
        }
        if fails(call) {
            let number = (call.fail_with as u32).cast_signed();
            planned::note(Err(Refusal::Other(number)));
        } else {
            planned::insert();
        }
    }
    call.tuple = work.tuple.words();
    created
}

/// Whether the next insertion is the one that fails.
#[inline(always)]
fn fails(call: &mut Call) -> bool {
    let left = call.fail_in;
    call.fail_in = left.saturating_sub(1);
    left == 1
}

step! {
    /// Makes the entry of a packet that leaves.
    fn make_egress() -> Outcome {
        make(Direction::Egress)
    }
}

step! {
    /// Makes the entry of a packet that arrives.
    fn make_ingress() -> Outcome {
        make(Direction::Ingress)
    }
}

step! {
    /// Makes the entry of a packet to a service.
    fn make_service() -> Outcome {
        make(Direction::Service)
    }
}

/// Makes the entry of the work's tuple and state, as far as it comes.
#[inline(always)]
fn make(direction: Direction) -> Outcome {
    let (Some((call, work)), Some(maps)) = (call(), Maps::<false>::new()) else {
        return Outcome::DONE;
    };
    let table = Planned::new(maps);
    let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &table);
    let mut creation = Creation::new(direction, 0, call.length, work.now);
    creation.state = (call.has_state != 0).then_some(&work.state);
    creation.related = call.related != 0;
    let created = tracker.create(&mut work.tuple, &creation);
    if let Err(Error::NotCreated(why)) = created {
        call.refusal = match why {
            Refusal::Full => refusal::FULL,
            Refusal::Contended => refusal::CONTENDED,
            Refusal::Other(number) => u64::from(number.cast_unsigned()),
        };
    }
    Outcome::of(created.map(|_| ()))
}
