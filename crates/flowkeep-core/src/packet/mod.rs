//! From bytes to a packet's tuple: link header, IP header, transport header.
//!
//! Everything here is total: whatever the bytes, the answer is a value or an [`Error`], and
//! nothing outside the packet is read: neither outside its bytes, nor, under rules that
//! [check IP headers](Rules::CHECK_IP_HEADER), beyond the length that its IP header states. Every
//! loop has a constant bound, because the kernel's verifier has to see it.

mod bounded;
mod fragments;
mod icmp;
mod jumbo;
mod link;
mod measure;
mod network;
mod plain;
mod quote;
mod transport;
mod tunnel;

pub use bounded::Bounded;
pub use fragments::{FragmentKey, FragmentPorts, Fragments, NoFragments, later_fragment};
pub use link::{Link, LinkType, link};
pub use measure::{Counted, Frame, Layout, measure};
pub use network::{Fragment, Network, OPEN, ipv4, ipv6, network};
pub use plain::{Plain, plain};
pub use quote::quoted;
pub use transport::{Packet, protocol, tcp, tcp_or_udp, transport};

use crate::Error;
use crate::rules::Rules;
use crate::settings::Settings;
use crate::tuple::Family;

/// The bytes of a packet, wherever they are kept.
pub trait Bytes {
    /// `N` bytes from offset `at`, or `None` if the packet ends before their last.
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]>;

    /// The offset itself, which is below 2^16. The kernel's verifier, who would walk the rest of
    /// the way once for every way to come here, is made to forget how it came about.
    #[inline(always)]
    fn offset(at: usize) -> usize {
        at
    }

    /// Whether these may be several packets in one, which a network card or the kernel has still to
    /// cut or has merged (LSO, GSO, GRO). Only the IP header of such may state a length of 0 with
    /// something behind it: on a wire there is no such packet, and a receiver drops it or what
    /// follows. A capture can't tell, so that by default it is believed.
    #[inline(always)]
    fn is_offloaded(&self) -> bool {
        true
    }

    /// `N` words of 32 bits from offset `at`, as they lie in memory.
    ///
    /// Compilers take what is read as bytes apart into bytes.
    #[inline(always)]
    fn words<const N: usize>(&self, at: usize) -> Option<[u32; N]> {
        let mut words = [0; N];
        for (index, word) in words.iter_mut().enumerate() {
            *word = u32::from_ne_bytes(self.read(at + 4 * index)?);
        }
        Some(words)
    }

    /// The byte at offset `at`.
    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.read::<1>(at).map(|[byte]| byte)
    }

    /// The big-endian 16-bit number at offset `at`.
    #[inline]
    fn u16(&self, at: usize) -> Option<u16> {
        self.read(at).map(u16::from_be_bytes)
    }
}

impl Bytes for [u8] {
    #[inline]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.get(at..)?.first_chunk().copied()
    }
}

/// A frame as it came from a wire, one packet and no more.
#[derive(Clone, Copy, Debug)]
pub struct FromWire<'a>(pub &'a [u8]);

impl Bytes for FromWire<'_> {
    #[inline]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.read(at)
    }

    #[inline(always)]
    fn is_offloaded(&self) -> bool {
        false
    }
}

/// Parses a packet from its link header on.
///
/// # Errors
/// What is wrong with the first header that can't be followed.
#[inline]
pub fn parse<R: Rules, B: Bytes + ?Sized>(
    bytes: &B,
    link_type: LinkType,
    settings: &Settings,
    fragments: &mut impl Fragments,
) -> Result<Packet, Error> {
    let link = link(bytes, link_type)?;
    // Apart to the end, so that a packet's parts stay in registers: where both families meet,
    // compilers put them into memory.
    match link.family {
        Family::V4 => {
            let network = ipv4::<R, B>(bytes, link.network)?;
            transport::<R, B>(bytes, &network, settings, fragments)
        }
        Family::V6 => {
            let network = ipv6::<R, B>(bytes, link.network)?;
            transport::<R, B>(bytes, &network, settings, fragments)
        }
    }
}

#[cfg(test)]
mod tests;
