//! The way of nearly every packet: TCP or UDP, whole, with its headers in the first buffer, of a
//! connection that is where it is looked for first.
//!
//! It is in one piece and in registers. That the steps of the whole way are functions and share a
//! scratch memory takes longer than all that is done here.

use aya_ebpf::bindings::__sk_buff;
use flowkeep_abi::hook;
use flowkeep_core::packet::{Bytes, Counted, Layout, Plain, measure, plain, protocol};
use flowkeep_core::table::{BucketTable, Sighting};
use flowkeep_core::tracker::{Progress, Request, Step, Subject, Tracker};
use flowkeep_core::tuple::{Family, Tuple};

use crate::bytes::Linear;
use crate::clock;
use crate::memory::Maps;
use crate::outcome::{Outcome, step};
use crate::parse::{ether_type, frame};
use crate::rules::Rules;
use crate::track::direction;

/// Tracks a packet, if it is one of those. If not, nothing has changed.
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
    match family::<ETHERNET>(&linear)? {
        Family::V4 => plain_tracked::<HOOK>(skb, &linear, &plain(&linear, Family::V4, at)?),
        Family::V6 => plain_tracked::<HOOK>(skb, &linear, &plain(&linear, Family::V6, at)?),
    }
}

#[inline(always)]
fn plain_tracked<const HOOK: u8>(
    skb: *mut __sk_buff,
    linear: &Linear,
    packet: &Plain,
) -> Option<Outcome> {
    let maps = Maps::<false>::new()?;
    let now = clock::now();
    if maps.watched(now) {
        // What there is to tell is judged on the whole way.
        return None;
    }
    let Counted { packets, bytes } = measured(skb, linear, &packet.layout)?;
    let table = BucketTable::new(maps);
    let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &table);
    let hook = u32::from(HOOK);
    let mut request = Request::new(direction(hook), bytes, now);
    request.packets = packets;
    let subject = Subject {
        tuple: &packet.tuple,
        tcp_flags: packet.tcp_flags,
        request: &request,
    };
    match tracker.track_at_home(&subject) {
        Ok(_) => Some(Outcome::DONE),
        Err(Some(found)) => {
            let flags = u32::from(packet.tcp_flags) | u32::from(packet.layout.protocol) << PROTOCOL;
            let sighting = Sighting::of(&found).bits();
            Some(update_found(sighting, flags, hook, packets, bytes))
        }
        Err(None) => None,
    }
}

/// Where the protocol is, above TCP flags.
const PROTOCOL: u32 = 8;

step! {
    /// Updates what was found: a handshake, or a connection that is closing or closed.
    fn update_found(sighting: u64, flags: u32, hook: u32, packets: u64, length: u64) -> Outcome {
        let Some(maps) = Maps::<false>::new() else {
            return Outcome::GO_ON;
        };
        let table = BucketTable::new(maps);
        let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &table);
        let Some(found) = table.found(Sighting::from_bits(sighting)) else {
            return Outcome::GO_ON;
        };
        let mut request = Request::new(direction(hook), length, clock::now());
        request.packets = packets;
        let tuple = Tuple::default().with_protocol((flags >> PROTOCOL) as u8);
        let subject = Subject { tuple: &tuple, tcp_flags: flags as u8, request: &request };
        // Whatever else it may be, nothing has changed, and the steps begin anew.
        match tracker.update(&found, &subject, &mut Progress::new(), None) {
            Step::Done(_) => Outcome::DONE,
            _ => Outcome::GO_ON,
        }
    }
}

/// Where the IP header begins.
const fn start(ethernet: bool) -> usize {
    if ethernet { 14 } else { 0 }
}

/// Which IP header there is, if there is one.
#[inline(always)]
fn family<const ETHERNET: bool>(linear: &Linear) -> Option<Family> {
    if ETHERNET {
        match linear.u16(12)? {
            ether_type::IPV4 => Some(Family::V4),
            ether_type::IPV6 => Some(Family::V6),
            _ => None,
        }
    } else {
        match linear.u16(0)? >> 12 {
            4 => Some(Family::V4),
            6 => Some(Family::V6),
            _ => None,
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
