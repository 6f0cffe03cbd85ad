//! The way of a packet: bytes, packet, look-up, creation.

use aya_ebpf::bindings::__sk_buff;
use flowkeep_core::Error;
use flowkeep_core::entry::EntryFlags;
use flowkeep_core::error::Refusal;
use flowkeep_core::table::{self, BucketPair, BucketTable, EvictLimit, Keys, Memory, Table};
use flowkeep_core::tracker::{
    Change, Creation, Direction, Observation, Request, Status, Tracker, originated,
};
use flowkeep_core::tuple::{Family, Flags};

use crate::abi::{hook, kind, reason};
use crate::clock;
use crate::fast_path::fast_path;
use crate::maps::ERRORS;
use crate::memory::{Maps, Searched};
use crate::outcome::{Outcome, step};
use crate::parse::{self, Rules};
use crate::per_cpu;
use crate::scratch::{NO_RECORD, NOT_GONE, Scratch};
use crate::watch::{self, Witness};

/// Tracks a packet. `ETHERNET` says whether it has an Ethernet header, or begins with its IP
/// header; `HOOK` is one of [`hook`].
#[inline(always)]
pub(crate) fn track<const ETHERNET: bool, const HOOK: u8>(skb: *mut __sk_buff) {
    if fast_path::<ETHERNET, HOOK>(skb) == Outcome::DONE {
        return;
    }
    let Some(scratch) = Scratch::get() else {
        return;
    };
    scratch.now = clock::now();
    scratch.news.reopened = false;
    let outcome = steps::<ETHERNET, HOOK>(skb, scratch);
    const REFUSED: Outcome = Outcome::failed(Error::NotCreated(Refusal::Full));
    let refused = outcome == REFUSED && Maps::new().is_some_and(|maps| maps.watched());
    if outcome == Outcome::TELL || refused {
        scratch.news.hook = HOOK;
        scratch.news.ethernet = ETHERNET;
        watch::tell(skb, scratch);
    }
    if let Some(error) = outcome.error() {
        per_cpu::increment(&ERRORS, error);
    }
}

#[inline(always)]
fn steps<const ETHERNET: bool, const HOOK: u8>(
    skb: *mut __sk_buff,
    scratch: &mut Scratch,
) -> Outcome {
    let parsed = parse::parse::<ETHERNET>(skb, scratch);
    if parsed != Outcome::GO_ON {
        return parsed;
    }
    parse::measure_packet(skb, scratch);
    if scratch.packet.tuple.flags().contains(Flags::RELATED) {
        let quoted = match scratch.packet.tuple.family() {
            Family::V4 => parse::quote_v4(skb),
            Family::V6 => parse::quote_v6(skb),
        };
        if quoted != Outcome::GO_ON {
            return quoted;
        }
        return relate(u32::from(HOOK));
    }
    search(u32::from(HOOK), 0);
    let mut found = look_up_from::<HOOK>();
    if found == Outcome::NEW && scratch.asked > 1 {
        // The entry of the reverse direction was of no use. This happens once.
        search(u32::from(HOOK), 1);
        found = look_up_from::<HOOK>();
    }
    if found == Outcome::NEW {
        create(originate(u32::from(HOOK)).0)
    } else {
        found
    }
}

#[inline(always)]
fn look_up_from<const HOOK: u8>() -> Outcome {
    match HOOK {
        hook::EGRESS => look_up_egress(),
        hook::INGRESS => look_up_ingress(),
        _ => look_up_forward(),
    }
}

step! {
    /// Searches for the packet's connection: in both directions, or only in its own.
    fn search(hook: u32, own: u32) -> Outcome {
        let Some((maps, scratch)) = Scratch::with_maps() else {
            return Outcome::DONE;
        };
        let tuple = &scratch.packet.tuple;
        let [reverse, forward] = Request::new(direction(hook), 0, scratch.now).keys(tuple);
        let first = if own == 0 { reverse } else { forward };
        let pair = BucketPair::new(maps.seed().hash(tuple), maps.buckets());
        // In place: most packets come to here, and no further call is worth its time.
        let found = table::search(&maps, pair, &Keys::pair(first, forward));
        scratch.sighting = if own == 0 { found } else { found.of_second() }.bits();
        scratch.asked = 0;
        Outcome::DONE
    }
}

/// The direction of the packets that a hook sees.
pub(crate) const fn direction(hook: u32) -> Direction {
    match hook as u8 {
        hook::EGRESS => Direction::Egress,
        hook::INGRESS => Direction::Ingress,
        _ => Direction::Forwarded,
    }
}

step! {
    /// Looks up a packet that leaves the host.
    fn look_up_egress() -> Outcome {
        look_up(Direction::Egress)
    }
}

step! {
    /// Looks up a packet that arrives at the host.
    fn look_up_ingress() -> Outcome {
        look_up(Direction::Ingress)
    }
}

step! {
    /// Looks up a packet that passes by.
    fn look_up_forward() -> Outcome {
        look_up(Direction::Forwarded)
    }
}

#[inline(always)]
fn look_up(direction: Direction) -> Outcome {
    let Some((maps, scratch)) = Scratch::with_maps() else {
        return Outcome::DONE;
    };
    let table = BucketTable::new(Searched(maps));
    let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &table);
    let (tuple, tcp_flags) = (&scratch.packet.tuple, scratch.packet.tcp_flags);
    let mut request = Request::new(direction, scratch.length, scratch.now);
    request.packets = scratch.packets;
    let found = tracker.lookup_tuple(table.hash(tuple), tuple, tcp_flags, &request, None);
    let Some(handle) = found.handle else {
        scratch.news.reopened |= found.reopened;
        return Outcome::NEW;
    };
    if !maps.watched() {
        return Outcome::DONE;
    }
    let record = handle.record();
    let stored = record.tuple();
    let responder_comes_in = !stored.flags().contains(Flags::IN);
    let change = Change::of(&Observation {
        status: found.status,
        reopened: found.reopened || scratch.news.reopened,
        reported: found.monitor.is_some_and(|bytes| bytes != 0),
        tcp_flags,
        first_of_responder: record.packets(responder_comes_in) == request.packets,
        alive: !record.entry_flags().contains(EntryFlags::CLOSED),
    });
    let Some(change) = change else {
        return Outcome::DONE;
    };
    scratch.tuple = stored;
    scratch.news.reopened |= found.reopened;
    scratch.news.status = found.status as u8;
    scratch.news.record = handle.index();
    scratch.news.kind = watch::number(change);
    scratch.news.bytes = maps.config.settings.report_headers;
    Outcome::TELL
}

step! {
    /// Relates an ICMP error.
    fn relate(hook: u32) -> Outcome {
        let Some((maps, scratch)) = Scratch::with_maps() else {
            return Outcome::DONE;
        };
        let table = BucketTable::new(maps);
        let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &table);
        let request = Request::new(direction(hook), scratch.length, scratch.now);
        match tracker.relate(table.hash(&scratch.quote), &scratch.quote, &request) {
            Ok(found) => {
            let Some(handle) = found.handle else {
                return Outcome::DONE;
            };
            if !maps.watched() {
                return Outcome::DONE;
            }
            scratch.tuple = handle.record().tuple();
            scratch.news.reopened = false;
            scratch.news.status = Status::Related as u8;
            scratch.news.record = handle.index();
            scratch.news.kind = kind::RELATED;
            scratch.news.bytes = maps.config.settings.report_headers;
            Outcome::TELL
        }
        Err(error) => Outcome::failed(error),
        }
    }
}

step! {
    /// Finds the tuple that a new connection is created under. Returns the hook that its first
    /// packet counts as of.
    fn originate(hook: u32) -> Outcome {
        let Some(scratch) = Scratch::get() else {
            return Outcome(hook);
        };
        let request = Request::new(direction(hook), scratch.length, scratch.now);
        let tuple = request.tuple_of_new(&scratch.packet.tuple);
        let tcp_flags = scratch.packet.tcp_flags;
        let (tuple, direction) = originated(tuple, request.direction, tcp_flags);
        scratch.tuple = tuple;
        Outcome(u32::from(match direction {
            Direction::Egress => hook::EGRESS,
            Direction::Ingress => hook::INGRESS,
            _ => hook::FORWARD,
        }))
    }
}

step! {
    /// Creates a connection whose first packet counts as of this hook.
    fn create(hook: u32) -> Outcome {
        let Some((maps, scratch)) = Scratch::with_maps() else {
            return Outcome::DONE;
        };
        let watched = maps.watched();
        scratch.why = NOT_GONE;
        let (direction, tcp_flags) = (direction(hook), scratch.packet.tcp_flags);
        let table = BucketTable::with(maps, Witness { watched }, EvictLimit::Unanswered);
        let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &table);
        let mut creation = Creation::new(direction, tcp_flags, scratch.length, scratch.now);
        creation.packets = scratch.packets;
        let created = tracker.create(&mut scratch.tuple, &creation);
        scratch.news.bytes = maps.config.settings.report_headers;
        scratch.news.status = Status::New as u8;
        match created {
            Ok(handle) => {
                scratch.news.record = handle.index();
                scratch.news.kind = if scratch.news.reopened {
                    kind::REOPENED
                } else {
                    kind::NEW
                };
                if watched {
                    Outcome::TELL
                } else {
                    Outcome::DONE
                }
            }
            Err(error) => {
                scratch.news.record = NO_RECORD;
                scratch.news.kind = kind::REFUSED;
                scratch.news.reason = match error {
                    Error::NotCreated(Refusal::Contended) => reason::CONTENDED,
                    _ => reason::FULL,
                };
                Outcome::failed(error)
            }
        }
    }
}
