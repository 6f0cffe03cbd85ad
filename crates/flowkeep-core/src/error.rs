//! Why a packet was not tracked.

use core::fmt;

/// Why a packet was not tracked. Nothing was written to the connection table, except by
/// [`Error::NotCreated`] as its documentation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The link header is cut short.
    LinkTruncated,
    /// The link header announces something that is neither IPv4 nor IPv6.
    NotIp,
    /// The IP header is cut short.
    NetworkTruncated,
    /// The IP header contradicts itself: version, header length, total length, the options of a
    /// jumbogram, or a fragment that ends beyond the longest packet.
    NetworkMalformed,
    /// An ICMP packet in fragments: its header can't be trusted to be whole.
    IcmpFragment,
    /// The transport header is cut short.
    TransportTruncated,
    /// The transport header contradicts itself or the IP header: its length.
    TransportMalformed,
    /// A transport protocol that is not tracked.
    UnknownProtocol,
    /// More IPv6 extension headers than are followed, or none that leads to a transport header.
    ExtensionHeaders,
    /// A fragment, where fragments are not tracked.
    FragmentUnsupported,
    /// A later fragment whose first one was not seen.
    FragmentUnknown,
    /// A later fragment that overlaps the first one, or TCP's header in it.
    FragmentOverlap,
    /// An ICMP error whose quotation is cut before the ports, or quotes a later fragment.
    QuoteTruncated,
    /// An ICMP error that quotes no tracked connection.
    QuoteUnknown,
    /// The table refused an entry. Entries stored before by the same call stay.
    NotCreated(Refusal),
}

impl Error {
    /// Every error, for counters; [`Refusal::Full`] stands for the refusals.
    pub const ALL: [Self; 15] = [
        Self::LinkTruncated,
        Self::NotIp,
        Self::NetworkTruncated,
        Self::NetworkMalformed,
        Self::IcmpFragment,
        Self::TransportTruncated,
        Self::TransportMalformed,
        Self::UnknownProtocol,
        Self::ExtensionHeaders,
        Self::FragmentUnsupported,
        Self::FragmentUnknown,
        Self::FragmentOverlap,
        Self::QuoteTruncated,
        Self::QuoteUnknown,
        Self::NotCreated(Refusal::Full),
    ];

    /// The error's position in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::LinkTruncated => 0,
            Self::NotIp => 1,
            Self::NetworkTruncated => 2,
            Self::NetworkMalformed => 3,
            Self::IcmpFragment => 4,
            Self::TransportTruncated => 5,
            Self::TransportMalformed => 6,
            Self::UnknownProtocol => 7,
            Self::ExtensionHeaders => 8,
            Self::FragmentUnsupported => 9,
            Self::FragmentUnknown => 10,
            Self::FragmentOverlap => 11,
            Self::QuoteTruncated => 12,
            Self::QuoteUnknown => 13,
            Self::NotCreated(_) => 14,
        }
    }

    /// Whether the packet's headers are at fault: cut short, or contradicting themselves.
    #[must_use]
    pub const fn is_invalid(self) -> bool {
        matches!(
            self,
            Self::LinkTruncated
                | Self::NetworkTruncated
                | Self::NetworkMalformed
                | Self::TransportTruncated
                | Self::QuoteTruncated
        )
    }

    /// The number that the specification gives it (negative), for callers that speak Cilium's
    /// drop codes.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::LinkTruncated
            | Self::NotIp
            | Self::NetworkTruncated
            | Self::NetworkMalformed
            | Self::IcmpFragment
            | Self::FragmentOverlap => -134,
            Self::TransportTruncated
            | Self::TransportMalformed
            | Self::QuoteTruncated
            | Self::QuoteUnknown => -135,
            Self::UnknownProtocol => -137,
            Self::NotCreated(_) => -155,
            Self::ExtensionHeaders => -156,
            Self::FragmentUnsupported => -157,
            Self::FragmentUnknown => -175,
        }
    }

    /// A few words, lower case, for counters and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkTruncated => "link header cut short",
            Self::NotIp => "not IP",
            Self::NetworkTruncated => "IP header cut short",
            Self::NetworkMalformed => "IP header malformed",
            Self::IcmpFragment => "fragmented ICMP",
            Self::TransportTruncated => "transport header cut short",
            Self::TransportMalformed => "transport header malformed",
            Self::UnknownProtocol => "protocol not tracked",
            Self::ExtensionHeaders => "IPv6 extension headers not followed",
            Self::FragmentUnsupported => "fragment",
            Self::FragmentUnknown => "fragment without its first",
            Self::FragmentOverlap => "fragment that overlaps the first",
            Self::QuoteTruncated => "ICMP error with a quotation cut short",
            Self::QuoteUnknown => "ICMP error about no known connection",
            Self::NotCreated(Refusal::Full) => "table full",
            Self::NotCreated(Refusal::Contended) => "table contended",
            Self::NotCreated(Refusal::Other(_)) => "table refused",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for Error {}

/// Why a table refused an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// Every slot that the tuple may take holds a connection that must not be evicted.
    Full,
    /// Others held the set's lock, or took the slots that were chosen, in each of a bounded number
    /// of tries.
    Contended,
    /// A table of another kind refused, with its own error number.
    Other(i32),
}
