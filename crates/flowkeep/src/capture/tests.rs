//! Tests with valid and invalid captures.

use std::io::{Cursor, Write};

use super::*;

/// Writes numbers in one byte order.
#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u16(self, number: u16) -> [u8; 2] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    fn u32(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    fn words<const N: usize>(self, numbers: [u32; N]) -> Vec<u8> {
        numbers.into_iter().flat_map(|n| self.u32(n)).collect()
    }
}

use Order::{Big, Little};

const MICRO: u32 = 0xa1b2_c3d4;
const NANO: u32 = 0xa1b2_3c4d;

fn pcap_header(order: Order, magic: u32, link: u32) -> Vec<u8> {
    let mut file = order.u32(magic).to_vec();
    file.extend(order.u16(2));
    file.extend(order.u16(4));
    file.extend(order.words([0, 0, 65535, link]));
    file
}

fn record(order: Order, seconds: u32, fraction: u32, wire: u32, data: &[u8]) -> Vec<u8> {
    let mut record = order.words([seconds, fraction, data.len() as u32, wire]);
    record.extend(data);
    record
}

/// A pcapng block: type, contents padded to 32 bits, both lengths.
fn block(order: Order, block_type: u32, contents: &[u8]) -> Vec<u8> {
    let padded = contents.len().next_multiple_of(4);
    let length = order.u32(padded as u32 + 12);
    let mut block = order.u32(block_type).to_vec();
    block.extend(length);
    block.extend(contents);
    block.resize(8 + padded, 0);
    block.extend(length);
    block
}

fn section(order: Order) -> Vec<u8> {
    let mut contents = order.u32(0x1a2b_3c4d).to_vec();
    contents.extend(order.u16(1));
    contents.extend(order.u16(0));
    contents.extend([0xff; 8]);
    block(order, 0x0a0d_0d0a, &contents)
}

fn interface(order: Order, link: u16, snaplen: u32, options: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut contents = order.u16(link).to_vec();
    contents.extend(order.u16(0));
    contents.extend(order.u32(snaplen));
    for (code, value) in options {
        contents.extend(order.u16(*code));
        contents.extend(order.u16(value.len() as u16));
        contents.extend(value);
        contents.resize(contents.len().next_multiple_of(4), 0);
    }
    block(order, 1, &contents)
}

fn enhanced(order: Order, interface: u32, ticks: u64, wire: u32, data: &[u8]) -> Vec<u8> {
    let mut contents = order.words([
        interface,
        (ticks >> 32) as u32,
        ticks as u32,
        data.len() as u32,
        wire,
    ]);
    contents.extend(data);
    block(order, 6, &contents)
}

/// A frame that owns its data.
type Owned = (LinkType, u64, u32, Vec<u8>);

fn open(bytes: Vec<u8>) -> Result<Reader, Error> {
    Reader::new("t.pcap", Cursor::new(bytes))
}

/// Everything that can be read, and how it ended.
fn drain(mut reader: Reader) -> (Vec<Owned>, Vec<String>, Result<(), String>) {
    let mut frames = Vec::new();
    let end = loop {
        match reader.next_frame() {
            Ok(Some(f)) => frames.push((f.link, f.time.0, f.wire_length, f.data.to_vec())),
            Ok(None) => break Ok(()),
            Err(error) => {
                assert!(matches!(reader.next_frame(), Ok(None)), "an error ends it");
                break Err(error.to_string());
            }
        }
    };
    let notices = reader.notices().iter().map(ToString::to_string).collect();
    (frames, notices, end)
}

fn all(bytes: Vec<u8>) -> Vec<Owned> {
    let (frames, notices, end) = drain(open(bytes).expect("readable"));
    assert_eq!((notices, end), (Vec::new(), Ok(())));
    frames
}

fn refusal(bytes: Vec<u8>) -> String {
    match open(bytes) {
        Ok(reader) => drain(reader).2.expect_err("must not be readable"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn pcap_in_both_orders_and_resolutions() {
    for order in [Little, Big] {
        for (magic, nanoseconds) in [(MICRO, 7_000), (NANO, 7)] {
            let mut file = pcap_header(order, magic, 1);
            file.extend(record(order, 1_600_000_000, 7, 60, b"abc"));
            file.extend(record(order, 1_600_000_001, 8, 0, b""));
            let frames = all(file);
            assert_eq!(
                frames[0],
                (
                    LinkType::Ethernet,
                    1_600_000_000_000_000_000 + nanoseconds,
                    60,
                    b"abc".to_vec()
                )
            );
            assert_eq!(frames[1].3, b"");
            assert_eq!(frames.len(), 2);
        }
    }
}

#[test]
fn modified_pcap_has_longer_record_headers() {
    let mut file = pcap_header(Little, 0xa1b2_cd34, 101);
    let mut header = Little.words([1, 2, 3, 3, 0, 0]);
    header.extend(b"xyz");
    file.extend(header);
    assert_eq!(
        all(file),
        [(LinkType::RawIp, 1_000_002_000, 3, b"xyz".to_vec())]
    );
}

#[test]
fn pcapng_sections_interfaces_and_clocks() {
    let mut file = Vec::new();
    for order in [Little, Big] {
        let offset = match order {
            Little => 100_i64.to_le_bytes(),
            Big => 100_i64.to_be_bytes(),
        };
        file.extend(section(order));
        file.extend(interface(order, 1, 0, &[]));
        file.extend(interface(order, 113, 0, &[(9, vec![9])]));
        file.extend(interface(
            order,
            101,
            2,
            &[(9, vec![0x8a]), (14, offset.to_vec())],
        ));
        file.extend(block(order, 0xbad, b"a block of a type that is not known"));
        file.extend(enhanced(order, 0, 5_000_000_001, 9, b"micro"));
        file.extend(enhanced(order, 1, 5_000_000_001, 9, b"nano"));
        file.extend(enhanced(order, 2, 1024 + 512, 9, b"binary"));
    }
    let one = [
        (LinkType::Ethernet, 5_000_000_001_000, 9, b"micro".to_vec()),
        (LinkType::LinuxSll, 5_000_000_001, 9, b"nano".to_vec()),
        (LinkType::RawIp, 101_500_000_000, 9, b"binary".to_vec()),
    ];
    assert_eq!(all(file), [one.clone(), one].concat());
}

#[test]
fn simple_packets_take_the_time_before_them() {
    let mut file = section(Little);
    file.extend(interface(Little, 101, 5, &[]));
    file.extend(enhanced(Little, 0, 42, 4, b"time"));
    let mut contents = Little.u32(9).to_vec();
    contents.extend(b"short\0\0\0");
    file.extend(block(Little, 3, &contents));
    let frames = all(file);
    assert_eq!(frames[1], (LinkType::RawIp, 42_000, 9, b"short".to_vec()));
}

#[test]
fn compressed_captures_are_unpacked() {
    let mut file = pcap_header(Little, MICRO, 1);
    for second in 0..10_000 {
        file.extend(record(Little, second, 0, 100, &[second as u8; 100]));
    }
    let plain = all(file.clone());
    let (first, second) = file.split_at(500_000);
    // Two gzip members and two zstd frames, as concatenated files have them.
    let gzip = [first, second].map(|part| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part).expect("memory");
        encoder.finish().expect("memory")
    });
    let zstd = [first, second].map(|part| zstd::encode_all(part, 1).expect("memory"));
    assert_eq!(all(gzip.concat()), plain);
    assert_eq!(all(zstd.concat()), plain);

    // A compressed file that is cut off is read as far as it goes.
    let mut cut = zstd.concat();
    cut.truncate(cut.len() / 2);
    let (frames, _, end) = drain(open(cut).expect("readable"));
    assert!(!frames.is_empty() && frames.len() < plain.len());
    let message = end.expect_err("cut off");
    assert!(
        message.contains("(uncompressed): cannot read on"),
        "{message}"
    );
}

#[test]
fn what_was_read_before_a_cut_is_handed_out() {
    let mut file = pcap_header(Little, MICRO, 1);
    file.extend(record(Little, 1, 0, 4, b"good"));
    file.extend(record(Little, 2, 0, 9, b"cut off"));
    let whole = file.len();
    for lacking in 1..=22 {
        let (frames, _, end) = drain(open(file[..whole - lacking].to_vec()).expect("readable"));
        assert_eq!(frames.len(), 1, "{lacking}");
        let message = end.expect_err("cut off");
        assert!(
            message.starts_with("t.pcap: byte 44: the file ends in the middle of a packet"),
            "{message}"
        );
    }
    assert_eq!(all(file[..44].to_vec()).len(), 1);
}

#[test]
fn files_that_are_no_capture() {
    assert_eq!(refusal(Vec::new()), "t.pcap: byte 0: the file is empty");
    assert_eq!(
        refusal(b"hello, world".to_vec()),
        "t.pcap: byte 0: not a pcap or pcapng capture: it begins with 68 65 6c 6c"
    );
    assert_eq!(
        refusal(b"\xa1".to_vec()),
        "t.pcap: byte 0: not a pcap or pcapng capture: it begins with a1"
    );
    assert!(refusal(b"\xfd7zXZ\0....".to_vec()).contains("compressed with xz"));
    assert!(refusal(pcap_header(Big, MICRO, 1)[..20].to_vec()).contains("middle of a header"));
    let mut old = pcap_header(Little, MICRO, 1);
    old[4] = 9;
    assert_eq!(
        refusal(old),
        "t.pcap: byte 0: pcap version 9.4 is not supported"
    );
    let missing = Reader::open("there/is/no.pcap").err().expect("no file");
    assert!(
        missing
            .to_string()
            .starts_with("there/is/no.pcap: cannot open: "),
        "{missing}"
    );
}

#[test]
fn unknown_link_types_are_named() {
    assert_eq!(
        refusal(pcap_header(Little, MICRO, 249)),
        "t.pcap: byte 0: link type 249 (USBPCAP) is not supported"
    );
    // Frame check sequence bits are no part of the number.
    let mut file = pcap_header(Little, MICRO, 0x4400_0001);
    file.extend(record(Little, 1, 0, 1, b"x"));
    assert_eq!(all(file)[0].0, LinkType::Ethernet);

    let mut file = section(Little);
    file.extend(interface(Little, 249, 0, &[]));
    file.extend(interface(Little, 1, 0, &[]));
    let at = file.len();
    file.extend(enhanced(Little, 0, 1, 4, b"lost"));
    file.extend(enhanced(Little, 1, 2, 4, b"kept"));
    file.extend(enhanced(Little, 0, 3, 4, b"lost"));
    let (frames, notices, end) = drain(open(file).expect("readable"));
    assert_eq!((frames.len(), end), (1, Ok(())));
    assert_eq!(
        notices,
        [format!(
            "t.pcap: byte {at}: link type 249 (USBPCAP) is not supported: skipped 2 packets \
             from here on"
        )]
    );
}

#[test]
fn impossible_lengths_stop_the_reading() {
    let mut file = pcap_header(Little, MICRO, 1);
    file.extend(record(Little, 1, 0, 4, b"good"));
    file.extend(Little.words([2, 0, 0x7fff_ffff, 60]));
    assert_eq!(
        refusal(file),
        "t.pcap: byte 44: impossible length of a packet: 2147483647 bytes (limit 262144)"
    );

    let mut file = section(Little);
    file.extend(Little.words([6, 0xffff_fff0, 0]));
    assert_eq!(
        refusal(file),
        "t.pcap: byte 28: impossible length of a block: 4294967276 bytes (limit 16777216)"
    );
}

#[test]
fn corrupt_blocks_stop_the_reading() {
    let start = [section(Little), interface(Little, 1, 0, &[])].concat();
    let at = start.len();
    let with = |block: Vec<u8>| refusal([start.clone(), block].concat());

    let mut lengths = enhanced(Little, 0, 1, 4, b"data");
    *lengths.last_mut().expect("bytes") = 1;
    assert_eq!(
        with(lengths),
        format!("t.pcap: byte {at}: corrupt pcapng block: its two lengths differ")
    );

    let mut inside = enhanced(Little, 0, 1, 4, b"data");
    inside[20] = 5;
    assert_eq!(
        with(inside),
        format!("t.pcap: byte {at}: corrupt pcapng block: its contents do not fit into it")
    );

    assert_eq!(
        with(enhanced(Little, 7, 1, 4, b"data")),
        format!("t.pcap: byte {at}: packet of interface 7, but only 1 are described")
    );
    assert_eq!(
        with(Little.words([6, 4, 0]).to_vec()),
        format!("t.pcap: byte {at}: corrupt pcapng block: it is shorter than its own header")
    );
    let many = interface(Little, 1, 0, &[]).repeat(65_536);
    assert_eq!(
        with(many),
        format!(
            "t.pcap: byte {}: corrupt pcapng block: too many interfaces in a section",
            at + 65_535 * 20
        )
    );
    let mut order = section(Little);
    order[8] = 0;
    assert_eq!(
        refusal(order),
        "t.pcap: byte 0: corrupt pcapng block: a section header without a byte-order magic"
    );
}

#[test]
fn impossible_times_are_clamped_and_reported_once() {
    let mut file = pcap_header(Little, NANO, 1);
    file.extend(record(Little, 1, 999_999_999, 1, b"a"));
    file.extend(record(Little, 2, 1_000_000_000, 1, b"b"));
    file.extend(record(Little, 3, u32::MAX, 1, b"c"));
    let (frames, notices, end) = drain(open(file).expect("readable"));
    assert_eq!(end, Ok(()));
    assert_eq!(
        frames.iter().map(|f| f.1).collect::<Vec<_>>(),
        [1_999_999_999, 2_999_999_999, 3_999_999_999]
    );
    assert_eq!(
        notices,
        ["t.pcap: byte 41: impossible time on 2 packets from here on: clamped"]
    );

    let mut file = section(Little);
    file.extend(interface(Little, 1, 0, &[]));
    file.extend(enhanced(Little, 0, 5, 1, b"a"));
    file.extend(enhanced(Little, 0, u64::MAX, 1, b"b"));
    let (frames, notices, _) = drain(open(file).expect("readable"));
    assert_eq!((frames[1].1, notices.len()), (5_000, 1));
}

/// A source that gives one byte at a time, and is interrupted before each.
struct Trickle(Cursor<Vec<u8>>, bool);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let end = buffer.len().min(1);
        self.0.read(&mut buffer[..end])
    }
}

#[test]
fn slow_streams_give_the_same_packets() {
    let mut pcap = pcap_header(Big, MICRO, 1);
    pcap.extend(record(Big, 1, 0, 4, b"good"));
    pcap.extend(record(Big, 2, 0, 9, b"better"));
    let mut pcapng = section(Big);
    pcapng.extend(interface(Big, 1, 0, &[(9, vec![9])]));
    pcapng.extend(enhanced(Big, 0, 77, 5, b"slow"));
    for file in [pcap, pcapng] {
        let whole = all(file.clone());
        let slow = Reader::new("slow", Trickle(Cursor::new(file), false)).expect("readable");
        assert_eq!(drain(slow).0, whole);
    }
}

#[test]
fn packets_longer_than_the_buffer_grow_it() {
    let mut file = section(Little);
    file.extend(interface(Little, 1, u32::MAX, &[]));
    file.extend(enhanced(Little, 0, 1, 1, &vec![1; 3_000_000]));
    file.extend(enhanced(Little, 0, 2, 1, b"next"));
    let frames = all(file);
    assert_eq!((frames[0].3.len(), frames[1].3.len()), (3_000_000, 4));
}
