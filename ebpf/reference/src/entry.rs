//! Keys and values.

/// One direction of a connection. Two words, each written in one piece: the kernel hashes and
/// compares them as words, and a processor that reads a word which was written in pieces has to
/// wait for all of them to reach its cache.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Tuple {
    /// Destination in the low half, source in the high one, each as it lies in the packet.
    addresses: u64,
    /// Ports as they lie in the packet in bits 0 to 31, protocol in 32 to 39, flags in 40 to 47.
    rest: u64,
}

/// The flags of a [`Tuple`].
pub(crate) mod flags {
    pub(crate) const OUT: u8 = 0;
    pub(crate) const IN: u8 = 1;
    pub(crate) const RELATED: u8 = 2;
}

/// Protocol number of ICMP.
const ICMP: u8 = 1;

const PORTS: u64 = 0xffff_ffff;
const PROTOCOL: u32 = 32;
const FLAGS: u32 = 40;

impl Tuple {
    #[inline(always)]
    pub(crate) const fn new(addresses: u64, ports: u32, protocol: u8, flags: u8) -> Self {
        let rest = ports as u64 | (protocol as u64) << PROTOCOL | (flags as u64) << FLAGS;
        Self { addresses, rest }
    }

    /// Of the other direction.
    #[inline(always)]
    pub(crate) const fn reversed(&self) -> Self {
        let ports = (self.rest as u32).rotate_left(16) as u64;
        let flags = self.rest & !PORTS ^ (flags::IN as u64) << FLAGS;
        Self {
            addresses: self.addresses.rotate_left(32),
            rest: flags | ports,
        }
    }

    /// Of ICMP errors about it.
    #[inline(always)]
    pub(crate) const fn of_errors(&self) -> Self {
        let flags = (self.rest >> FLAGS) as u8 | flags::RELATED;
        Self::new(self.addresses, 0, ICMP, flags)
    }

    #[inline(always)]
    pub(crate) const fn related(&self) -> bool {
        (self.rest >> FLAGS) as u8 & flags::RELATED != 0
    }
}

/// What is remembered of a connection.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) rx_packets: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) tx_packets: u64,
    pub(crate) tx_bytes: u64,
    /// The second at which it expires.
    pub(crate) lifetime: u32,
    pub(crate) entry_flags: u16,
    /// This and the next two are for services and policies, which are not measured; without them
    /// entries would be smaller than they are.
    pub(crate) rev_nat_index: u16,
    pub(crate) interface: u16,
    pub(crate) tx_flags: u8,
    pub(crate) rx_flags: u8,
    pub(crate) source_identity: u32,
    pub(crate) last_tx_report: u32,
    pub(crate) last_rx_report: u32,
}

/// The marks of an [`Entry`].
pub(crate) mod entry_flags {
    pub(crate) const RX_CLOSING: u16 = 1;
    pub(crate) const TX_CLOSING: u16 = 2;
    pub(crate) const CLOSED: u16 = RX_CLOSING | TX_CLOSING;
    pub(crate) const SEEN_NON_SYN: u16 = 4;
}

impl Entry {
    pub(crate) const NEW: Self = Self {
        rx_packets: 0,
        rx_bytes: 0,
        tx_packets: 0,
        tx_bytes: 0,
        lifetime: 0,
        entry_flags: 0,
        rev_nat_index: 0,
        interface: 0,
        tx_flags: 0,
        rx_flags: 0,
        source_identity: 0,
        last_tx_report: 0,
        last_rx_report: 0,
    };
}

const _: () = {
    assert!(size_of::<Tuple>() == 16);
    assert!(size_of::<Entry>() == 56);
};
