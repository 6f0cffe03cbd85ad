//! The way of nearly every packet: TCP or UDP, whole, with its headers in the first buffer, of a
//! connection that is where it is looked for first.
//!
//! It is in one piece and in registers. That the steps of the whole way are functions and share a
//! scratch memory takes longer than all that is done here. A packet that begins a connection, or
//! whose connection is elsewhere, has its headers read here and goes on with the steps.

use aya_ebpf::bindings::__sk_buff;
use flowkeep_abi::hook;
use flowkeep_core::Error;
use flowkeep_core::packet::{Bytes, Counted, Layout, Plain, leads_to_ip, measure, plain, protocol};
use flowkeep_core::table::{BucketTable, Sighting};
use flowkeep_core::tracker::{Request, Step, Subject, Tracker};
use flowkeep_core::tuple::Family;

use crate::bytes::Linear;
use crate::clock;
use crate::memory::Maps;
use crate::outcome::{Outcome, step};
use crate::parse::{ether_type, frame};
use crate::rules::Rules;
use crate::scratch::{Scratch, Seen};
use crate::track::direction;

/// Tracks a packet, if it is one of those. If its connection is elsewhere, or there is more to do,
/// the answer is the step that follows, and the scratch has what the steps before it find. If its
/// headers are others, it is [`Outcome::GO_ON`], and nothing has changed.
#[inline(always)]
pub(crate) fn fast_path<const ETHERNET: bool, const HOOK: u8>(skb: *mut __sk_buff) -> Outcome {
    match (ETHERNET, HOOK) {
        (true, hook::EGRESS) => fast_egress_ether(skb),
        (true, hook::INGRESS) => fast_ingress_ether(skb),
        (true, _) => fast_forward_ether(skb),
        (false, hook::EGRESS) => fast_egress_ip(skb),
        (false, hook::INGRESS) => fast_ingress_ip(skb),
        (false, _) => fast_forward_ip(skb),
    }
}

step! {
    /// At a packet that leaves the host.
    fn fast_egress_ether(skb: *mut __sk_buff) -> Outcome {
        track::<true, { hook::EGRESS }>(skb)
    }
}

step! {
    /// At a packet that leaves the host, without a link header.
    fn fast_egress_ip(skb: *mut __sk_buff) -> Outcome {
        track::<false, { hook::EGRESS }>(skb)
    }
}

step! {
    /// At a packet that arrives at the host.
    fn fast_ingress_ether(skb: *mut __sk_buff) -> Outcome {
        track::<true, { hook::INGRESS }>(skb)
    }
}

step! {
    /// At a packet that arrives at the host, without a link header.
    fn fast_ingress_ip(skb: *mut __sk_buff) -> Outcome {
        track::<false, { hook::INGRESS }>(skb)
    }
}

step! {
    /// At a packet that passes by.
    fn fast_forward_ether(skb: *mut __sk_buff) -> Outcome {
        track::<true, { hook::FORWARD }>(skb)
    }
}

step! {
    /// At a packet that passes by, without a link header.
    fn fast_forward_ip(skb: *mut __sk_buff) -> Outcome {
        track::<false, { hook::FORWARD }>(skb)
    }
}

#[inline(always)]
fn track<const ETHERNET: bool, const HOOK: u8>(skb: *mut __sk_buff) -> Outcome {
    tracked::<ETHERNET, HOOK>(skb).unwrap_or(Outcome::GO_ON)
}

#[inline(always)]
fn tracked<const ETHERNET: bool, const HOOK: u8>(skb: *mut __sk_buff) -> Option<Outcome> {
    let linear = Linear::new(skb);
    let at = start(ETHERNET);
    // Each family has the rest for itself: of IPv4 addresses three words are known to the compiler.
    match family::<ETHERNET>(&linear) {
        Ok(Family::V4) => plain_tracked::<HOOK>(skb, &linear, &plain(&linear, Family::V4, at)?),
        Ok(Family::V6) => plain_tracked::<HOOK>(skb, &linear, &plain(&linear, Family::V6, at)?),
        Err(outcome) => Some(outcome),
    }
}

#[inline(always)]
fn plain_tracked<const HOOK: u8>(
    skb: *mut __sk_buff,
    linear: &Linear,
    packet: &Plain,
) -> Option<Outcome> {
    let maps = Maps::<false>::new()?;
    let counted = measured(skb, linear, &packet.layout)?;
    let now = clock::now();
    let mut next = Outcome::SEARCH;
    // While somebody watches, what there is to tell is judged in the steps.
    if !maps.watched(now) {
        let table = BucketTable::new(maps);
        let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &table);
        let mut request = Request::new(direction(u32::from(HOOK)), counted.bytes, now);
        request.packets = counted.packets;
        let subject = Subject {
            tuple: &packet.tuple,
            tcp_flags: packet.tcp_flags,
            request: &request,
        };
        match tracker.track_at_home(&subject) {
            Step::Done(_) => return Some(Outcome::DONE),
            Step::Update(found) => {
                Scratch::get()?.sighting = Sighting::of(&found).bits();
                next = Outcome::UPDATE;
            }
            Step::Create => next = Outcome::BEGIN,
            Step::Search(_) => {}
        }
    }
    let scratch = Scratch::get()?;
    scratch.now = now;
    scratch.counted(counted);
    scratch.found_layout(&packet.layout);
    scratch.packet = Seen::of(packet.tuple, packet.tcp_flags);
    Some(next)
}

/// Where the IP header begins.
const fn start(ethernet: bool) -> usize {
    if ethernet { 14 } else { 0 }
}

/// Which IP header there is, or what becomes of the packet otherwise.
#[inline(always)]
fn family<const ETHERNET: bool>(linear: &Linear) -> Result<Family, Outcome> {
    if ETHERNET {
        match linear.u16(12).ok_or(Outcome::GO_ON)? {
            ether_type::IPV4 => Ok(Family::V4),
            ether_type::IPV6 => Ok(Family::V6),
            other if leads_to_ip(other) => Err(Outcome::GO_ON),
            _ => Err(Outcome::failed(Error::NotIp)),
        }
    } else {
        match linear.u16(0).ok_or(Outcome::GO_ON)? >> 12 {
            4 => Ok(Family::V4),
            6 => Ok(Family::V6),
            _ => Err(Outcome::GO_ON),
        }
    }
}

/// What it counts as. Of a merged packet only TCP's is found here: another may be a tunnel's.
#[inline(always)]
fn measured(skb: *mut __sk_buff, linear: &Linear, layout: &Layout) -> Option<Counted> {
    let frame = frame(skb);
    if frame.segment_size != 0 && (frame.segments == 0 || layout.protocol != protocol::TCP) {
        return None;
    }
    Some(measure(linear, layout, &frame))
}
