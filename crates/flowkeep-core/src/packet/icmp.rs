//! ICMP and ICMPv6: which kind, and what an error quotes.

use super::quote::quoted;
use super::{Bytes, Packet};
use crate::Error;
use crate::rules::Rules;
use crate::tuple::Flags;

/// The types of ICMP or ICMPv6 that matter.
pub(super) struct IcmpTypes {
    echo_request: u8,
    echo_reply: u8,
    errors: &'static [u8],
}

/// RFC 792.
pub(super) const ICMP: IcmpTypes = IcmpTypes {
    echo_request: 8,
    echo_reply: 0,
    errors: &[3, 11, 12],
};
/// RFC 4443.
pub(super) const ICMPV6: IcmpTypes = IcmpTypes {
    echo_request: 128,
    echo_reply: 129,
    errors: &[1, 2, 3, 4],
};

/// ICMP: an echo's identifier takes a port's place, an error is marked as related.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline(never))]
pub(super) fn icmp<R: Rules, B: Bytes + ?Sized>(
    bytes: &B,
    at: usize,
    mut packet: Packet,
    types: &IcmpTypes,
) -> Result<Packet, Error> {
    let icmp_type = bytes.byte(at).ok_or(Error::TransportTruncated)?;
    let code = bytes.byte(at + 1);
    if R::ICMP_NEEDS_CODE && !packet.tuple.flags().contains(Flags::IPV6) && code.is_none() {
        return Err(Error::TransportTruncated);
    }
    let identifier = || bytes.u16(at + 4).ok_or(Error::TransportTruncated);
    if icmp_type == types.echo_request {
        packet.tuple = packet.tuple.with_ports(identifier()?, 0);
    } else if icmp_type == types.echo_reply {
        packet.tuple = packet.tuple.with_ports(0, identifier()?);
    } else {
        packet.icmp = [icmp_type, code.unwrap_or(0)];
        if types.errors.contains(&icmp_type) {
            let flags = packet.tuple.flags().union(Flags::RELATED);
            packet.tuple = packet.tuple.with_flags(flags);
            if R::RELATE_BY_QUOTE {
                packet.quote = Some(quoted::<R, B>(bytes, at + 8, packet.tuple.family())?);
            }
        }
    }
    Ok(packet)
}
