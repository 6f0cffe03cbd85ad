//! Reading captures: pcap and pcapng, plain or compressed, from a file or a stream.
//!
//! [`Reader`] goes through a capture once, in a buffer of fixed size, and lends out one
//! [`Frame`] after the other. It takes both byte orders, microseconds and nanoseconds, several
//! sections and interfaces, and unpacks gzip (several members too) and zstd by itself.
//!
//! ```no_run
//! use flowkeep::capture::Reader;
//!
//! let mut reader = Reader::open("trace.pcap.gz")?;
//! while let Some(frame) = reader.next_frame()? {
//!     println!("{:?} {} bytes", frame.time, frame.data.len());
//! }
//! # Ok::<(), flowkeep::capture::Error>(())
//! ```
//!
//! The formats are draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng; `pcap-parser` parses
//! them, this module feeds it and judges what it finds. Whatever the input, nothing here panics.

mod buffer;
mod error;
mod link;
mod pcap;
mod pcapng;
mod source;
#[cfg(test)]
mod tests;
#[cfg(target_os = "linux")]
mod windows;

use std::io::Read;
use std::path::Path;

use flowkeep_core::packet::LinkType;

pub use self::error::{Error, Notice, Oddity, Problem};
pub use self::source::Progress;

use self::buffer::Buffer;
use self::pcap::Pcap;
use self::pcapng::Pcapng;
use crate::connection::Timestamp;

/// The longest packet that is believed, unless the capture says that it has longer ones: libpcap's
/// greatest snapshot length.
const LONGEST_PACKET: u32 = 256 * 1024;

/// The longest packet or block that is ever believed; the buffer grows no further.
const LONGEST_BLOCK: u32 = 16 * 1024 * 1024;

/// One captured packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What its first header is.
    pub link: LinkType,
    /// When it was captured.
    pub time: Timestamp,
    /// Its length on the wire in bytes, link header included.
    pub wire_length: u32,
    /// What was captured of it.
    pub data: &'a [u8],
}

/// Reads one capture.
pub struct Reader {
    file: String,
    compressed: bool,
    progress: Progress,
    buffer: Buffer,
    format: Format,
    notices: Vec<Notice>,
    /// Nothing more is to come: the end was reached, or an error told.
    ended: bool,
}

enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// What a format made of the bytes at hand.
enum Step {
    /// A packet.
    Packet(Packet),
    /// So many bytes hold nothing of interest.
    Skip(usize),
    /// At least so many more bytes are needed, for what this names.
    More(usize, &'static str),
    /// So many bytes hold a packet of an interface with this unknown link type.
    Unknown(usize, u32),
}

/// A packet within the bytes at hand.
struct Packet {
    /// Length of everything that belongs to it.
    size: usize,
    /// Where in there its captured bytes begin, and how many there are.
    data: usize,
    captured: usize,
    wire_length: u32,
    link: LinkType,
    /// Nanoseconds since 1970.
    time: u64,
    /// `time` was impossible and is clamped.
    clamped: bool,
}

impl Packet {
    /// The packet's frame; `record` is everything that belongs to it.
    #[inline(always)]
    fn frame<'a>(&self, record: &'a [u8]) -> Frame<'a> {
        Frame {
            link: self.link,
            time: Timestamp(self.time),
            wire_length: self.wire_length,
            data: &record[self.data..][..self.captured],
        }
    }
}

impl Reader {
    /// Opens a capture file; `-` is standard input.
    ///
    /// # Errors
    /// If it cannot be read, is empty, is no capture, or has a link type that is not known.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_or_map(path.as_ref(), false)
    }

    /// As [`Self::open`], for callers that don't pause while they have a frame in hand: on Linux, a
    /// file is mapped rather than copied if nobody has it open for writing and the caller may take
    /// a lease on it (see fcntl(2): it owns the file, or has CAP_LEASE). Somebody who then opens it
    /// for writing is made to wait for as long as it takes to read a few megabytes.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_in_place(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_or_map(path.as_ref(), true)
    }

    fn open_or_map(path: &Path, map: bool) -> Result<Self, Error> {
        let file = path.display().to_string();
        #[cfg(target_os = "linux")]
        if map && let Some(windows) = source::map(path) {
            let progress = Progress::default();
            let buffer = Buffer::mapped(windows, progress.clone());
            return Self::begin(file, buffer, false, progress);
        }
        match source::open(path) {
            Ok(source) => {
                let buffer = Buffer::new(source.bytes);
                Self::begin(file, buffer, source.compressed, source.progress)
            }
            Err(error) => Err(Error {
                file,
                offset: None,
                compressed: false,
                problem: Problem::Open(error),
            }),
        }
    }

    /// Reads a capture from any stream; `name` stands for it in messages.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn new(name: impl Into<String>, stream: impl Read + Send + 'static) -> Result<Self, Error> {
        let file = name.into();
        match source::unpack(stream) {
            Ok(source) => {
                let buffer = Buffer::new(source.bytes);
                Self::begin(file, buffer, source.compressed, source.progress)
            }
            Err(error) => Err(Error {
                file,
                offset: Some(0),
                compressed: false,
                problem: Problem::Read(error),
            }),
        }
    }

    fn begin(
        file: String,
        mut buffer: Buffer,
        compressed: bool,
        progress: Progress,
    ) -> Result<Self, Error> {
        match Format::detect(&mut buffer) {
            Ok(format) => Ok(Self {
                file,
                compressed,
                progress,
                buffer,
                format,
                notices: Vec::new(),
                ended: false,
            }),
            Err(problem) => Err(Error {
                file,
                offset: Some(buffer.offset()),
                compressed,
                problem,
            }),
        }
    }

    /// The next packet; None at the end, and after an error.
    ///
    /// # Errors
    /// The first thing that makes it impossible to read on. All packets before it have been
    /// handed out.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Error> {
        // The short way of nearly all packets.
        if let Format::Pcap(pcap) = &self.format
            && let Some(packet) = pcap.plain(self.buffer.filled())
        {
            let record = self.buffer.consume(packet.size);
            return Ok(Some(packet.frame(record)));
        }
        self.next_other()
    }

    #[inline(never)]
    fn next_other(&mut self) -> Result<Option<Frame<'_>>, Error> {
        match self.next_packet() {
            Ok(Some(packet)) => {
                if packet.clamped {
                    self.note(Oddity::ImpossibleTime);
                }
                let record = self.buffer.consume(packet.size);
                Ok(Some(packet.frame(record)))
            }
            Ok(None) => Ok(None),
            Err(problem) => Err(self.fail(problem)),
        }
    }

    /// What was odd so far, in the order first seen.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// How much of the file has been read; may be watched while the reader is in use.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Finds the next packet but leaves it in the buffer.
    #[inline]
    fn next_packet(&mut self) -> Result<Option<Packet>, Problem> {
        while !self.ended {
            let step = match &mut self.format {
                Format::Pcap(pcap) => pcap.step(self.buffer.filled())?,
                Format::Pcapng(pcapng) => pcapng.step(self.buffer.filled())?,
            };
            match step {
                Step::Packet(packet) => return Ok(Some(packet)),
                Step::Skip(size) => {
                    self.buffer.consume(size);
                }
                Step::Unknown(size, number) => {
                    self.note(Oddity::UnknownLinkType(number));
                    self.buffer.consume(size);
                }
                Step::More(missing, what) => {
                    if !self.buffer.read_more(missing).map_err(Problem::Read)? {
                        self.ended = true;
                        if !self.buffer.filled().is_empty() {
                            return Err(Problem::Truncated { what, missing });
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    #[cold]
    fn note(&mut self, oddity: Oddity) {
        match self.notices.iter_mut().find(|n| n.oddity == oddity) {
            Some(notice) => notice.packets += 1,
            None => self.notices.push(Notice {
                file: self.file.clone(),
                offset: self.buffer.offset(),
                compressed: self.compressed,
                packets: 1,
                oddity,
            }),
        }
    }

    #[cold]
    fn fail(&mut self, problem: Problem) -> Error {
        self.ended = true;
        Error {
            file: self.file.clone(),
            offset: Some(self.buffer.offset()),
            compressed: self.compressed,
            problem,
        }
    }
}

impl Format {
    /// Tells the format by its first four bytes. A pcap header is read, a pcapng one only seen.
    fn detect(buffer: &mut Buffer) -> Result<Self, Problem> {
        loop {
            let data = buffer.filled();
            let missing = if data.len() < 4 {
                4 - data.len()
            } else if pcapng::begins(data) {
                return Ok(Self::Pcapng(Pcapng::new()));
            } else {
                match Pcap::begin(data)? {
                    Ok((pcap, size)) => {
                        buffer.consume(size);
                        return Ok(Self::Pcap(pcap));
                    }
                    Err(missing) => missing,
                }
            };
            if !buffer.read_more(missing).map_err(Problem::Read)? {
                return Err(match buffer.filled() {
                    [] => Problem::Empty,
                    few if few.len() < 4 => foreign(few),
                    _ => Problem::Truncated {
                        what: "header",
                        missing,
                    },
                });
            }
        }
    }
}

/// A file that is no capture, described by its first four bytes.
#[cold]
fn foreign(data: &[u8]) -> Problem {
    const KNOWN: &[(&[u8], &str)] = &[
        (b"\xfd7zX", "it is compressed with xz; unpack it first"),
        (b"BZh", "it is compressed with bzip2; unpack it first"),
        (
            b"\x04\x22\x4d\x18",
            "it is compressed with lz4; unpack it first",
        ),
        (b"PK\x03\x04", "it is a zip archive; unpack it first"),
        (b"snoo", "it is a snoop capture; convert it first"),
        (b"GMBU", "it is a Network Monitor capture; convert it first"),
        (b"RTSS", "it is a Network Monitor capture; convert it first"),
        (
            b"\xa1\xb2\xcd\x34",
            "it is a big-endian \"modified\" pcap; convert it first",
        ),
    ];
    let what = KNOWN.iter().find(|(magic, _)| data.starts_with(magic));
    Problem::NotACapture(what.map_or_else(
        || {
            let bytes: Vec<_> = data.iter().take(4).map(|b| format!("{b:02x}")).collect();
            format!("it begins with {}", bytes.join(" "))
        },
        |(_, what)| (*what).to_owned(),
    ))
}
