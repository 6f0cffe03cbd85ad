//! Why a capture could not be read, in one sentence.

use std::fmt;
use std::io;

use super::link::link_type_name;

/// Reading a capture failed at some point. Everything before it was returned.
#[derive(Debug, thiserror::Error)]
#[error("{}{problem}", Location { file, offset: *offset, compressed: *compressed })]
pub struct Error {
    /// The file's name as given; `-` is standard input.
    pub file: String,
    /// Offset in the capture, after decompression, of the packet, block or header at fault. None
    /// if the file could not be opened.
    pub offset: Option<u64>,
    /// Whether the file is compressed, so that `offset` is not one in the file itself.
    pub compressed: bool,
    /// What is wrong.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be opened.
    #[error("cannot open: {0}")]
    Open(io::Error),
    /// Reading failed; for a compressed file also: the compressed data is corrupt or cut off.
    #[error("cannot read on: {0}")]
    Read(io::Error),
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The file is something else.
    #[error("not a pcap or pcapng capture: {0}")]
    NotACapture(String),
    /// An undefined version of the format.
    #[error("{format} version {major}.{minor} is not supported")]
    Version {
        /// The format's name.
        format: &'static str,
        /// Its major version.
        major: u16,
        /// Its minor version.
        minor: u16,
    },
    /// The file ends within something.
    #[error(
        "the file ends in the middle of a {what}: at least {missing} more bytes should follow \
         (cut off, or still being written)"
    )]
    Truncated {
        /// `packet`, `block` or `header`.
        what: &'static str,
        /// Bytes known to be missing.
        missing: usize,
    },
    /// An impossible length: the file is corrupt here or before.
    #[error("impossible length of a {what}: {length} bytes (limit {limit})")]
    ImpossibleLength {
        /// `packet` or `block`.
        what: &'static str,
        /// The length stated.
        length: u64,
        /// The largest accepted length.
        limit: u64,
    },
    /// A block that contradicts itself.
    #[error("corrupt pcapng block: {0}")]
    CorruptBlock(&'static str),
    /// A packet of an interface without a description.
    #[error("packet of interface {interface}, but only {described} are described")]
    UnknownInterface {
        /// The interface's number, counted from 0.
        interface: u32,
        /// How many interfaces the section has described so far.
        described: usize,
    },
    /// An unsupported link type.
    #[error("link type {} is not supported", NamedLinkType(*.0))]
    UnknownLinkType(u32),
}

/// An oddity that did not end reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The file's name as given.
    pub file: String,
    /// Offset in the capture, after decompression, where it was first seen.
    pub offset: u64,
    /// Whether the file is compressed.
    pub compressed: bool,
    /// How many packets have it.
    pub packets: u64,
    /// What is odd.
    pub oddity: Oddity,
}

/// What is odd about some packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Oddity {
    /// Their time is impossible: its fraction is a second or more, or 64 bits cannot hold it in
    /// nanoseconds since 1970. The time was clamped, and the packets were returned.
    ImpossibleTime,
    /// Their interface has this link type, which is not supported. They were skipped; packets of
    /// other interfaces were not.
    UnknownLinkType(u32),
}

impl Oddity {
    /// Whether packets were skipped.
    #[must_use]
    pub const fn loses_packets(self) -> bool {
        matches!(self, Self::UnknownLinkType(_))
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = Location {
            file: &self.file,
            offset: Some(self.offset),
            compressed: self.compressed,
        };
        let (packets, s) = (self.packets, if self.packets == 1 { "" } else { "s" });
        write!(f, "{place}")?;
        match self.oddity {
            Oddity::ImpossibleTime => {
                write!(
                    f,
                    "impossible time on {packets} packet{s} from here on: clamped"
                )
            }
            Oddity::UnknownLinkType(number) => write!(
                f,
                "link type {} is not supported: skipped {packets} packet{s} from here on",
                NamedLinkType(number),
            ),
        }
    }
}

/// The beginning of a message: `FILE: byte OFFSET: `.
struct Location<'a> {
    file: &'a str,
    offset: Option<u64>,
    compressed: bool,
}

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = if self.file == "-" {
            "standard input"
        } else {
            self.file
        };
        write!(f, "{file}: ")?;
        match self.offset {
            Some(offset) if self.compressed => write!(f, "byte {offset} (uncompressed): "),
            Some(offset) => write!(f, "byte {offset}: "),
            None => Ok(()),
        }
    }
}

/// `249 (USBPCAP)`.
struct NamedLinkType(u32);

impl fmt::Display for NamedLinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match link_type_name(self.0) {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}
