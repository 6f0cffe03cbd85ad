//! The way of a packet: bytes, packet, look-up, creation.
//!
//! Programs have 512 bytes of stack, for all functions that run at a time. So each step is a
//! function of its own, and what passes from one to the next is kept in a map.

use aya_ebpf::bindings::__sk_buff;
use flowkeep_core::Error;
use flowkeep_core::packet::{
    Bytes, Link, LinkType, Network, ipv4, ipv6, link, quoted, transport,
};
use flowkeep_core::rules;
use flowkeep_core::table::{SetTable, Table};
use flowkeep_core::tracker::{Creation, Direction, Instant, Request, Tracker};
use flowkeep_core::tuple::{Family, Flags, Tuple};

use crate::bytes::{Linear, Loaded, Piece};
use crate::clock;
use crate::fragments::FirstFragments;
use crate::maps::{ERRORS, SCRATCH};
use crate::memory::Maps;
use crate::per_cpu;

type Rules = rules::Default;

/// What [`rules::Default`] says of headers, but that quotations are read in a step of their own:
/// it takes too much stack to read them on the way.
#[derive(Clone, Copy)]
struct Headers;

impl rules::Rules for Headers {
    const ICMP_NEEDS_CODE: bool = <Rules as rules::Rules>::ICMP_NEEDS_CODE;
    const FRAGMENTS_AS_WHOLE: bool = <Rules as rules::Rules>::FRAGMENTS_AS_WHOLE;
    const FRAGMENTS_OF_ANY_PROTOCOL: bool = <Rules as rules::Rules>::FRAGMENTS_OF_ANY_PROTOCOL;
    const IPV6_FRAGMENTS: bool = <Rules as rules::Rules>::IPV6_FRAGMENTS;
    const AH_LENGTH_BY_NEXT_HEADER: bool = <Rules as rules::Rules>::AH_LENGTH_BY_NEXT_HEADER;
    const IPV6_HEADERS: usize = <Rules as rules::Rules>::IPV6_HEADERS;
    const EVERY_EXTENSION_HEADER: bool = <Rules as rules::Rules>::EVERY_EXTENSION_HEADER;
    const OTHER_PROTOCOLS: bool = <Rules as rules::Rules>::OTHER_PROTOCOLS;
    const CHECK_IP_HEADER: bool = <Rules as rules::Rules>::CHECK_IP_HEADER;
    const RELATE_BY_QUOTE: bool = false;
}

/// Directions as numbers, which can be parameters of a function: what is known when a program is
/// built, the verifier need not walk through.
pub(crate) const EGRESS: u8 = 0;
/// See [`EGRESS`].
pub(crate) const INGRESS: u8 = 1;
/// See [`EGRESS`].
pub(crate) const FORWARDED: u8 = 2;

const fn direction(number: u8) -> Direction {
    match number {
        EGRESS => Direction::Egress,
        INGRESS => Direction::Ingress,
        _ => Direction::Forwarded,
    }
}

/// What is known of the packet at hand, one for each processor. No program begins on a processor
/// before the one before it has ended: both hooks run with softirqs disabled.
#[repr(C)]
pub(crate) struct Scratch {
    now: Instant,
    /// Where the packet's IP header begins.
    network: usize,
    piece: Piece,
    /// The packet.
    packet: Seen,
    /// Where its transport header begins.
    transport: usize,
    /// What it quotes, if it is an ICMP error.
    quote: Tuple,
    /// What a connection is created under.
    tuple: Tuple,
}

/// The part of a [`Packet`](flowkeep_core::packet::Packet) that tracking needs. An `Option` is not stored: the bytes of a `None`
/// are unset, and the verifier refuses to see them copied.
#[derive(Clone, Copy)]
#[repr(C)]
struct Seen {
    tuple: Tuple,
    length: u32,
    tcp_flags: u8,
    icmp: [u8; 2],
    later_fragment: bool,
}

impl Scratch {
    /// Where the packet's IP header begins. Read from memory, of which the verifier knows nothing:
    /// else it would walk through the rest for each of the numbers that this can be.
    #[inline(always)]
    fn network(&self) -> usize {
        // SAFETY: a valid reference.
        unsafe { (&raw const self.network).read_volatile() }
    }
}

/// Tracks a packet. `ETHERNET` says whether it has an Ethernet header, or begins with its IP
/// header.
#[inline(always)]
pub(crate) fn track<const ETHERNET: bool, const DIRECTION: u8>(skb: *mut __sk_buff) {
    let (Some(maps), Some(scratch)) = (Maps::new(), SCRATCH.get_ptr_mut(0)) else {
        return;
    };
    // SAFETY: an element is as large and as aligned as a scratch, any bytes are one, and nobody
    // else uses this processor's.
    let scratch = unsafe { &mut *scratch.cast::<Scratch>() };
    scratch.now = clock::now();
    let outcome = steps::<ETHERNET, DIRECTION>(skb, maps, scratch);
    if let Some(error) = outcome.error() {
        per_cpu::increment(&ERRORS, error);
    }
}

#[inline(always)]
fn steps<const ETHERNET: bool, const DIRECTION: u8>(
    skb: *mut __sk_buff,
    maps: Maps,
    scratch: &mut Scratch,
) -> Outcome {
    let loaded = Loaded::new(skb, &raw mut scratch.piece);
    let linear = Linear::new(loaded);
    let link = match find_network::<ETHERNET>(&linear, &loaded) {
        Ok(link) => link,
        Err(error) => return Outcome::of(Err(error)),
    };
    let mut outcome = parse(link, &linear, maps, scratch);
    if outcome != Outcome::DONE && linear.is_partial() {
        // Its headers may be behind its first buffer.
        outcome = parse(link, &loaded, maps, scratch);
    }
    if outcome != Outcome::DONE {
        return outcome;
    }
    if scratch.packet.tuple.flags().contains(Flags::RELATED) {
        outcome = match link.family {
            Family::V4 => parse_quote_v4(&loaded, scratch),
            Family::V6 => parse_quote_v6(&loaded, scratch),
        };
        if outcome != Outcome::DONE {
            return outcome;
        }
        return relate::<DIRECTION>(maps, scratch);
    }
    if look_up::<DIRECTION>(maps, scratch) {
        return create(maps, scratch, DIRECTION);
    }
    Outcome::DONE
}

/// What came of a step, in one register. A `Result` that a function returns through memory has
/// bytes that stay unset, and the verifier refuses to see them copied.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
struct Outcome(u32);

impl Outcome {
    const DONE: Self = Self(0);

    #[inline(always)]
    fn of(result: Result<(), Error>) -> Self {
        match result {
            Ok(()) => Self::DONE,
            Err(error) => Self(error.index() as u32 + 1),
        }
    }

    /// The [`Error::index`] of what went wrong.
    #[inline(always)]
    fn error(self) -> Option<u32> {
        self.0.checked_sub(1)
    }
}

#[inline(always)]
fn parse<B: Bytes>(link: Link, bytes: &B, maps: Maps, scratch: &mut Scratch) -> Outcome {
    scratch.network = link.network;
    match link.family {
        Family::V4 => parse_v4(bytes, maps, scratch),
        Family::V6 => parse_v6(bytes, maps, scratch),
    }
}

/// Finds the IP header: at a glance, or else with the calm of a function call for each byte.
#[inline(always)]
fn find_network<const ETHERNET: bool>(linear: &Linear, loaded: &Loaded) -> Result<Link, Error> {
    const IPV4: u16 = 0x0800;
    const IPV6: u16 = 0x86dd;
    const NETWORK: usize = 14;
    let at_once = |family| {
        Ok(Link {
            family,
            network: NETWORK,
        })
    };
    match linear.u16(12) {
        Some(IPV4) if ETHERNET => at_once(Family::V4),
        Some(IPV6) if ETHERNET => at_once(Family::V6),
        _ => link(loaded, const { link_type(ETHERNET) }),
    }
}

#[inline(never)]
fn parse_v4<B: Bytes>(bytes: &B, maps: Maps, scratch: &mut Scratch) -> Outcome {
    Outcome::of(
        ipv4::<Headers, _>(bytes, scratch.network())
            .and_then(|network| parse_rest(bytes, &network, maps, scratch)),
    )
}

#[inline(never)]
fn parse_v6<B: Bytes>(bytes: &B, maps: Maps, scratch: &mut Scratch) -> Outcome {
    Outcome::of(
        ipv6::<Headers, _>(bytes, scratch.network())
            .and_then(|network| parse_rest(bytes, &network, maps, scratch)),
    )
}

#[inline(always)]
fn parse_rest<B: Bytes>(
    bytes: &B,
    network: &Network,
    maps: Maps,
    scratch: &mut Scratch,
) -> Result<(), Error> {
    let settings = &maps.config.settings;
    let fragments = &mut FirstFragments::at(scratch.now);
    let packet = transport::<Headers, _>(bytes, network, settings, fragments)?;
    scratch.transport = network.transport;
    scratch.packet = Seen {
        tuple: packet.tuple,
        length: packet.length,
        tcp_flags: packet.tcp_flags,
        icmp: packet.icmp,
        later_fragment: packet.later_fragment,
    };
    Ok(())
}

/// Reads what an ICMP error quotes, behind its header of 8 bytes (RFC 792; RFC 4443).
#[inline(never)]
fn parse_quote_v4(bytes: &Loaded, scratch: &mut Scratch) -> Outcome {
    parse_quote(bytes, scratch, Family::V4)
}

/// As [`parse_quote_v4`].
#[inline(never)]
fn parse_quote_v6(bytes: &Loaded, scratch: &mut Scratch) -> Outcome {
    parse_quote(bytes, scratch, Family::V6)
}

#[inline(always)]
fn parse_quote(bytes: &Loaded, scratch: &mut Scratch, family: Family) -> Outcome {
    // SAFETY: a valid reference. For why, see `Scratch::network`.
    let at = unsafe { (&raw const scratch.transport).read_volatile() } + 8;
    match quoted::<Rules, _>(bytes, at, family) {
        Ok(quote) => {
            scratch.quote = quote;
            Outcome::DONE
        }
        Err(error) => Outcome::of(Err(error)),
    }
}

/// Looks a packet up. True if its connection is new.
#[inline(never)]
fn look_up<const DIRECTION: u8>(maps: Maps, scratch: &mut Scratch) -> bool {
    let table = SetTable::new(maps);
    let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &table);
    let packet = &scratch.packet;
    let request = Request::new(
        const { direction(DIRECTION) },
        u64::from(packet.length),
        scratch.now,
    );
    let place = table.place(&packet.tuple);
    let found = tracker.lookup_tuple(place, &packet.tuple, packet.tcp_flags, &request, None);
    if found.slot.is_some() {
        return false;
    }
    scratch.tuple = found.tuple_of(&packet.tuple, &request);
    true
}

/// Relates an ICMP error.
#[inline(never)]
fn relate<const DIRECTION: u8>(maps: Maps, scratch: &mut Scratch) -> Outcome {
    let table = SetTable::new(maps);
    let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &table);
    let request = Request::new(
        const { direction(DIRECTION) },
        u64::from(scratch.packet.length),
        scratch.now,
    );
    match tracker.relate(table.place(&scratch.quote), &scratch.quote, &request) {
        Ok(_) => Outcome::DONE,
        Err(error) => Outcome::of(Err(error)),
    }
}

/// Creates a connection.
#[inline(never)]
fn create(maps: Maps, scratch: &mut Scratch, number: u8) -> Outcome {
    let table = SetTable::new(maps);
    let tracker: Tracker<'_, Rules, _> = Tracker::new(&maps.config.settings, &table);
    let packet = &scratch.packet;
    let creation = Creation {
        direction: direction(number),
        state: None,
        tcp_flags: packet.tcp_flags,
        related: false,
        length: u64::from(packet.length),
        now: scratch.now,
    };
    Outcome::of(tracker.create(&mut scratch.tuple, &creation).map(|_| ()))
}

const fn link_type(ethernet: bool) -> LinkType {
    if ethernet {
        LinkType::Ethernet
    } else {
        LinkType::RawIp
    }
}
