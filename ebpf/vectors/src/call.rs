//! What the test asks of a program, and what came of it: the test includes this file too.
//!
//! Everything is a word, in the machine's byte order, so that user space, which maps the only
//! element of the map `CALL`, reads and writes it without `unsafe`.

#![allow(dead_code, reason = "each side uses its part")]

use core::net::Ipv4Addr;

use flowkeep_core::cilium::State;
use flowkeep_core::tuple::Address;

/// One call.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Call {
    /// See [`direction`].
    pub(crate) direction: u64,
    /// See [`scope`].
    pub(crate) scope: u64,
    /// As a number: [`Kinds`](flowkeep_core::cilium::Kinds).
    pub(crate) kinds: u64,
    /// 1 if the tuple's flags are set anew.
    pub(crate) forget_related: u64,
    /// 4 or 6.
    pub(crate) family: u64,
    /// 1 if fragments are tracked.
    pub(crate) fragments: u64,
    /// Where in the packet the frame begins.
    pub(crate) start: u64,
    /// Bytes of the whole packet: what is missing is added as zeros.
    pub(crate) whole: u64,
    /// Bytes that the packet counts as.
    pub(crate) length: u64,
    /// 1 if an entry for ICMP errors is wanted.
    pub(crate) related: u64,
    /// See [`operation`].
    pub(crate) operation: u64,
    /// What the operation sets or asks for.
    pub(crate) argument: u64,
    /// 1 if the caller has a state.
    pub(crate) has_state: u64,
    /// The caller's state, before and after.
    pub(crate) state: [u64; STATE_WORDS],
    /// The tuple of a creation or a single entry, as its words; that which a look-up or a creation
    /// left.
    pub(crate) tuple: [u64; 5],
    /// How many inserts from now on the one is that fails; 0 for none.
    pub(crate) fail_in: u64,
    /// The number that it fails with.
    pub(crate) fail_with: u64,
    /// 0, or one more than the [`index`](flowkeep_core::Error::index) of the error. [`UNANSWERED`]
    /// if no program came to an end.
    pub(crate) failed: u64,
    /// Why the table refused, if it did: see [`refusal`].
    pub(crate) refusal: u64,
    /// The [`Status`](flowkeep_core::tracker::Status) as a number.
    pub(crate) status: u64,
    /// Bytes worth reporting; [`NONE`] to leave the caller's value as it is.
    pub(crate) monitor: u64,
    /// 1 if an entry was found.
    pub(crate) found: u64,
    /// The NAT index that a query answers, or [`NONE`].
    pub(crate) index: u64,
}

/// Words of a [`Call`].
pub(crate) const CALL_WORDS: usize = size_of::<Call>() / 8;

/// No number.
pub(crate) const NONE: u64 = u64::MAX;
/// See [`Call::failed`].
pub(crate) const UNANSWERED: u64 = u64::MAX;

/// [`Call::direction`]
pub(crate) mod direction {
    pub(crate) const EGRESS: u64 = 0;
    pub(crate) const INGRESS: u64 = 1;
    pub(crate) const SERVICE: u64 = 2;
}

/// [`Call::scope`]
pub(crate) mod scope {
    pub(crate) const FORWARD: u64 = 0;
    pub(crate) const REVERSE: u64 = 1;
    pub(crate) const BOTH: u64 = 2;
}

/// [`Call::operation`]
pub(crate) mod operation {
    pub(crate) const KEEP_ALIVE: u64 = 0;
    pub(crate) const SET_BACKEND: u64 = 1;
    pub(crate) const SET_REV_NAT_INDEX: u64 = 2;
    pub(crate) const SET_DSR: u64 = 3;
    pub(crate) const IS_REPLY: u64 = 4;
    pub(crate) const HAS_EGRESS_ENTRY: u64 = 5;
    pub(crate) const HAS_EGRESS_ENTRY_WITH: u64 = 6;
    pub(crate) const NODE_PORT_EGRESS: u64 = 7;
}

/// [`Call::refusal`]; any other number is that of the table itself, as 32 bits.
pub(crate) mod refusal {
    pub(crate) const FULL: u64 = 1 << 32;
    pub(crate) const CONTENDED: u64 = 2 << 32;
}

/// Words of a [`State`].
pub(crate) const STATE_WORDS: usize = 6;

/// A state as words.
#[inline(always)]
pub(crate) fn state_words(state: &State) -> [u64; STATE_WORDS] {
    let State {
        rev_nat_index,
        loopback,
        node_port,
        dsr,
        proxy_redirect,
        from_l7lb,
        from_tunnel,
        syn,
        closing,
        source_identity,
        ifindex,
        backend,
        nat_port,
        nat_address,
        address,
        service_address,
    } = *state;
    let bits = u64::from(loopback)
        | u64::from(node_port) << 1
        | u64::from(dsr) << 2
        | u64::from(proxy_redirect) << 3
        | u64::from(from_l7lb) << 4
        | u64::from(from_tunnel) << 5
        | u64::from(syn) << 6
        | u64::from(closing) << 7;
    let numbers = u64::from(rev_nat_index) | u64::from(ifindex) << 16 | u64::from(nat_port) << 32;
    let nat = u128::from_ne_bytes(nat_address.octets());
    [
        bits | numbers << 16,
        u64::from(source_identity) | u64::from(backend) << 32,
        nat as u64,
        (nat >> 64) as u64,
        u64::from(u32::from_ne_bytes(address.octets())),
        u64::from(u32::from_ne_bytes(service_address.octets())),
    ]
}

/// The inverse of [`state_words`].
#[inline(always)]
pub(crate) fn state(words: &[u64; STATE_WORDS]) -> State {
    let [numbers, identities, nat0, nat1, address, service_address] = *words;
    let bit = |bit: u32| numbers >> bit & 1 != 0;
    let ipv4 = |word: u64| {
        let [a, b, c, d] = (word as u32).to_ne_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    let nat = u128::from(nat0) | u128::from(nat1) << 64;
    State {
        rev_nat_index: (numbers >> 16) as u16,
        loopback: bit(0),
        node_port: bit(1),
        dsr: bit(2),
        proxy_redirect: bit(3),
        from_l7lb: bit(4),
        from_tunnel: bit(5),
        syn: bit(6),
        closing: bit(7),
        source_identity: identities as u32,
        ifindex: (numbers >> 32) as u16,
        backend: (identities >> 32) as u32,
        nat_port: (numbers >> 48) as u16,
        nat_address: Address::from_octets(nat.to_ne_bytes()),
        address: ipv4(address),
        service_address: ipv4(service_address),
    }
}
