//! TCP's data offset, and transport headers that are not whole.

use std::string::String;

use super::{TCP6, hex, ipv6, packet};
use crate::Error;
use crate::rules::{Cilium18, Cilium119, Default as Flowkeep};

/// A TCP segment with this data offset, in words of four bytes, and so many bytes behind the
/// shortest header.
fn segment(offset: u8, behind: usize) -> String {
    let flags = std::format!("{:04x}", u16::from(offset) << 12 | 0x14);
    let header = std::format!("01bb c350 00000001 00000002 {flags} ffff 0000 0000");
    ipv6(6, &[&header, &"00".repeat(behind)])
}

#[test]
fn a_data_offset_that_cannot_be_is_malformed() {
    for (offset, behind) in [(0, 0), (0, 40), (4, 0), (6, 0), (6, 3), (15, 39)] {
        let text = segment(offset, behind);
        assert_eq!(
            packet::<Flowkeep>(&[&text]),
            Err(Error::TransportMalformed),
            "{offset} {behind}"
        );
        // Cilium's trackers don't look.
        for read in [packet::<Cilium18>(&[&text]), packet::<Cilium119>(&[&text])] {
            assert_eq!(read.map(|packet| packet.tcp_flags), Ok(0x14));
        }
    }
    for (offset, behind) in [(5, 0), (5, 100), (6, 4), (15, 40)] {
        let text = segment(offset, behind);
        let flags = packet::<Flowkeep>(&[&text]).map(|packet| packet.tcp_flags);
        assert_eq!(flags, Ok(0x14), "{offset} {behind}");
    }
}

#[test]
fn a_capture_may_be_cut_within_the_header() {
    // All that is looked at is there, and the header states that the rest was.
    let bytes = hex(TCP6);
    let text: String = bytes[..54]
        .iter()
        .map(|byte| std::format!("{byte:02x}"))
        .collect();
    assert_eq!(packet::<Flowkeep>(&[&text]), packet::<Flowkeep>(&[TCP6]));
}

#[test]
fn a_transport_header_is_whole_within_its_packet() {
    // UDP and SCTP have their ports first, and need more than these.
    for (header, shortest) in [
        (
            "4500%L 00010000 4011 0000 c0000201 c6336407 d431 0035 0008 0000",
            8,
        ),
        (
            "4500%L 00010000 4084 0000 c0000201 c6336407 d431 0035 00000000 00000000",
            12,
        ),
        (
            "4500%L 00010000 4006 0000 c0000201 c6336407 d431 0035 00000000 00000000 50040000 \
             00000000",
            20,
        ),
    ] {
        for (length, whole) in [(shortest - 1, false), (shortest, true)] {
            let text = header.replace("%L", &std::format!("{:04x}", 20 + length));
            let read = packet::<Flowkeep>(&[&text]);
            if whole {
                assert!(read.is_ok(), "{text}");
            } else {
                assert_eq!(read, Err(Error::TransportTruncated), "{text}");
            }
        }
    }
}
