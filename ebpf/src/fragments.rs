//! First fragments, remembered in a map of the kernel that forgets the least used.

use aya_ebpf::bindings::BPF_ANY;
use flowkeep_abi::FirstFragment;
use flowkeep_core::packet::{FragmentKey, FragmentPorts, Fragments};
use flowkeep_core::tracker::Instant;

use crate::maps::FIRST_FRAGMENTS;

/// Seconds after which the fragments of a packet no longer belong together (RFC 8200, 4.5).
const LIFETIME: u32 = 60;

/// First fragments, and the time.
pub(crate) struct FirstFragments {
    seconds: u32,
}

impl FirstFragments {
    #[inline(always)]
    pub(crate) const fn at(now: Instant) -> Self {
        Self {
            seconds: now.seconds,
        }
    }
}

impl Fragments for FirstFragments {
    #[inline(never)]
    fn record(&mut self, key: &FragmentKey, ports: FragmentPorts) {
        let first = FirstFragment {
            seconds: self.seconds,
            source: ports.source,
            destination: ports.destination,
            protocol: u32::from(ports.protocol),
            length: u32::from(ports.length),
        };
        // Refused only without memory: then its later fragments are of an unknown packet.
        let _ = FIRST_FRAGMENTS.insert(&words(key), &first, u64::from(BPF_ANY));
    }

    #[inline(never)]
    fn ports(&mut self, key: &FragmentKey) -> Option<FragmentPorts> {
        // SAFETY: the value is copied at once. If it is replaced meanwhile, both are of packets
        // between the same ends with the same identification.
        let first = unsafe { *FIRST_FRAGMENTS.get(&words(key))? };
        (self.seconds.wrapping_sub(first.seconds) <= LIFETIME).then_some(FragmentPorts {
            source: first.source,
            destination: first.destination,
            length: first.length as u16,
            protocol: first.protocol as u8,
        })
    }
}

#[inline(always)]
fn words(key: &FragmentKey) -> [u64; 5] {
    let halves = |address: [u8; 16]| {
        let both = u128::from_ne_bytes(address);
        [both as u64, (both >> 64) as u64]
    };
    let ([d0, d1], [s0, s1]) = (
        halves(key.destination.octets()),
        halves(key.source.octets()),
    );
    let rest = u64::from(key.id) | u64::from(key.protocol) << 32 | (key.family as u64) << 40;
    [d0, d1, s0, s1, rest]
}
