//! From bytes to what is known of a packet.

use aya_ebpf::bindings::__sk_buff;
use flowkeep_core::Error;
use flowkeep_core::packet::{
    Bounded, Bytes, Frame, Link, LinkType, Network, ipv4, ipv6, link, measure, quoted, transport,
};
use flowkeep_core::rules;
use flowkeep_core::tuple::Family;

use crate::bytes::{Linear, Loaded};
use crate::fragments::FirstFragments;
use crate::memory::Maps;
use crate::outcome::{Outcome, step};
use crate::rules::Rules;
use crate::scratch::{Scratch, Seen};

/// What an Ethernet header may say that follows it.
pub(crate) mod ether_type {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const IPV6: u16 = 0x86dd;
}

/// What the [`Rules`] say of headers, but that quotations are read in a step of their own:
/// it takes too much stack to read them on the way. At most `EXTENSIONS` of IPv6's are stepped over.
#[derive(Clone, Copy)]
pub(crate) struct Headers<const EXTENSIONS: usize>;

/// As many extension headers as the rules allow.
type AllHeaders = Headers<{ <Rules as rules::Rules>::IPV6_HEADERS }>;

impl<const EXTENSIONS: usize> rules::Rules for Headers<EXTENSIONS> {
    const ICMP_NEEDS_CODE: bool = <Rules as rules::Rules>::ICMP_NEEDS_CODE;
    const FRAGMENTS_AS_WHOLE: bool = <Rules as rules::Rules>::FRAGMENTS_AS_WHOLE;
    const FRAGMENTS_OF_ANY_PROTOCOL: bool = <Rules as rules::Rules>::FRAGMENTS_OF_ANY_PROTOCOL;
    const IPV6_FRAGMENTS: bool = <Rules as rules::Rules>::IPV6_FRAGMENTS;
    const IPV6_FRAGMENTS_BY_NEXT_HEADER: bool =
        <Rules as rules::Rules>::IPV6_FRAGMENTS_BY_NEXT_HEADER;
    const REFUSE_OVERLAPS: bool = <Rules as rules::Rules>::REFUSE_OVERLAPS;
    const STEP_OVER_AUTHENTICATION: bool = <Rules as rules::Rules>::STEP_OVER_AUTHENTICATION;
    const AH_LENGTH_BY_NEXT_HEADER: bool = <Rules as rules::Rules>::AH_LENGTH_BY_NEXT_HEADER;
    const IPV6_HEADERS: usize = EXTENSIONS;
    const EVERY_EXTENSION_HEADER: bool = <Rules as rules::Rules>::EVERY_EXTENSION_HEADER;
    const OTHER_PROTOCOLS: bool = <Rules as rules::Rules>::OTHER_PROTOCOLS;
    const CHECK_IP_HEADER: bool = <Rules as rules::Rules>::CHECK_IP_HEADER;
    const CHECK_TRANSPORT_HEADER: bool = <Rules as rules::Rules>::CHECK_TRANSPORT_HEADER;
    const RELATE_BY_QUOTE: bool = false;
}

/// Reads a packet's headers.
#[inline(always)]
pub(crate) fn parse<const ETHERNET: bool>(skb: *mut __sk_buff, scratch: &mut Scratch) -> Outcome {
    let linear = Linear::new(skb);
    let family = match find_network::<ETHERNET>(&linear, scratch) {
        Ok(family) => family,
        Err(outcome) => return outcome,
    };
    let outcome = match family {
        Family::V4 => headers_v4(skb),
        Family::V6 => headers_v6(skb),
    };
    if outcome == Outcome::GO_ON || !linear.is_partial() {
        return outcome;
    }
    // Its headers may be behind its first buffer.
    match family {
        Family::V4 => loaded_v4(skb),
        Family::V6 => loaded_v6(skb),
    }
}

/// Finds the IP header: at a glance, or else with the calm of a function call for each byte.
#[inline(always)]
fn find_network<const ETHERNET: bool>(
    linear: &Linear,
    scratch: &mut Scratch,
) -> Result<Family, Outcome> {
    const NETWORK: usize = 14;
    scratch.found_network(NETWORK);
    let ether_type = if ETHERNET { linear.u16(12) } else { None };
    match ether_type {
        Some(ether_type::IPV4) => return Ok(Family::V4),
        Some(ether_type::IPV6) => return Ok(Family::V6),
        _ => {}
    }
    let outcome = if ETHERNET {
        link_ether(linear.skb())
    } else {
        link_ip(linear.skb())
    };
    match outcome {
        Outcome::GO_ON => Ok(Family::V4),
        Outcome::GO_ON_V6 => Ok(Family::V6),
        failed => Err(failed),
    }
}

step! {
    /// Finds the IP header behind an Ethernet header.
    fn link_ether(skb: *mut __sk_buff) -> Outcome {
        find_by_loading(skb, LinkType::Ethernet)
    }
}

step! {
    /// Finds the IP header where there is no other before it.
    fn link_ip(skb: *mut __sk_buff) -> Outcome {
        find_by_loading(skb, LinkType::RawIp)
    }
}

#[inline(always)]
fn find_by_loading(skb: *mut __sk_buff, link_type: LinkType) -> Outcome {
    let Some(scratch) = Scratch::get() else {
        return Outcome::DONE;
    };
    match link(&Loaded::new(skb, &mut scratch.piece), link_type) {
        Ok(Link { family, network }) => {
            scratch.found_network(network);
            match family {
                Family::V4 => Outcome::GO_ON,
                Family::V6 => Outcome::GO_ON_V6,
            }
        }
        Err(error) => Outcome::failed(error),
    }
}

step! {
    /// Reads the headers of an IPv4 packet in its first buffer.
    fn headers_v4(skb: *mut __sk_buff) -> Outcome {
        headers(&Linear::new(skb), Family::V4)
    }
}

step! {
    /// Reads the headers of an IPv6 packet in its first buffer.
    fn headers_v6(skb: *mut __sk_buff) -> Outcome {
        headers(&Linear::new(skb), Family::V6)
    }
}

step! {
    /// Reads the headers of an IPv4 packet wherever they are.
    fn loaded_v4(skb: *mut __sk_buff) -> Outcome {
        let Some(scratch) = Scratch::get() else {
            return Outcome::DONE;
        };
        headers(&Loaded::new(skb, &mut scratch.piece), Family::V4)
    }
}

step! {
    /// Reads the headers of an IPv6 packet wherever they are.
    fn loaded_v6(skb: *mut __sk_buff) -> Outcome {
        let Some(scratch) = Scratch::get() else {
            return Outcome::DONE;
        };
        headers(&Loaded::new(skb, &mut scratch.piece), Family::V6)
    }
}

#[inline(always)]
fn headers<B: Bytes>(bytes: &B, family: Family) -> Outcome {
    let Some((maps, scratch)) = Scratch::with_maps() else {
        return Outcome::DONE;
    };
    let at = scratch.network();
    let network = match family {
        Family::V4 => ipv4::<AllHeaders, _>(bytes, at),
        Family::V6 => ipv6::<AllHeaders, _>(bytes, at),
    };
    Outcome::of(network.and_then(|network| the_rest(bytes, &network, maps, scratch)))
}

#[inline(always)]
fn the_rest<B: Bytes>(
    bytes: &B,
    network: &Network,
    maps: Maps,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    let settings = &maps.config.settings;
    let fragments = &mut FirstFragments::at(scratch.now);
    let packet = transport::<AllHeaders, _>(bytes, network, settings, fragments)?;
    scratch.end = network.end;
    scratch.found_layout(&packet.layout);
    scratch.packet = Seen {
        tuple: packet.tuple,
        tcp_flags: packet.tcp_flags,
        icmp: packet.icmp,
        later_fragment: packet.later_fragment,
    };
    Ok(())
}

/// What the kernel says of a packet.
#[inline(always)]
pub(crate) fn frame(skb: *mut __sk_buff) -> Frame {
    // SAFETY: the kernel passes a valid context.
    unsafe {
        Frame {
            length: (*skb).len,
            segments: (*skb).gso_segs,
            segment_size: (*skb).gso_size,
        }
    }
}

/// Notes how many bytes and packets a packet counts as.
#[inline(always)]
pub(crate) fn measure_packet(skb: *mut __sk_buff, scratch: &mut Scratch) {
    let frame = frame(skb);
    if frame.segment_size != 0 {
        measure_merged(skb);
    } else {
        let linear = Linear::new(skb);
        scratch.counted(measure(&linear, &scratch.layout(), &frame));
    }
}

step! {
    /// Measures a packet that several were merged to, or that is still to be cut (GRO, GSO).
    fn measure_merged(skb: *mut __sk_buff) -> Outcome {
        let Some(scratch) = Scratch::get() else {
            return Outcome::DONE;
        };
        let layout = scratch.layout();
        let counted = measure(&Loaded::new(skb, &mut scratch.piece), &layout, &frame(skb));
        scratch.counted(counted);
        Outcome::DONE
    }
}

step! {
    /// Reads what an ICMP error quotes, behind its header of 8 bytes (RFC 792).
    fn quote_v4(skb: *mut __sk_buff) -> Outcome {
        quote(skb, Family::V4)
    }
}

step! {
    /// Reads what an ICMPv6 error quotes, behind its header of 8 bytes (RFC 4443).
    fn quote_v6(skb: *mut __sk_buff) -> Outcome {
        quote(skb, Family::V6)
    }
}

#[inline(always)]
fn quote(skb: *mut __sk_buff, family: Family) -> Outcome {
    let Some(scratch) = Scratch::get() else {
        return Outcome::DONE;
    };
    let (at, end) = (scratch.transport() + 8, scratch.end);
    let loaded = Loaded::new(skb, &mut scratch.piece);
    match quoted::<Rules, _>(&Bounded::new(&loaded, end), at, family) {
        Ok(quote) => {
            scratch.quote = quote;
            Outcome::GO_ON
        }
        Err(error) => Outcome::failed(error),
    }
}
