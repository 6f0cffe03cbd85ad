use std::vec::Vec;

use super::{Malformed, Segment, flag};
use crate::protocol::tcp::Seq;

/// A header with `options`, followed by five bytes of data.
fn header(flags: [u8; 2], options: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from([
        0x9c, 0x40, 0, 80, // ports
        1, 2, 3, 4, // sequence number
        5, 6, 7, 8, // acknowledgement
        0, 0, // offset and flags
        0x12, 0x34, // window
        0, 0, 0, 0, // checksum, urgent pointer
    ]);
    bytes.extend(options);
    let words = bytes.len() / 4;
    bytes[12] = (words as u8) << 4 | flags[0];
    bytes[13] = flags[1];
    bytes.extend(b"hello");
    bytes
}

fn parse(bytes: &[u8]) -> Segment {
    Segment::parse(bytes, 0, bytes.len()).expect("a whole header")
}

#[test]
fn the_fixed_header() {
    let segment = parse(&header([1, 0xff], &[]));
    assert_eq!(segment.seq, Seq(0x0102_0304));
    assert_eq!(segment.ack, Seq(0x0506_0708));
    assert_eq!(segment.window, 0x1234);
    assert_eq!(segment.payload, 5);
    assert_eq!(segment.flags, 0x1ff);
    assert_eq!(segment.scale, Segment::NO_SCALE);
    assert!(segment.has(flag::AE));
    // SYN, FIN and five bytes.
    assert_eq!(segment.end(), Seq(0x0102_0304 + 7));
}

#[test]
fn what_is_cut_short_is_no_segment() {
    let bytes = header([0, 0x10], &[1; 8]);
    for end in 0..28 {
        assert_eq!(Segment::parse(&bytes[..], 0, end), Err(Malformed::Short));
    }
    assert_eq!(
        Segment::parse(&bytes[..], 0, 28).map(|it| it.payload),
        Ok(0)
    );
    for captured in 0..20 {
        assert_eq!(
            Segment::parse(&bytes[..captured], 0, 33),
            Err(Malformed::Short)
        );
    }
    // A data offset within the fixed header.
    let mut bytes = header([0, 0x10], &[]);
    bytes[12] = 0x40;
    assert_eq!(Segment::parse(&bytes[..], 0, 25), Err(Malformed::Short));
}

#[test]
fn a_capture_may_cut_options_off() {
    let bytes = header([0, 2], &[1, 1, 1, 3, 3, 8, 0, 0]);
    assert_eq!(parse(&bytes).scale, 8);
    let cut = Segment::parse(&bytes[..25], 0, bytes.len()).expect("the fixed header is there");
    assert_eq!((cut.scale, cut.payload), (Segment::NO_SCALE, 5));
}

#[test]
fn window_scale() {
    let scale = |options: &[u8]| parse(&header([0, 2], options)).scale;
    assert_eq!(scale(&[2, 4, 5, 0xb4, 1, 3, 3, 7]), 7);
    // RFC 7323, 2.3.
    assert_eq!(scale(&[3, 3, 200, 0]), 14);
    // Behind the end of the list, of a wrong length, running out of the header.
    assert_eq!(scale(&[0, 3, 3, 7]), Segment::NO_SCALE);
    assert_eq!(scale(&[3, 4, 7, 7]), Segment::NO_SCALE);
    assert_eq!(scale(&[1, 1, 3, 3]), Segment::NO_SCALE);
    assert_eq!(scale(&[9, 0, 3, 3, 7, 0, 0, 0]), Segment::NO_SCALE);
    assert_eq!(scale(&[9, 1, 3, 3, 7, 0, 0, 0]), Segment::NO_SCALE);
    // Behind as many no-operations as there can be.
    let mut longest = [1; 40];
    longest[37..].copy_from_slice(&[3, 3, 9]);
    assert_eq!(scale(&longest), 9);
}

#[test]
fn the_highest_sack_edge() {
    let sacked = |options: &[u8]| parse(&header([0, 0x10], options)).sacked;
    let block = |left: u32, right: u32| {
        let ack = 0x0506_0708_u32;
        let mut bytes = Vec::from(ack.wrapping_add(left).to_be_bytes());
        bytes.extend(ack.wrapping_add(right).to_be_bytes());
        bytes
    };
    let option = |blocks: &[(u32, u32)]| {
        let mut bytes = Vec::from([1, 1, 5, 2 + 8 * blocks.len() as u8]);
        for &(left, right) in blocks {
            bytes.extend(block(left, right));
        }
        bytes
    };
    assert_eq!(sacked(&option(&[(100, 200)])), 200);
    assert_eq!(
        sacked(&option(&[(100, 200), (900, 1000), (300, 400)])),
        1000
    );
    assert_eq!(sacked(&option(&[(1, 2), (3, 4), (5, 6), (7, 8)])), 8);
    // RFC 2883: below the acknowledgement.
    assert_eq!(
        sacked(&option(&[(0_u32.wrapping_sub(50), 0_u32.wrapping_sub(20))])),
        0
    );
    // Timestamps before them, as Linux has it.
    let mut options = Vec::from([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    assert_eq!(sacked(&options), 0);
    options.extend(option(&[(10, 20)]));
    assert_eq!(sacked(&options), 20);
    // A block and a half.
    let mut cut = Vec::from([5, 14]);
    cut.extend(block(10, 20));
    cut.extend([0; 6]);
    assert_eq!(sacked(&cut), 20);
}
