//! Operations on a single entry.

use flowkeep_core::entry::EntryFlags;
use flowkeep_core::tracker::Tracker;
use flowkeep_core::tuple::Tuple;

use crate::call::{NONE, operation};
use crate::memory::Maps;
use crate::outcome::{Outcome, step};
use crate::rules::Rules;
use crate::table::Stepped;
use crate::work::call;

/// Does what is asked with the entry under the call's tuple.
#[inline(always)]
pub(crate) fn single() -> Outcome {
    let Some((call, work)) = call() else {
        return Outcome::DONE;
    };
    work.tuple = Tuple::from_words(call.tuple);
    match call.operation {
        operation::KEEP_ALIVE => keep_alive(),
        operation::SET_BACKEND => update_backend(),
        operation::SET_REV_NAT_INDEX => update_rev_nat_index(),
        operation::SET_DSR => update_dsr(),
        operation::IS_REPLY => is_reply(),
        operation::HAS_EGRESS_ENTRY => has_egress_entry(),
        operation::HAS_EGRESS_ENTRY_WITH => has_egress_entry_with(),
        operation::NODE_PORT_EGRESS => node_port_egress(),
        _ => Outcome::DONE,
    }
}

/// One operation of the tracker as a step.
macro_rules! operation {
    ($name:ident($tracker:ident, $tuple:ident, $argument:ident, $now:ident) $body:expr) => {
        step! {
            #[doc = concat!("[`Tracker::", stringify!($name), "`]")]
            fn $name() -> Outcome {
                let (Some((call, work)), Some(maps)) = (call(), Maps::<false>::new()) else {
                    return Outcome::DONE;
                };
                let $tracker: Tracker<'_, Rules, _> =
                    Tracker::new(&maps.config.settings, &Stepped);
                let ($tuple, $argument, $now) = (&work.tuple, call.argument, work.now);
                let _ = ($argument, $now);
                call.found = u64::from($body);
                Outcome::GO_ON
            }
        }
    };
}

operation!(keep_alive(tracker, tuple, argument, now) tracker.keep_alive(tuple, now));
operation!(update_backend(tracker, tuple, argument, now)
    tracker.update_backend(tuple, argument as u32));
operation!(update_rev_nat_index(tracker, tuple, argument, now)
    tracker.update_rev_nat_index(tuple, argument as u16));
operation!(update_dsr(tracker, tuple, argument, now) tracker.update_dsr(tuple, argument != 0));
operation!(is_reply(tracker, tuple, argument, now) tracker.is_reply(tuple));
operation!(has_egress_entry(tracker, tuple, argument, now) tracker.has_egress_entry(tuple));
operation!(has_egress_entry_with(tracker, tuple, argument, now)
    tracker.has_egress_entry_with(tuple, EntryFlags(argument as u16)));

step! {
    /// [`Tracker::node_port_egress`]
    fn node_port_egress() -> Outcome {
        let (Some((call, work)), Some(maps)) = (call(), Maps::<false>::new()) else {
            return Outcome::DONE;
        };
        let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &Stepped);
        let query = tracker.node_port_egress(&work.tuple, call.argument != 0);
        call.found = u64::from(query.found);
        call.index = query.rev_nat_index.map_or(NONE, u64::from);
        Outcome::GO_ON
    }
}
