//! Look-up, touch and creation.

use core::intrinsics::AtomicOrdering::Relaxed;
use core::intrinsics::atomic_xadd;

use aya_ebpf::bindings::{__sk_buff, BPF_ANY};
use aya_ebpf::helpers::generated::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns};

use crate::entry::{Entry, Tuple, entry_flags};
use crate::maps::{ACCOUNTING, Connections, EXACT_CLOCK, REF_ANY, REF_TCP};
use crate::packet::{Packet, network, protocol, transport};

/// Timeouts, in seconds: of TCP, of TCP of which only SYNs were seen, of all else, and of what is
/// closing in both directions.
const TCP: u32 = 21_600;
const SYN: u32 = 60;
const NON_TCP: u32 = 60;
const CLOSE: u32 = 10;
/// A connection reports again when more than this has passed since its last report.
const REPORT_INTERVAL: u32 = 5;
/// Bytes of a packet that are worth reporting.
const HEADERS: u32 = 128;

/// TCP's flags.
mod tcp {
    pub(super) const FIN: u8 = 0x01;
    pub(super) const SYN: u8 = 0x02;
    pub(super) const RST: u8 = 0x04;
}

/// Tracks a packet.
#[inline(always)]
pub(crate) fn track<const INGRESS: bool>(skb: *mut __sk_buff) {
    let Some(network) = network(skb) else {
        return;
    };
    // Maps are chosen once, so that the kernel can put its look-ups into the program.
    match network.protocol {
        protocol::TCP => {
            if let Some(packet) = transport::<{ protocol::TCP }, INGRESS>(skb, &network) {
                steps::<{ protocol::TCP }, INGRESS>(&REF_TCP, &packet);
            }
        }
        protocol::UDP => {
            if let Some(packet) = transport::<{ protocol::UDP }, INGRESS>(skb, &network) {
                steps::<{ protocol::UDP }, INGRESS>(&REF_ANY, &packet);
            }
        }
        protocol::ICMP => {
            if let Some(packet) = transport::<{ protocol::ICMP }, INGRESS>(skb, &network) {
                steps::<{ protocol::ICMP }, INGRESS>(&REF_ANY, &packet);
            }
        }
        _ => {}
    }
}

#[inline(always)]
fn steps<const PROTOCOL: u8, const INGRESS: bool>(connections: &Connections, packet: &Packet) {
    // SAFETY: helpers without arguments.
    let nanoseconds = unsafe {
        if EXACT_CLOCK.load() == 0 {
            bpf_ktime_get_coarse_ns()
        } else {
            bpf_ktime_get_ns()
        }
    };
    let now = (nanoseconds / 1_000_000_000) as u32;
    if let Some(entry) = connections.get_ptr_mut(&packet.tuple) {
        touch::<PROTOCOL, INGRESS>(entry, packet, now);
        return;
    }
    let forward = packet.tuple.reversed();
    if let Some(entry) = connections.get_ptr_mut(&forward) {
        touch::<PROTOCOL, INGRESS>(entry, packet, now);
        return;
    }
    create::<PROTOCOL, INGRESS>(connections, &forward, packet, now);
}

/// Stores an entry for a connection, and one for ICMP errors about it.
#[inline(always)]
fn create<const PROTOCOL: u8, const INGRESS: bool>(
    connections: &Connections,
    tuple: &Tuple,
    packet: &Packet,
    now: u32,
) {
    let mut entry = Entry::NEW;
    refresh::<PROTOCOL, INGRESS>(&raw mut entry, tcp::SYN, now);
    if ACCOUNTING.load() != 0 {
        if INGRESS {
            (entry.rx_packets, entry.rx_bytes) = (1, packet.length);
        } else {
            (entry.tx_packets, entry.tx_bytes) = (1, packet.length);
        }
    }
    if connections
        .insert(tuple, &entry, u64::from(BPF_ANY))
        .is_err()
        || tuple.related()
    {
        return;
    }
    entry.entry_flags |= entry_flags::SEEN_NON_SYN;
    // Refused only without memory.
    let _ = REF_ANY.insert(&tuple.of_errors(), &entry, u64::from(BPF_ANY));
}

/// What a packet does to the entry that it finds: how many of its bytes are worth reporting.
#[inline(always)]
fn touch<const PROTOCOL: u8, const INGRESS: bool>(
    entry: *mut Entry,
    packet: &Packet,
    now: u32,
) -> u32 {
    let mut monitor = 0;
    // SAFETY: an element of a map, which lives as long as the program runs. Others may change it
    // at the same time; what is lost then comes again with the next packet.
    unsafe {
        let alive = (*entry).entry_flags & entry_flags::CLOSED != entry_flags::CLOSED;
        if alive {
            monitor = refresh::<PROTOCOL, INGRESS>(entry, packet.tcp_flags, now);
        }
        if ACCOUNTING.load() != 0 {
            let (packets, bytes) = if INGRESS {
                (&raw mut (*entry).rx_packets, &raw mut (*entry).rx_bytes)
            } else {
                (&raw mut (*entry).tx_packets, &raw mut (*entry).tx_bytes)
            };
            atomic_xadd::<u64, u64, { Relaxed }>(packets, 1);
            atomic_xadd::<u64, u64, { Relaxed }>(bytes, packet.length);
        }
        if packet.passive {
            return monitor;
        }
        if PROTOCOL == protocol::TCP && packet.tcp_flags & (tcp::FIN | tcp::RST) != 0 {
            (*entry).entry_flags |= if INGRESS {
                entry_flags::RX_CLOSING
            } else {
                entry_flags::TX_CLOSING
            };
            monitor = HEADERS;
            if (*entry).entry_flags & entry_flags::CLOSED == entry_flags::CLOSED {
                expire_in::<INGRESS>(entry, CLOSE, packet.tcp_flags, now);
            }
        } else if PROTOCOL == protocol::TCP
            && packet.tcp_flags & tcp::SYN != 0
            && (*entry).entry_flags & entry_flags::CLOSED != 0
        {
            (*entry).entry_flags &= !entry_flags::CLOSED;
            monitor = refresh::<PROTOCOL, INGRESS>(entry, packet.tcp_flags, now);
        }
    }
    monitor
}

/// Sets the lifetime that the packet gives the entry.
#[inline(always)]
fn refresh<const PROTOCOL: u8, const INGRESS: bool>(
    entry: *mut Entry,
    tcp_flags: u8,
    now: u32,
) -> u32 {
    let mut timeout = NON_TCP;
    if PROTOCOL == protocol::TCP {
        // SAFETY: as in `touch`.
        unsafe {
            if tcp_flags & tcp::SYN == 0 && (*entry).entry_flags & entry_flags::SEEN_NON_SYN == 0 {
                (*entry).entry_flags |= entry_flags::SEEN_NON_SYN;
            }
            timeout = if (*entry).entry_flags & entry_flags::SEEN_NON_SYN != 0 {
                TCP
            } else {
                SYN
            };
        }
    }
    expire_in::<INGRESS>(entry, timeout, tcp_flags, now)
}

/// Sets the lifetime, and remembers TCP's flags: what is worth reporting.
#[inline(always)]
fn expire_in<const INGRESS: bool>(entry: *mut Entry, timeout: u32, tcp_flags: u8, now: u32) -> u32 {
    // SAFETY: as in `touch`.
    unsafe {
        (*entry).lifetime = now.wrapping_add(timeout);
        let (seen, reported) = if INGRESS {
            (&raw mut (*entry).rx_flags, &raw mut (*entry).last_rx_report)
        } else {
            (&raw mut (*entry).tx_flags, &raw mut (*entry).last_tx_report)
        };
        let flags = *seen | tcp_flags;
        if (*reported).wrapping_add(REPORT_INTERVAL) < now || flags != *seen {
            *seen = flags;
            *reported = now;
            return HEADERS;
        }
    }
    0
}
