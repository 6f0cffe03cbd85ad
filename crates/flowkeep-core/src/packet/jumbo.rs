//! IPv6 packets that are longer than their header can state (RFC 2675, Linux's BIG TCP).

use super::Bytes;
use crate::Error;

/// What the jumbo payload option states.
#[derive(Clone, Copy)]
pub(super) struct Jumbo {
    /// Bytes behind the IPv6 header.
    pub(super) payload: u32,
    /// Bytes of the hop-by-hop options header, if nothing else is in it; else 0.
    pub(super) alone: u8,
}

/// Looks for the option in the hop-by-hop options header at offset `at` of a packet that states to
/// have no payload.
///
/// # Errors
/// [`Error::NetworkMalformed`] if it is not there, or states what the IPv6 header could have stated
/// (RFC 2675, 3).
pub(super) fn jumbo<B: Bytes + ?Sized>(bytes: &B, at: usize) -> Result<Jumbo, Error> {
    /// Options that are looked at. Where there is this one, it is the only one but for padding.
    const OPTIONS: usize = 4;
    const PAD1: u8 = 0;
    const JUMBO_PAYLOAD: u8 = 0xc2;
    let [_, units] = bytes.read(at).ok_or(Error::NetworkTruncated)?;
    let end = at + (usize::from(units) + 1) * 8;
    let mut option = at + 2;
    for _ in 0..OPTIONS {
        option = B::offset(option);
        if option + 6 > end {
            break;
        }
        let [kind, length, p0, p1, p2, p3] = bytes.read(option).ok_or(Error::NetworkTruncated)?;
        if kind == JUMBO_PAYLOAD && length == 4 {
            let payload = u32::from_be_bytes([p0, p1, p2, p3]);
            if payload <= u32::from(u16::MAX) {
                break;
            }
            let alone = if units == 0 { 8 } else { 0 };
            return Ok(Jumbo { payload, alone });
        }
        option += match kind {
            PAD1 => 1,
            _ => 2 + usize::from(length),
        };
    }
    Err(Error::NetworkMalformed)
}
