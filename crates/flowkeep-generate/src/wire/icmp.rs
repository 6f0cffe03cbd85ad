//! ICMP (RFC 792) and ICMPv6 (RFC 4443).

use super::{checksum, ip::Addresses, protocol, push16, push32, set16};
use crate::script::Cause;

/// Length of the header of echoes and errors.
pub(crate) const HEADER_LEN: usize = 8;

/// The protocol number that goes with the addresses.
pub(crate) const fn protocol_of(addresses: &Addresses) -> u8 {
    if addresses.is_v4() {
        protocol::ICMP
    } else {
        protocol::ICMPV6
    }
}

/// Replaces `out` by an echo request or reply.
pub(crate) fn write_echo(
    out: &mut Vec<u8>,
    addresses: &Addresses,
    request: bool,
    identifier: u16,
    sequence: u16,
    data: &[u8],
) {
    let icmp_type = match (addresses.is_v4(), request) {
        (true, true) => 8,
        (true, false) => 0,
        (false, true) => 128,
        (false, false) => 129,
    };
    out.clear();
    out.extend_from_slice(&[icmp_type, 0, 0, 0]);
    push16(out, identifier);
    push16(out, sequence);
    out.extend_from_slice(data);
    finish(out, addresses);
}

/// Replaces `out` by an error. `addresses` are the error's own.
pub(crate) fn write_error(out: &mut Vec<u8>, addresses: &Addresses, cause: Cause, quote: &[u8]) {
    const MTU: u32 = 1280;
    let (icmp_type, code, rest) = match (addresses.is_v4(), cause) {
        (true, Cause::HostUnreachable) => (3, 1, 0),
        (true, Cause::PortUnreachable) => (3, 3, 0),
        (true, Cause::TooBig) => (3, 4, MTU),
        (true, Cause::Prohibited) => (3, 13, 0),
        (true, Cause::TimeExceeded) => (11, 0, 0),
        (false, Cause::Prohibited) => (1, 1, 0),
        (false, Cause::HostUnreachable) => (1, 3, 0),
        (false, Cause::PortUnreachable) => (1, 4, 0),
        (false, Cause::TooBig) => (2, 0, MTU),
        (false, Cause::TimeExceeded) => (3, 0, 0),
    };
    out.clear();
    out.extend_from_slice(&[icmp_type, code, 0, 0]);
    push32(out, rest);
    out.extend_from_slice(quote);
    finish(out, addresses);
}

fn finish(out: &mut [u8], addresses: &Addresses) {
    // Only ICMPv6 covers a pseudo-header.
    let sum = if addresses.is_v4() {
        checksum::finish(checksum::sum(out))
    } else {
        checksum::transport(addresses, protocol::ICMPV6, out)
    };
    set16(out, 2, sum);
}
