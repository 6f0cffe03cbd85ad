//! The packet that an ICMP error quotes.

use super::transport::protocol;
use super::{Bounded, Bytes, network};
use crate::Error;
use crate::rules::Rules;
use crate::tuple::{Family, Tuple};

/// The tuple of the packet quoted at offset `at`, as that packet itself had it. The bytes have to
/// end where the message does that quotes it, see [`Bounded`].
///
/// Routers have to quote eight bytes of the transport header at least (RFC 792; RFC 1812,
/// 4.3.2.3), enough for the ports. A quoted echo request's identifier is within them too. An ICMP
/// error must not be sent about another one (RFC 1122, 3.2.2), so a quoted error relates to
/// nothing.
///
/// # Errors
/// [`Error::QuoteTruncated`] if the quotation is cut before the ports or is of a later fragment;
/// [`Error::QuoteUnknown`] if it quotes something that can't be tracked.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub fn quoted<R: Rules, B: Bytes + ?Sized>(
    bytes: &B,
    at: usize,
    family: Family,
) -> Result<Tuple, Error> {
    let bytes = &Quotation(bytes);
    let inner = network::<R, _>(bytes, family, at).map_err(|error| match error {
        Error::NetworkTruncated => Error::QuoteTruncated,
        _ => Error::QuoteUnknown,
    })?;
    if inner.fragment.is_some_and(|fragment| !fragment.is_first()) {
        return Err(Error::QuoteTruncated);
    }
    let tuple = inner.tuple();
    // Behind a short packet a router may add zeros and objects (RFC 4884, 5).
    let bytes = &Bounded::new(bytes, inner.end);
    let first: Option<[u8; 4]> = bytes.read(inner.transport);
    match (inner.protocol, family) {
        (protocol::TCP | protocol::UDP | protocol::SCTP, _) => {
            let [s0, s1, d0, d1] = first.ok_or(Error::QuoteTruncated)?;
            let (source, destination) =
                (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
            Ok(tuple.with_ports(source, destination))
        }
        (protocol::ICMP, Family::V4) | (protocol::ICMPV6, Family::V6) => {
            let [icmp_type, ..] = first.ok_or(Error::QuoteTruncated)?;
            let identifier = || bytes.u16(inner.transport + 4).ok_or(Error::QuoteTruncated);
            match (icmp_type, family) {
                (8, Family::V4) | (128, Family::V6) => Ok(tuple.with_ports(identifier()?, 0)),
                (0, Family::V4) | (129, Family::V6) => Ok(tuple.with_ports(0, identifier()?)),
                _ => Err(Error::QuoteUnknown),
            }
        }
        // Protocols without ports are tracked by their addresses.
        _ => Ok(tuple),
    }
}

/// Bytes of a packet that is quoted: a router that merges packets quotes them merged, even if the
/// message that quotes them is one packet.
struct Quotation<'a, B: ?Sized>(&'a B);

impl<B: Bytes + ?Sized> Bytes for Quotation<'_, B> {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.read(at)
    }

    #[inline(always)]
    fn offset(at: usize) -> usize {
        B::offset(at)
    }
}
