//! A look-up: bytes, packet, entry.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::bpf_skb_change_tail;
use flowkeep_core::cilium::{Kinds, Scope};
use flowkeep_core::packet::{Fragments, NoFragments, network, transport};
use flowkeep_core::rules;
use flowkeep_core::tracker::{
    Direction, Instant, ROUNDS, Request, Step, Subject, Tracker, Verdict,
};
use flowkeep_core::tuple::Family;

use crate::bytes::Loaded;
use crate::call::{Call, NONE, direction, scope, state, state_words};
use crate::direction;
use crate::fragments::FirstFragments;
use crate::handle::SteppedHandle;
use crate::memory::Maps;
use crate::outcome::{Outcome, step};
use crate::rules::Rules;
use crate::table::{Stepped, bits, found};
use crate::work::{Work, call};

/// Where the frame's IP header begins: behind an Ethernet header.
const NETWORK: usize = 14;

/// Looks up a packet.
#[inline(always)]
pub(crate) fn look_up(skb: *mut __sk_buff) -> Outcome {
    let Some((call, work)) = call() else {
        return Outcome::DONE;
    };
    // SAFETY: the kernel passes a valid context.
    if unsafe { (*skb).len } < call.whole as u32 {
        // SAFETY: as above. What is added is zeros.
        let failed = unsafe { bpf_skb_change_tail(skb, call.whole as u32, 0) };
        if failed != 0 {
            return Outcome::DONE;
        }
    }
    work.state = state(&call.state);
    let parsed = match (call.family, call.fragments) {
        (4, 0) => parse_v4(skb),
        (4, _) => parse_fragment_v4(skb),
        (_, 0) => parse_v6(skb),
        _ => parse_fragment_v6(skb),
    };
    if parsed != Outcome::GO_ON {
        return parsed;
    }
    if BY_QUOTE && work.has_quote {
        return relate();
    }
    begin();
    let mut next = search_as_asked();
    for _ in 0..STEPS {
        next = match next {
            Outcome::SEARCH => search_as_asked(),
            Outcome::SEARCH_OWN => search_own(),
            Outcome::UPDATE => find(call.direction, call.scope),
            Outcome::CREATE => unknown(),
            _ => break,
        };
    }
    next
}

/// Whether an ICMP error is related by what it quotes.
const BY_QUOTE: bool = <Rules as rules::Rules>::RELATE_BY_QUOTE;

/// More than a look-up can take.
const STEPS: u32 = 3 * (ROUNDS + 1);

step! {
    /// Parses an IPv4 packet.
    fn parse_v4(skb: *mut __sk_buff) -> Outcome {
        parse(skb, Family::V4, &mut NoFragments)
    }
}

step! {
    /// Parses an IPv6 packet.
    fn parse_v6(skb: *mut __sk_buff) -> Outcome {
        parse(skb, Family::V6, &mut NoFragments)
    }
}

step! {
    /// Parses an IPv4 packet, and tracks fragments.
    fn parse_fragment_v4(skb: *mut __sk_buff) -> Outcome {
        parse(skb, Family::V4, &mut timeless())
    }
}

step! {
    /// Parses an IPv6 packet, and tracks fragments.
    fn parse_fragment_v6(skb: *mut __sk_buff) -> Outcome {
        parse(skb, Family::V6, &mut timeless())
    }
}

/// First fragments that are never too old: those of the recordings are not.
#[inline(always)]
fn timeless() -> FirstFragments {
    FirstFragments::at(Instant::default())
}

#[inline(always)]
fn parse(skb: *mut __sk_buff, family: Family, fragments: &mut impl Fragments) -> Outcome {
    let (Some((call, work)), Some(maps)) = (call(), Maps::<false>::new()) else {
        return Outcome::DONE;
    };
    let bytes = Loaded::new(skb, &mut work.piece);
    let at = call.start as usize + NETWORK;
    let network = network::<Rules, _>(&bytes, family, at);
    let packet = network.and_then(|network| {
        transport::<Rules, _>(&bytes, &network, &maps.config.settings, fragments)
    });
    match packet {
        Ok(packet) => {
            (work.packet, work.tcp_flags) = (packet.tuple, packet.tcp_flags);
            work.has_quote = BY_QUOTE && packet.quote.is_some();
            if let Some(quote) = packet.quote.filter(|_| BY_QUOTE) {
                work.quote = quote;
            }
            Outcome::GO_ON
        }
        Err(error) => Outcome::failed(error),
    }
}

/// The steps that look for the packet's connection, one for each direction and scope: as numbers
/// that are known only in the kernel, they would take more stack than there is.
macro_rules! find {
    ($($name:ident $direction:ident $scope:ident,)*) => {
        /// Looks for the packet's connection.
        #[inline(always)]
        fn find(direction: u64, scope: u64) -> Outcome {
            match (direction, scope) {
                $((direction::$direction, scope::$scope) => $name(),)*
                _ => Outcome::DONE,
            }
        }

        $(step! {
            fn $name() -> Outcome {
                update(direction(direction::$direction), tracker_scope(scope::$scope))
            }
        })*
    };
}

find! {
    find_egress EGRESS BOTH,
    find_ingress INGRESS BOTH,
    find_service SERVICE BOTH,
    find_egress_forward EGRESS FORWARD,
    find_ingress_forward INGRESS FORWARD,
    find_service_forward SERVICE FORWARD,
    find_egress_reverse EGRESS REVERSE,
    find_ingress_reverse INGRESS REVERSE,
    find_service_reverse SERVICE REVERSE,
}

const fn tracker_scope(number: u64) -> Scope {
    match number {
        scope::FORWARD => Scope::Forward,
        scope::REVERSE => Scope::Reverse,
        _ => Scope::Both,
    }
}

#[inline(always)]
fn request(call: &Call, work: &Work, direction: Direction, scope: Scope) -> Request {
    let mut request = Request::new(direction, call.length, work.now);
    request.scope = scope;
    request.kinds = Kinds(call.kinds as u8);
    request.forget_related = call.forget_related != 0;
    request
}

/// The packet, with everything that is asked about it.
macro_rules! subject {
    ($work:ident, $request:ident) => {
        Subject {
            tuple: &$work.packet,
            tcp_flags: $work.tcp_flags,
            request: &$request,
        }
    };
}

step! {
    /// Begins a look-up.
    fn begin() -> Outcome {
        let (Some((_, work)), Some(maps)) = (call(), Maps::<false>::new()) else {
            return Outcome::DONE;
        };
        let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &Stepped);
        work.progress = tracker.begin();
        Outcome::GO_ON
    }
}

step! {
    /// Searches in the directions that are asked for.
    fn search_as_asked() -> Outcome {
        match call() {
            Some((call, _)) => search(tracker_scope(call.scope)),
            None => Outcome::DONE,
        }
    }
}

step! {
    /// Searches in the packet's own direction.
    fn search_own() -> Outcome {
        search(Scope::Forward)
    }
}

/// Searches for the packet's connection.
#[inline(always)]
fn search(scope: Scope) -> Outcome {
    let (Some((call, work)), Some(maps)) = (call(), Maps::<false>::new()) else {
        return Outcome::DONE;
    };
    let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &Stepped);
    let request = request(
        call,
        work,
        direction(call.direction),
        tracker_scope(call.scope),
    );
    let subject = subject!(work, request);
    match tracker.search((), &subject, scope, &mut work.progress) {
        Step::Update(found) => {
            work.found = bits(&found);
            Outcome::UPDATE
        }
        _ => Outcome::CREATE,
    }
}

/// Updates the entry that was found.
#[inline(always)]
fn update(direction: Direction, scope: Scope) -> Outcome {
    let (Some((call, work)), Some(maps)) = (call(), Maps::<false>::new()) else {
        return Outcome::DONE;
    };
    let Some(found) = found(work.found) else {
        return Outcome::DONE;
    };
    let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &Stepped);
    let request = request(call, work, direction, scope);
    let subject = subject!(work, request);
    let state = (call.has_state != 0).then_some(&mut work.state);
    match tracker.update(&found, &subject, &mut work.progress, state) {
        Step::Done(verdict) => done(&verdict, &request),
        Step::Search(asked) if asked == scope => Outcome::SEARCH,
        Step::Search(_) => Outcome::SEARCH_OWN,
        Step::Update(_) => Outcome::UPDATE,
        Step::Create => Outcome::CREATE,
    }
}

step! {
    /// Ends a look-up that found nothing.
    fn unknown() -> Outcome {
        let (Some((call, work)), Some(maps)) = (call(), Maps::<false>::new()) else {
            return Outcome::DONE;
        };
        let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &Stepped);
        let request = request(call, work, direction(call.direction), tracker_scope(call.scope));
        let subject = subject!(work, request);
        done(&tracker.unknown(&subject, &work.progress), &request)
    }
}

step! {
    /// Relates an ICMP error by what it quotes.
    fn relate() -> Outcome {
        let (Some((call, work)), Some(maps)) = (call(), Maps::<false>::new()) else {
            return Outcome::DONE;
        };
        if !BY_QUOTE {
            return Outcome::DONE;
        }
        let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &Stepped);
        let request = request(call, work, direction(call.direction), tracker_scope(call.scope));
        done(&tracker.relate((), &work.quote, &request), &request)
    }
}

/// Notes what the look-up found.
#[inline(always)]
fn done(verdict: &Verdict<SteppedHandle>, request: &Request) -> Outcome {
    let Some((call, work)) = call() else {
        return Outcome::DONE;
    };
    if let Some(error) = verdict.reason {
        return Outcome::failed(error);
    }
    call.status = verdict.status as u64;
    call.monitor = verdict.monitor.map_or(NONE, u64::from);
    call.tuple = if BY_QUOTE && work.has_quote {
        verdict.tuple_of_quoted(&work.quote, request).words()
    } else {
        verdict.tuple_of(&work.packet, request).words()
    };
    call.state = state_words(&work.state);
    Outcome::GO_ON
}
