//! What is remembered of a connection.

use crate::tuple::Address;

/// One-bit properties of an entry, combined by OR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct EntryFlags(pub u16);

impl EntryFlags {
    /// No mark.
    pub const NONE: Self = Self(0);
    /// A FIN or RST was seen on ingress.
    pub const RX_CLOSING: Self = Self(1 << 0);
    /// A FIN or RST was seen on egress or to a service.
    pub const TX_CLOSING: Self = Self(1 << 1);
    /// Closing in both directions.
    pub const CLOSED: Self = Self(Self::RX_CLOSING.0 | Self::TX_CLOSING.0);
    /// TCP: a packet without SYN was seen.
    pub const SEEN_NON_SYN: Self = Self(1 << 2);
    /// The endpoint reached itself through a service.
    pub const LOOPBACK: Self = Self(1 << 3);
    /// A node-port connection.
    pub const NODE_PORT: Self = Self(1 << 4);
    /// Redirected to a proxy.
    pub const PROXY_REDIRECT: Self = Self(1 << 5);
    /// Direct server return.
    pub const DSR: Self = Self(1 << 6);
    /// Comes from the L7 load balancer.
    pub const FROM_L7LB: Self = Self(1 << 7);
    /// Comes from a tunnel.
    pub const FROM_TUNNEL: Self = Self(1 << 8);
    /// The responder has sent a packet.
    pub const REPLIED: Self = Self(1 << 9);
    /// The connection is TCP; kept here so that an entry's worth can be judged without its key.
    pub const TCP: Self = Self(1 << 10);
    /// Table-private: there is, or was, an entry of the same two ends in the other direction.
    pub(crate) const HAS_REVERSE: Self = Self(1 << 13);
    /// Table-private: the slot is being written or removed.
    pub(crate) const BUSY: Self = Self(1 << 14);
    /// Table-private: the slot holds an entry.
    pub(crate) const LIVE: Self = Self(1 << 15);

    /// Whether every bit of `other` is set.
    #[must_use]
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any bit of `other` is set.
    #[must_use]
    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Sets the bits of `other`.
    #[inline]
    pub const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Clears the bits of `other`.
    #[inline]
    pub const fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    /// Sets or clears the bits of `other`.
    #[inline]
    pub const fn set(&mut self, other: Self, on: bool) {
        if on {
            self.insert(other)
        } else {
            self.remove(other)
        }
    }

    /// Whether the connection must never be evicted: the responder has
    /// sent, and for TCP the handshake is over. A SYN-ACK alone proves nothing: whoever floods a
    /// server with SYNs from forged sources gets one for each.
    #[must_use]
    #[inline]
    pub const fn assured(self) -> bool {
        self.contains(Self::REPLIED)
            && (!self.contains(Self::TCP) || self.contains(Self::SEEN_NON_SYN))
    }
}

/// The part of an entry that packets of its connection change.
///
/// Aligned so that two of its numbers are copied as one: the kernel's verifier refuses unaligned
/// accesses to the stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Progress {
    /// Second of the last report on egress or to a service; 0 for never.
    pub last_tx_report: u32,
    /// Second of the last report on ingress; 0 for never.
    pub last_rx_report: u32,
    /// The second at which the entry expires, modulo 2^32: at `lifetime` it is still there.
    pub lifetime: u32,
    /// One-bit properties.
    pub entry_flags: EntryFlags,
    /// TCP flags seen on egress and to a service, ORed, under the report mask.
    pub tx_flags: u8,
    /// TCP flags seen on ingress, ORed, under the report mask.
    pub rx_flags: u8,
}

impl Progress {
    /// Not closing in both directions.
    #[must_use]
    #[inline]
    pub const fn alive(&self) -> bool {
        !self.entry_flags.contains(EntryFlags::CLOSED)
    }

    /// Closing in at least one direction.
    #[must_use]
    #[inline]
    pub const fn closing(&self) -> bool {
        self.entry_flags.intersects(EntryFlags::CLOSED)
    }

    /// Past its lifetime: the collector's rule, `lifetime < now` in plain unsigned seconds.
    #[must_use]
    #[inline]
    pub const fn expired(&self, now: u32) -> bool {
        self.lifetime < now
    }
}

/// Packets and bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes, as the caller gives each packet's length.
    pub bytes: u64,
}

/// Everything that is remembered of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// What packets change.
    pub progress: Progress,
    /// Reverse-NAT index; 0 for none.
    pub rev_nat_index: u16,
    /// Port for NAT under 1.19's rules. Under 1.8's, which have none, the interface index is kept
    /// here.
    pub nat_port: u16,
    /// Security identity of the source.
    pub source_identity: u32,
    /// Ingress.
    pub rx: Counters,
    /// Egress and service.
    pub tx: Counters,
    /// Address for NAT. In an entry of a service the backend's number is kept in its first eight
    /// bytes: see [`Self::backend`].
    pub nat_address: Address,
    /// When it was created, in the caller's ticks.
    pub created: u64,
    /// When its last packet was counted, in the caller's ticks. With accounting off, when it was
    /// created. Not before `created`.
    pub last_seen: u64,
}

impl Entry {
    /// The backend's number that shares its storage with the NAT address.
    #[must_use]
    #[inline]
    pub const fn backend(&self) -> u64 {
        self.nat_address.words()[0]
    }

    /// Stores the backend's number in place of the NAT address's first half.
    #[inline]
    pub const fn set_backend(&mut self, backend: u64) {
        self.nat_address = Address::from_words([backend, self.nat_address.words()[1]]);
    }
}
