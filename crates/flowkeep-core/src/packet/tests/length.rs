//! Nothing is read beyond the length that the IP header states, whatever the frame has there.

use std::string::String;
use std::vec::Vec;

use super::{Recorded, TCP, TCP6, UDP4, hex, icmp4, ipv6, packet, udp4};
use crate::Error;
use crate::packet::{LinkType, Packet, parse};
use crate::rules::{Cilium119, Default as Flowkeep};
use crate::settings::Settings;

/// What [`Flowkeep`]'s rules make of a packet. Its later fragments find their first one.
fn read(bytes: &[u8]) -> Result<Packet, Error> {
    let mut known = Recorded::default();
    known.assume(UDP4_LATER);
    parse::<Flowkeep, [u8]>(bytes, LinkType::RawIp, &Settings::default(), &mut known)
}

const UDP4_LATER: &str = "4500001c 12340002 4011 0000 c0000201 c6336407 1112131415161718";

/// Packets of every kind that has something to read behind the IP header.
fn kinds() -> Vec<String> {
    let quoting = |quotation: &str| icmp4(&["0304 0000 00000578", quotation]);
    std::vec![
        UDP4.into(),
        UDP4_LATER.into(),
        TCP6.into(),
        icmp4(&["0800 0000 beef 0001"]),
        "45000020 00010000 4084 0000 c0000201 c6336407 d431 0035 00000000 00000000".into(),
        quoting(UDP4),
        quoting("45000028 00010000 4006 0000 c0000201 c6336407 d431 0035 00000001"),
        quoting("4500001c 00010000 4001 0000 c0000201 c6336407 0800 0000 beef 0001"),
        ipv6(58, &["0200 0000 00000578", TCP6]),
        ipv6(
            0,
            &[
                "3c 00 05020000 0100  06 01 010c 000000000000 000000000000",
                TCP
            ]
        ),
        ipv6(44, &["06 00 0001 00000007", TCP]),
        ipv6(
            60,
            &[
                "2c 00 010400000000  3c 00 0001 00000007  06 00 010400000000",
                TCP
            ]
        ),
    ]
}

/// Has the header state that the packet is so long.
fn state(bytes: &mut [u8], length: usize) {
    let (at, stated) = if bytes[0] >> 4 == 4 {
        (2, length)
    } else {
        (4, length - 40)
    };
    bytes[at..at + 2].copy_from_slice(&(stated as u16).to_be_bytes());
}

#[test]
fn a_reset_in_the_padding_of_a_frame_is_none() {
    // 20 bytes of IP, and 26 of padding up to Ethernet's shortest frame.
    let empty = "45000014 00010000 4006 0000 c0000201 c6336407";
    let padding = "d431 0035 00000001 00000000 5004 0000 0000 0000 000000000000";
    assert_eq!(
        packet::<Flowkeep>(&[empty, padding]),
        Err(Error::TransportTruncated)
    );
    // Cilium's trackers read it.
    let read = packet::<Cilium119>(&[empty, padding]).expect("read as if it were there");
    assert_eq!(read.tcp_flags, 4);
}

#[test]
fn a_packet_that_states_to_be_shorter_is_read_as_if_the_frame_were() {
    for kind in kinds() {
        let whole = hex(&kind);
        let header = if whole[0] >> 4 == 4 { 20 } else { 41 };
        for length in header..=whole.len() {
            let mut bytes = whole.clone();
            state(&mut bytes, length);
            let cut = read(&bytes[..length]);
            assert_eq!(read(&bytes), cut, "{length} of {kind}");
            let padded = [&bytes[..length], &[0xff; 64]].concat();
            assert_eq!(read(&padded), cut, "{length} of {kind}, padded");
        }
        assert!(read(&whole).is_ok(), "{kind}");
    }
}

#[test]
fn a_quotation_is_read_within_the_error_and_within_what_was_quoted() {
    // A router quotes 24 bytes, and its frame is padded.
    let cut = "45000024 12340000 4011 0000 c0000201 c6336407";
    let error = icmp4(&["0304 0000 00000578", cut]);
    assert_eq!(
        packet::<Flowkeep>(&[&error, "d431 0035"]),
        Err(Error::QuoteTruncated)
    );
    // RFC 4884, 5: a short packet is quoted with zeros behind it. They are not its ports.
    let short = "45000014 12340000 4011 0000 c0000201 c6336407";
    let error = icmp4(&["0304 0000 00000578", short, &"00".repeat(108)]);
    assert_eq!(packet::<Flowkeep>(&[&error]), Err(Error::QuoteTruncated));
    // Most are cut: what was quoted goes on behind the quotation.
    let error = icmp4(&["0304 0000 00000578", &UDP4[..57]]);
    let quote = packet::<Flowkeep>(&[&error]).map(|packet| packet.quote);
    assert_eq!(quote, Ok(Some(udp4())));
}
