//! From bytes to a packet's tuple: link header, IP header, transport header.
//!
//! Everything here is total: whatever the bytes, the answer is a value or an [`Error`], and
//! nothing outside the packet is read. Every loop has a constant bound, because the kernel's
//! verifier has to see it.

mod fragments;
mod icmp;
mod link;
mod network;
mod quote;
mod transport;

pub use fragments::{FragmentKey, FragmentPorts, Fragments, NoFragments};
pub use link::{Link, LinkType, link};
pub use network::{Fragment, Network, ipv4, ipv6, network};
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
