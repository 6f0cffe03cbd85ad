//! Reading captures: pcap and pcapng, plain or compressed, from a file or a stream.
//!
//! [`Reader`] reads a capture once, through a buffer of fixed size, and lends one [`Frame`] after the
//! other. It supports both byte orders, microseconds and nanoseconds, several sections and
//! interfaces, and decompresses gzip (with several members) and zstd.
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
//! The formats are draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. `pcap-parser` parses them;
//! this module reads the bytes and checks the result. No input makes it panic.

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

/// The longest accepted packet, unless the capture has a larger snapshot length: libpcap's largest
/// one.
const LONGEST_PACKET: u32 = 256 * 1024;

/// The longest packet or block that is ever accepted. The buffer does not grow beyond it.
const LONGEST_BLOCK: u32 = 16 * 1024 * 1024;

/// One captured packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The type of its first header.
    pub link: LinkType,
    /// When it was captured.
    pub time: Timestamp,
    /// Its length on the wire in bytes, link header included.
    pub wire_length: u32,
    /// The part that was captured.
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
    /// The end was reached, or an error was returned.
    ended: bool,
}

enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// What a format found in the bytes that were read.
enum Step {
    /// A packet.
    Packet(Packet),
    /// Bytes without a packet, by their number.
    Skip(usize),
    /// More bytes are needed: at least this many, for what is named.
    More(usize, &'static str),
    /// Bytes of a packet, by their number, of an interface with this unsupported link type.
    Unknown(usize, u32),
}

/// A packet in the bytes that were read.
struct Packet {
    /// The length of its record or block.
    size: usize,
    /// Where its captured bytes begin in the record, and their number.
    data: usize,
    captured: usize,
    wire_length: u32,
    link: LinkType,
    /// Nanoseconds since 1970.
    time: u64,
    /// `time` was impossible and was clamped.
    clamped: bool,
}

impl Packet {
    /// The packet's frame. `record` is its record or block.
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
    /// If it cannot be read, is empty, is not a capture, or has an unsupported link type.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_or_map(path.as_ref(), false)
    }

    /// As [`Self::open`], for callers that do not pause between frames. On Linux, the file is mapped
    /// instead of copied if no process has it open for writing and the caller may take a lease on
    /// it (see fcntl(2): it owns the file, or has CAP_LEASE). A process that then opens the file for
    /// writing waits until a few megabytes are read.
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

    /// Reads a capture from a stream, which is called `name` in messages.
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

    /// The next packet; `None` at the end, and after an error.
    ///
    /// # Errors
    /// The first error that ends reading. All packets before it were returned.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Error> {
        // The fast path, for nearly all packets.
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

    /// The oddities so far, in the order in which they were first seen.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// How much of the file was read, which can be observed while the reader is used.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Finds the next packet without consuming it.
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
    /// Recognizes the format by its first four bytes. The header of a pcap file is consumed, that of a
    /// pcapng file is not.
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

/// Describes a file that is not a capture by its first four bytes.
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
