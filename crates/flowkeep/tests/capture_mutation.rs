//! Real captures, damaged at random: reading them may fail, but neither panics nor runs on.
//!
//! They come from the workspace's `examples` and from the folder that `FLOWKEEP_CAPTURES` names.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use flowkeep::capture::Reader;

/// Damaged copies of each capture.
const COPIES: usize = 100;

/// Captures longer than this are cut, so that a copy stays cheap.
const LONGEST: usize = 64 * 1024;

fn captures() -> Vec<PathBuf> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let more = std::env::var_os("FLOWKEEP_CAPTURES").map(PathBuf::from);
    [Some(examples), more]
        .into_iter()
        .flatten()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.to_string_lossy();
            [".pcap", ".pcapng", ".pcap.gz", ".pcap.zst"]
                .iter()
                .any(|end| name.ends_with(end))
        })
        .collect()
}

/// Reads to the end and returns the number of packets.
fn read(bytes: Vec<u8>) -> usize {
    let length = bytes.len();
    let Ok(mut reader) = Reader::new("damaged", Cursor::new(bytes)) else {
        return 0;
    };
    let mut packets = 0;
    while let Ok(Some(_)) = reader.next_frame() {
        packets += 1;
    }
    for notice in reader.notices() {
        assert!(!notice.to_string().is_empty());
    }
    // A packet takes at least 16 bytes; a compressed file holds more than its length.
    assert!(
        packets <= length * 100,
        "{packets} packets in {length} bytes"
    );
    packets
}

fn damage(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..8) {
        if bytes.is_empty() {
            return;
        }
        let at = random.usize(..bytes.len());
        match random.u8(..5) {
            0 => bytes[at] = random.u8(..),
            1 => bytes[at] ^= 1 << random.u8(..8),
            2 => bytes.truncate(at),
            3 => {
                // A number that means something, where one may stand.
                let number =
                    [0, 1, 0x7fff_ffff, u32::MAX, 0xffff_fffc, 0x0a0d_0d0a, 16][random.usize(..7)];
                for (byte, new) in bytes[at..].iter_mut().zip(number.to_le_bytes()) {
                    *byte = new;
                }
            }
            _ => {
                let end = random.usize(at..bytes.len());
                bytes.drain(at..end);
            }
        }
    }
}

#[test]
fn damaged_captures_do_no_harm() {
    let mut random = fastrand::Rng::with_seed(0x666c_6f77);
    for path in captures() {
        let mut whole = fs::read(&path).expect("a capture that was listed");
        whole.truncate(LONGEST);
        for _ in 0..COPIES {
            let mut copy = whole.clone();
            damage(&mut copy, &mut random);
            read(copy);
        }
    }
}

#[test]
fn noise_behind_a_good_beginning_does_no_harm() {
    let beginnings: [&[u8]; 5] = [
        b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0",
        b"\xa1\xb2\x3c\x4d\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0\0\x01",
        b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\
          \x1c\0\0\0\x01\0\0\0\x14\0\0\0\x01\0\0\0\0\0\0\0\x14\0\0\0",
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
        b"\x28\xb5\x2f\xfd",
    ];
    let mut random = fastrand::Rng::with_seed(0x6b65_6570);
    for beginning in beginnings {
        for _ in 0..2_000 {
            let mut bytes = beginning.to_vec();
            for _ in 0..random.usize(..200) {
                // Mostly zeros: lengths then are small, and reading goes on.
                let byte = if random.bool() { 0 } else { random.u8(..) };
                bytes.push(byte);
            }
            read(bytes);
        }
    }
}
