//! UDP datagrams (RFC 768) and the DNS messages in them (RFC 1035).

use super::{checksum, ip::Addresses, protocol, push16, push32, set16};

/// Length of the header.
pub(crate) const HEADER_LEN: u16 = 8;

/// Replaces `out` by a datagram. Ports are source and destination.
pub(crate) fn write(out: &mut Vec<u8>, addresses: &Addresses, ports: (u16, u16), data: &[u8]) {
    begin(out, ports);
    out.extend_from_slice(data);
    finish(out, addresses);
}

/// Replaces `out` by a DNS message: a question for an address record, and the answers.
pub(crate) fn write_dns(
    out: &mut Vec<u8>,
    addresses: &Addresses,
    ports: (u16, u16),
    id: u16,
    answers: u8,
) {
    begin(out, ports);
    push16(out, id);
    push16(out, if answers == 0 { 0x0100 } else { 0x8180 });
    for count in [1, u16::from(answers), 0, 0] {
        push16(out, count);
    }
    out.extend_from_slice(b"\x04host\x07example\x03org\x00");
    push16(out, 1); // A
    push16(out, 1); // IN
    for number in 1..=answers {
        push16(out, 0xc00c); // the question's name
        push16(out, 1);
        push16(out, 1);
        push32(out, 300);
        push16(out, 4);
        out.extend_from_slice(&[192, 0, 2, number]);
    }
    finish(out, addresses);
}

fn begin(out: &mut Vec<u8>, (source, destination): (u16, u16)) {
    out.clear();
    push16(out, source);
    push16(out, destination);
    push32(out, 0);
}

fn finish(out: &mut [u8], addresses: &Addresses) {
    set16(out, 4, out.len() as u16);
    // 0 would say that there is no checksum; 0xffff is the same number.
    let sum = match checksum::transport(addresses, protocol::UDP, out) {
        0 => 0xffff,
        sum => sum,
    };
    set16(out, 6, sum);
}
