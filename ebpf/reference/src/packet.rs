//! From bytes to a tuple.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::bpf_skb_load_bytes;

use crate::entry::{Tuple, flags};
use crate::maps::DIRECT;

/// A packet, as far as tracking needs it. Its tuple is the one that is looked up first: reversed
/// against what it would be created under.
pub(crate) struct Packet {
    pub(crate) tuple: Tuple,
    /// Of TCP.
    pub(crate) tcp_flags: u8,
    /// Asks nothing of the entry that it finds: ICMP errors and echo replies.
    pub(crate) passive: bool,
    /// Bytes.
    pub(crate) length: u64,
}

/// Protocol numbers.
pub(crate) mod protocol {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
}

const IPV4: u16 = 0x0800;
const NETWORK: usize = 14;
const IPV4_HEADER: usize = 20;

/// The part of the IPv4 header that matters, and where the transport header begins.
pub(crate) struct Network {
    pub(crate) protocol: u8,
    /// Destination in the low half, source in the high one.
    addresses: u64,
    transport: usize,
}

/// Reads the IPv4 header, which is in the first buffer. `None` for other packets.
#[inline(always)]
pub(crate) fn network(skb: *mut __sk_buff) -> Option<Network> {
    // SAFETY: the kernel passes a valid context.
    let (start, end) = unsafe { ((*skb).data as usize, (*skb).data_end as usize) };
    if start + NETWORK + IPV4_HEADER > end {
        return None;
    }
    // SAFETY: between the packet's start and end.
    unsafe {
        if u16::from_be(((start + 12) as *const u16).read_unaligned()) != IPV4 {
            return None;
        }
        let at = start + NETWORK;
        let version_length = (at as *const u8).read();
        let later_fragment = u16::from_be(((at + 6) as *const u16).read_unaligned()) & 0x1fff != 0;
        if later_fragment {
            return None;
        }
        Some(Network {
            protocol: ((at + 9) as *const u8).read(),
            addresses: ((at + 12) as *const u64).read_unaligned().rotate_left(32),
            transport: NETWORK + usize::from(version_length & 0xf) * 4,
        })
    }
}

/// Reads the transport header.
#[inline(always)]
pub(crate) fn transport<const PROTOCOL: u8, const INGRESS: bool>(
    skb: *mut __sk_buff,
    network: &Network,
) -> Option<Packet> {
    // The reverse direction is looked up first.
    let direction = if INGRESS { flags::OUT } else { flags::IN };
    let tuple = |ports, kind| Tuple::new(network.addresses, ports, PROTOCOL, direction | kind);
    let at = network.transport;
    // SAFETY: the kernel passes a valid context.
    let length = u64::from(unsafe { (*skb).len });
    let packet = |tuple, tcp_flags, passive| Packet {
        tuple,
        tcp_flags,
        passive,
        length,
    };
    match PROTOCOL {
        protocol::TCP => {
            let [_, tcp_flags] = read(skb, at + 12)?;
            let ports = u32::from_ne_bytes(read(skb, at)?);
            Some(packet(tuple(ports, 0), tcp_flags, false))
        }
        protocol::UDP => {
            let ports = u32::from_ne_bytes(read(skb, at)?);
            Some(packet(tuple(ports, 0), 0, false))
        }
        _ => {
            let [kind, _] = read(skb, at)?;
            match kind {
                // Destination unreachable, time exceeded, parameter problem.
                3 | 11 | 12 => Some(packet(tuple(0, flags::RELATED), 0, true)),
                // Echo request and reply.
                8 | 0 => {
                    let identifier = u16::from_ne_bytes(read(skb, at + 4)?);
                    let request = kind == 8;
                    let ports = if request {
                        [identifier, 0]
                    } else {
                        [0, identifier]
                    };
                    let [first, second] = ports.map(u32::from);
                    Some(packet(tuple(first | second << 16, 0), 0, !request))
                }
                _ => Some(packet(tuple(0, 0), 0, false)),
            }
        }
    }
}

/// Reads some bytes of the packet.
#[inline(always)]
fn read<const N: usize>(skb: *mut __sk_buff, at: usize) -> Option<[u8; N]> {
    if DIRECT.load() == 0 {
        let mut bytes = [0; N];
        // SAFETY: the kernel passes a valid context, and the buffer has `N` bytes.
        let failed = unsafe {
            bpf_skb_load_bytes(skb.cast(), at as u32, bytes.as_mut_ptr().cast(), N as u32)
        };
        return (failed == 0).then_some(bytes);
    }
    // SAFETY: as above.
    let (start, end) = unsafe { ((*skb).data as usize, (*skb).data_end as usize) };
    let start = start + at;
    if start + N > end {
        return None;
    }
    // SAFETY: between the packet's start and end.
    Some(unsafe { (start as *const [u8; N]).read() })
}
