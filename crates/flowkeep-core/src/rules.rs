//! Which behaviour: Cilium 1.8's, Cilium 1.19's, or our own.
//!
//! A set of rules is a type, chosen at compile time: the hot path pays nothing for the choice.
//! Each constant is one difference between the sets. `A1` and the like name the paragraph of
//! `docs/differences.md` that describes it.

pub use crate::cilium::{Cilium18, Cilium119};

/// A set of rules as a value, for those who choose while they run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RuleSet {
    /// [`Cilium18`]
    Cilium18,
    /// [`Cilium119`]
    Cilium119,
    /// [`struct@Default`]
    #[default]
    Default,
}

impl RuleSet {
    /// Every set.
    pub const ALL: [Self; 3] = [Self::Default, Self::Cilium18, Self::Cilium119];

    /// Whose they are, in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cilium18 => "Cilium 1.8",
            Self::Cilium119 => "Cilium 1.19",
            Self::Default => "Flowkeep",
        }
    }
}

/// A set of rules. The constants of [`Cilium119`] are the defaults, so that a set shows only what
/// it does otherwise.
pub trait Rules: Copy + 'static {
    /// A SYN on a connection that is closing is a new connection, not an established one that
    /// lives on (A1).
    const REOPENED_IS_NEW: bool = true;
    /// A SYN on a connection that is closing ends it as it is: its entry expires at once, nothing
    /// of it is changed, and the packet is not counted there.
    const REOPENED_RETIRES: bool = false;
    /// Only a SYN without ACK reopens (A2).
    const REOPEN_NEEDS_PLAIN_SYN: bool = true;
    /// Reopening forgets the TCP flags seen and that a packet without SYN was seen (A3).
    const REOPEN_FORGETS: bool = true;
    /// A RST closes both directions, a FIN only its own (A4).
    const RST_CLOSES_BOTH: bool = true;
    /// A FIN or RST to a service closes both directions (A5).
    const SERVICE_CLOSES_BOTH: bool = true;
    /// A SYN to a service whose connection has been closed for a while is a miss, so that another
    /// backend can be chosen (A6).
    const REBALANCE: bool = true;
    /// Packets to a service are counted (B1).
    const COUNT_SERVICE: bool = true;
    /// The first packet is counted even with accounting off (B2).
    const COUNT_FIRST_ALWAYS: bool = false;
    /// A service's backend is kept in the counter of received bytes (B3); else it shares its
    /// storage with the NAT address.
    const BACKEND_IN_RX_BYTES: bool = false;
    /// Entries of a service keep and hand out only NAT index and backend (B4).
    const SERVICE_KEEPS_LITTLE: bool = true;
    /// The caller's state is filled last, so that a reopened connection leaves it alone, and it
    /// learns of SYN and of closing (B5, B7).
    const STATE_FILLED_LAST: bool = true;
    /// A loopback connection gets a second entry for its reply (B8).
    const LOOPBACK_ENTRY: bool = false;
    /// A TCP connection's first packet is remembered with the flags that it had, and closes what
    /// it begins if it has FIN or RST; else it counts as a SYN, whatever it was.
    const FIRST_FLAGS_AS_THEY_ARE: bool = false;
    /// The entry that relates ICMP errors is stored before the connection's, with nothing counted
    /// (C1); else after it, as a copy that counts as past the handshake.
    const RELATED_ENTRY_FIRST: bool = true;
    /// Whether that entry is stored at all.
    const RELATED_ENTRY: bool = true;
    /// DNS is reported in full (D1).
    const DNS_REPORTED_IN_FULL: bool = false;
    /// ICMP in IPv4 has to have its code too (D3).
    const ICMP_NEEDS_CODE: bool = true;
    /// Fragments are read as if they were whole unless fragments are tracked (D5).
    const FRAGMENTS_AS_WHOLE: bool = false;
    /// Fragments of every protocol are tracked, else those with ports.
    const FRAGMENTS_OF_ANY_PROTOCOL: bool = false;
    /// IPv6 fragments are followed (D6).
    const IPV6_FRAGMENTS: bool = true;
    /// The formula for an extension header's length is chosen by the header that follows (D7).
    const AH_LENGTH_BY_NEXT_HEADER: bool = false;
    /// An authentication header is stepped over in IPv6, though not in IPv4; else it is a protocol
    /// without ports in both (RFC 4302).
    const STEP_OVER_AUTHENTICATION: bool = true;
    /// How many IPv6 headers are looked at; the last has to be the transport's.
    const IPV6_HEADERS: usize = 4;
    /// Mobility, HIP and Shim6 headers are stepped over too.
    const EVERY_EXTENSION_HEADER: bool = false;
    /// IPv6 fragments of one packet have to agree on the next header, which they need not
    /// (RFC 8200, 4.5).
    const IPV6_FRAGMENTS_BY_NEXT_HEADER: bool = true;
    /// A later fragment is refused that overlaps the first one in IPv6 (RFC 5722), or TCP's flags in
    /// either family (RFC 3128).
    const REFUSE_OVERLAPS: bool = false;
    /// SCTP and protocols without ports can be tracked (D8).
    const OTHER_PROTOCOLS: bool = true;
    /// The IP header is checked: version, header length, total length. Nothing is read beyond the
    /// length that it states.
    const CHECK_IP_HEADER: bool = false;
    /// The transport header is checked: it is whole within the IP packet, and TCP's data offset is
    /// possible.
    const CHECK_TRANSPORT_HEADER: bool = false;
    /// An entry past its lifetime is not found, collected or not.
    const EXPIRED_IS_MISS: bool = false;
    /// An ICMP error is related by the packet that it quotes.
    const RELATE_BY_QUOTE: bool = false;
}

/// Flowkeep's own: 1.19's, and expired entries are not found, ICMP errors are related by what
/// they quote, a SYN after a close begins a connection of its own, a lone FIN or RST one that is
/// closing, headers are checked, nothing is read beyond the length that they state, and fragments of
/// every protocol are followed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Default;

impl Rules for Default {
    const REOPENED_RETIRES: bool = true;
    const FIRST_FLAGS_AS_THEY_ARE: bool = true;
    const ICMP_NEEDS_CODE: bool = false;
    const RELATED_ENTRY: bool = false;
    const FRAGMENTS_OF_ANY_PROTOCOL: bool = true;
    const STEP_OVER_AUTHENTICATION: bool = false;
    const IPV6_FRAGMENTS_BY_NEXT_HEADER: bool = false;
    const REFUSE_OVERLAPS: bool = true;
    const IPV6_HEADERS: usize = 8;
    const EVERY_EXTENSION_HEADER: bool = true;
    const CHECK_IP_HEADER: bool = true;
    const CHECK_TRANSPORT_HEADER: bool = true;
    const EXPIRED_IS_MISS: bool = true;
    const RELATE_BY_QUOTE: bool = true;
}
