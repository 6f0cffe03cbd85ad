//! Mapping a file gives the same frames as reading it, even if another process wants to write to it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;

use flowkeep_lab::{Missing, skip};

use super::WINDOW;
use crate::capture::{Error, Reader};
use crate::connection::Timestamp;

/// A capture of several windows, removed at the end.
struct Capture(PathBuf);

impl Capture {
    fn new(name: &str, bytes: usize, cut: usize) -> Self {
        let path = std::env::temp_dir().join(format!("flowkeep-{name}-{}", std::process::id()));
        let mut capture = Vec::new();
        let mut numbers = |numbers: &[u32]| {
            capture.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            capture.len()
        };
        // The header of a pcap file, of Ethernet frames.
        numbers(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, 1]);
        for number in 0.. {
            // Lengths that put record headers on every offset of a page sooner or later.
            let words = 1 + number % 379;
            numbers(&[number, 0, words * 4, words * 4]);
            let length = numbers(&vec![number; words as usize]);
            if length >= bytes {
                break;
            }
        }
        capture.truncate(capture.len() - cut);
        File::create(&path)
            .and_then(|mut file| file.write_all(&capture))
            .unwrap_or_else(|error| panic!("{error}"));
        Self(path)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

type Frames = Vec<(Timestamp, Vec<u8>)>;

fn frames(reader: Result<Reader, Error>, mut each: impl FnMut(usize)) -> (Frames, Option<String>) {
    let mut reader = reader.unwrap_or_else(|error| panic!("{error}"));
    let mut frames = Vec::new();
    loop {
        match reader.next_frame() {
            Ok(Some(frame)) => frames.push((frame.time, frame.data.to_vec())),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error.to_string())),
        }
        each(frames.len());
    }
}

fn is_mapped(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| super::Windows::new(&file).is_some())
}

#[test]
fn a_mapped_file_has_the_frames_of_one_that_is_read() {
    for (name, cut) in [("whole", 0), ("truncated", 5)] {
        let capture = Capture::new(name, 3 * WINDOW + 1234, cut);
        if !is_mapped(&capture.0) {
            let folder = std::env::temp_dir();
            skip(&Missing::new(
                format!("no leases on files in {}", folder.display()),
                "set TMPDIR to a folder of a local file system",
            ));
            return;
        }
        let mapped = frames(Reader::open_in_place(&capture.0), |_| {});
        let read = frames(Reader::open(&capture.0), |_| {});
        assert!(mapped == read);
        assert_eq!(mapped.1.is_some(), cut != 0);
        assert!(mapped.0.len() > 1000);
    }
}

#[test]
fn a_writer_gets_the_file_and_no_frame_is_lost() {
    let capture = Capture::new("written", 5 * WINDOW, 0);
    let (read, _) = frames(Reader::open(&capture.0), |_| {});
    let mut writer = None;
    let (mapped, error) = frames(Reader::open_in_place(&capture.0), |number| {
        if number == 10 {
            // Waits until the reader has noticed.
            let path = capture.0.clone();
            writer = Some(thread::spawn(move || {
                OpenOptions::new().append(true).open(path).map(drop)
            }));
        }
    });
    assert_eq!(error, None);
    assert!(mapped == read);
    let opened = writer.map(thread::JoinHandle::join);
    assert!(matches!(opened, Some(Ok(Ok(())))));
}

#[test]
fn a_file_that_is_being_written_is_not_mapped() {
    let capture = Capture::new("open", 2 * WINDOW, 0);
    let writer = OpenOptions::new().append(true).open(&capture.0);
    assert!(writer.is_ok());
    assert!(!is_mapped(&capture.0));
    let (frames, error) = frames(Reader::open_in_place(&capture.0), |_| {});
    assert!(error.is_none() && frames.len() > 1000);
}
