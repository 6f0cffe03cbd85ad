//! The way of a packet: bytes, packet, and core's steps, each in a function of its own.

use aya_ebpf::bindings::__sk_buff;
use flowkeep_abi::{hook, kind, reason};
use flowkeep_core::Error;
use flowkeep_core::cilium::Scope;
use flowkeep_core::error::Refusal;
use flowkeep_core::rules;
use flowkeep_core::table::{BucketTable, EvictLimit, Handle, Sighting, Table};
use flowkeep_core::tracker::{
    Direction, Origin, Progress, ROUNDS, Request, Status, Step, Subject, Tracker, Verdict,
};
use flowkeep_core::tuple::{Family, Flags, Tuple};

use crate::clock;
use crate::fast_path::fast_path;
use crate::maps::ERRORS;
use crate::memory::Maps;
use crate::outcome::{Outcome, step};
use crate::parse;
use crate::per_cpu;
use crate::planned::{self, Planned};
use crate::rules::Rules;
use crate::scratch::{NO_RECORD, NOT_EVICTED, Scratch};
use crate::watch::{self, Observer};
use crate::word::Word;

/// An ICMP error is related by what it quotes; else by an entry of its own.
const BY_QUOTE: bool = <Rules as rules::Rules>::RELATE_BY_QUOTE;

/// More than a packet can take: it goes back a step [`ROUNDS`] times at most, and there are three
/// steps from the first to the last, and two more for each insertion that is made in between.
const STEPS: u32 = if planned::IS_NEEDED { 8 } else { 3 } * (ROUNDS + 1);

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It is part of a known connection, or an ICMP error about one.
    Known,
    /// It has begun a connection.
    New,
    /// It would have begun one that is not admitted: nothing was stored.
    NotAdmitted,
    /// It is not tracked, for the reason with this [`Error::index`].
    Untracked(u32),
}

impl Judgement {
    /// The reason of what is not IP, as ARP.
    pub const NOT_IP: u32 = Error::NotIp.index() as u32;
}

/// Tracks a packet. `ETHERNET` says whether it has an Ethernet header, or begins with its IP
/// header; `HOOK` is one of [`hook`].
#[inline(always)]
pub fn track<const ETHERNET: bool, const HOOK: u8>(skb: *mut __sk_buff) {
    track_if::<ETHERNET, HOOK>(skb, |_| true);
}

/// As [`track`], but creates only connections that are admitted. `admits` is called with what a new
/// connection would be created as. The destination port of its tuple is the responder's.
#[inline(always)]
pub fn track_if<const ETHERNET: bool, const HOOK: u8>(
    skb: *mut __sk_buff,
    admits: impl Fn(&Origin) -> bool,
) -> Judgement {
    let first = fast_path::<ETHERNET, HOOK>(skb);
    if first == Outcome::DONE {
        return Judgement::Known;
    }
    if let Some(error) = first.error() {
        per_cpu::increment(&ERRORS, error);
        return Judgement::Untracked(error);
    }
    const NO_MAPS: Judgement =
        Judgement::Untracked(Error::NotCreated(Refusal::Full).index() as u32);
    let Some(scratch) = Scratch::get() else {
        return NO_MAPS;
    };
    let outcome = if first == Outcome::GO_ON {
        scratch.now = clock::now();
        headers::<ETHERNET, HOOK>(skb, scratch, admits)
    } else {
        steps::<ETHERNET, HOOK>(skb, scratch, first, admits)
    };
    const REFUSED: Outcome = Outcome::failed(Error::NotCreated(Refusal::Full));
    // The maps are looked up only now: what a program keeps during the steps takes stack, and the
    // step that creates a connection leaves it 16 bytes.
    let refused =
        outcome == REFUSED && Maps::<false>::new().is_some_and(|maps| maps.watched(scratch.now));
    if outcome == Outcome::EMIT || refused {
        scratch.event.hook = HOOK;
        scratch.event.ethernet = ETHERNET;
        watch::emit(skb, scratch);
    }
    if let Some(error) = outcome.error() {
        per_cpu::increment(&ERRORS, error);
        return Judgement::Untracked(error);
    }
    if outcome == Outcome::NOT_ADMITTED {
        Judgement::NotAdmitted
    } else if scratch.event.status == Status::New as u8 {
        Judgement::New
    } else {
        Judgement::Known
    }
}

/// The way of a packet whose headers have yet to be read.
#[inline(always)]
fn headers<const ETHERNET: bool, const HOOK: u8>(
    skb: *mut __sk_buff,
    scratch: &mut Scratch,
    admits: impl Fn(&Origin) -> bool,
) -> Outcome {
    let parsed = parse::parse::<ETHERNET>(skb, scratch);
    if parsed != Outcome::GO_ON {
        return parsed;
    }
    parse::measure_packet(skb, scratch);
    let is_error = scratch.packet.tuple.flags().contains(Flags::RELATED);
    if BY_QUOTE && is_error {
        let quoted = match scratch.packet.tuple.family() {
            Family::V4 => parse::quote_v4(skb),
            Family::V6 => parse::quote_v6(skb),
        };
        if quoted != Outcome::GO_ON {
            return quoted;
        }
        return relate(u32::from(HOOK));
    }
    steps::<ETHERNET, HOOK>(skb, scratch, Outcome::SEARCH, admits)
}

/// The steps of a packet from one on.
#[inline(always)]
fn steps<const ETHERNET: bool, const HOOK: u8>(
    skb: *mut __sk_buff,
    scratch: &mut Scratch,
    mut next: Outcome,
    admits: impl Fn(&Origin) -> bool,
) -> Outcome {
    scratch.progress = Progress::new();
    scratch.evict_reason = NOT_EVICTED;
    for _ in 0..STEPS {
        next = match next {
            Outcome::SEARCH => search(u32::from(HOOK), 0),
            Outcome::SEARCH_OWN => search(u32::from(HOOK), 1),
            Outcome::UPDATE => update_from::<HOOK>(),
            Outcome::CREATE | Outcome::BEGIN => {
                originate(u32::from(HOOK));
                planned::begin();
                if admits(&scratch.origin) {
                    create()
                } else if next == Outcome::BEGIN {
                    // It may be known all the same.
                    Outcome::SEARCH
                } else {
                    Outcome::NOT_ADMITTED
                }
            }
            Outcome::INSERT if planned::IS_NEEDED => {
                planned::insert();
                // What made room is reported at once.
                scratch.event.hook = HOOK;
                scratch.event.ethernet = ETHERNET;
                watch::emit_evicted(skb, scratch);
                create()
            }
            _ => break,
        };
    }
    next
}

#[inline(always)]
fn update_from<const HOOK: u8>() -> Outcome {
    match HOOK {
        hook::EGRESS => update_egress(),
        hook::INGRESS => update_ingress(),
        _ => update_forward(),
    }
}

step! {
    /// Searches for the packet's connection: in both directions, or only in its own.
    fn search(hook: u32, own: u32) -> Outcome {
        let (Some(maps), Some(scratch)) = (Maps::<true>::new(), Scratch::get()) else {
            return Outcome::DONE;
        };
        let table = BucketTable::new(maps);
        let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &table);
        let tuple = scratch.packet.tuple;
        let request = Request::new(direction(hook), 0, scratch.now);
        let subject = Subject { tuple: &tuple, tcp_flags: 0, request: &request };
        let scope = if own == 0 { Scope::Both } else { Scope::Forward };
        match tracker.search(table.hash(&tuple), &subject, scope, &mut scratch.progress) {
            Step::Update(found) => {
                scratch.sighting = Sighting::of(&found).bits();
                Outcome::UPDATE
            }
            _ => Outcome::CREATE,
        }
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
    /// Updates the entry of a packet that leaves the host.
    fn update_egress() -> Outcome {
        update(Direction::Egress)
    }
}

step! {
    /// Updates the entry of a packet that arrives at the host.
    fn update_ingress() -> Outcome {
        update(Direction::Ingress)
    }
}

step! {
    /// Updates the entry of a packet that passes by.
    fn update_forward() -> Outcome {
        update(Direction::Forwarded)
    }
}

#[inline(always)]
fn update(direction: Direction) -> Outcome {
    let Some((maps, scratch)) = Scratch::with_maps() else {
        return Outcome::DONE;
    };
    let table = BucketTable::new(maps);
    let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &table);
    let Some(found) = table.found(Sighting::from_bits(scratch.sighting)) else {
        return Outcome::DONE;
    };
    let tuple = if BY_QUOTE {
        Tuple::default().with_protocol(scratch.packet.tuple.protocol())
    } else {
        scratch.packet.tuple
    };
    let mut request = Request::new(direction, scratch.length, scratch.now);
    request.packets = scratch.packets;
    let subject = Subject {
        tuple: &tuple,
        tcp_flags: scratch.packet.tcp_flags,
        request: &request,
    };
    match tracker.update(&found, &subject, &mut scratch.progress, None) {
        Step::Done(verdict) => done(maps, scratch, &verdict),
        Step::Search(Scope::Both) => Outcome::SEARCH,
        Step::Search(_) => Outcome::SEARCH_OWN,
        Step::Update(_) => Outcome::UPDATE,
        Step::Create => Outcome::CREATE,
    }
}

/// Notes the event that there is to report, if there is one and somebody watches.
#[inline(always)]
fn done(maps: Maps, scratch: &mut Scratch, verdict: &Verdict<Handle<'_, Word>>) -> Outcome {
    if let Some(error) = verdict.reason {
        return Outcome::failed(error);
    }
    scratch.event.status = verdict.status as u8;
    let (Some(change), Some(handle)) = (verdict.change, verdict.handle) else {
        return Outcome::DONE;
    };
    // The entry that an error was related by is not that of its connection.
    let unrelated = !BY_QUOTE && verdict.status == Status::Related;
    if unrelated || !maps.watched(scratch.now) {
        return Outcome::DONE;
    }
    let event = &mut scratch.event;
    event.reopened = verdict.reopened;
    event.record = handle.index();
    event.kind = watch::number(change);
    event.bytes = maps.config.settings.report_headers;
    scratch.tuple = handle.record().tuple();
    Outcome::EMIT
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
        let verdict = tracker.relate(table.hash(&scratch.quote), &scratch.quote, &request);
        done(maps, scratch, &verdict)
    }
}

step! {
    /// Finds what a new connection is created as.
    fn originate(hook: u32) -> Outcome {
        let Some(scratch) = Scratch::get() else {
            return Outcome::DONE;
        };
        let request = Request::new(direction(hook), 0, scratch.now);
        let subject = Subject {
            tuple: &scratch.packet.tuple,
            tcp_flags: scratch.packet.tcp_flags,
            request: &request,
        };
        scratch.origin = subject.origin();
        Outcome::GO_ON
    }
}

step! {
    /// Creates a connection, or finds that another processor has just done so.
    fn create() -> Outcome {
        let Some((maps, scratch)) = Scratch::with_maps() else {
            return Outcome::DONE;
        };
        if planned::IS_NEEDED {
            planned::turn();
            let created = create_in(&Planned::new(maps), maps, scratch);
            if planned::is_waiting() {
                Outcome::INSERT
            } else {
                created
            }
        } else {
            let watched = maps.watched(scratch.now);
            let table = BucketTable::with(maps, Observer { watched }, EvictLimit::Unassured);
            create_in(&table, maps, scratch)
        }
    }
}

#[inline(always)]
fn create_in<T>(table: &T, maps: Maps, scratch: &mut Scratch) -> Outcome
where
    T: for<'t> Table<Handle<'t> = Handle<'t, Word>>,
{
    let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, table);
    // Which side the packet counts for is known already.
    let mut request = Request::new(Direction::Forwarded, scratch.length, scratch.now);
    request.packets = scratch.packets;
    let hash = table.hash(&scratch.packet.tuple);
    let subject = Subject {
        tuple: &scratch.packet.tuple,
        tcp_flags: scratch.packet.tcp_flags,
        request: &request,
    };
    let step = tracker.create_as(hash, &scratch.origin, &subject, &mut scratch.progress);
    match step {
        Step::Done(verdict) => {
            let outcome = done(maps, scratch, &verdict);
            if outcome.error().is_some() {
                scratch.tuple = scratch.origin.tuple();
                scratch.event.record = NO_RECORD;
                scratch.event.kind = kind::REFUSED;
                scratch.event.bytes = maps.config.settings.report_headers;
                scratch.event.reason = match verdict.reason {
                    Some(Error::NotCreated(Refusal::Contended)) => reason::CONTENDED,
                    _ => reason::FULL,
                };
            }
            outcome
        }
        Step::Update(found) => {
            scratch.sighting = Sighting::of(&found).bits();
            Outcome::UPDATE
        }
        _ => Outcome::SEARCH,
    }
}
