//! The classic pcap format.

use flowkeep_core::packet::LinkType;
use pcap_parser::nom::{Err, IResult, Needed};
use pcap_parser::{
    LegacyPcapBlock, PcapError, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified,
    parse_pcap_header,
};

use super::link::link_type;
use super::{LONGEST_BLOCK, LONGEST_PACKET, Packet, Problem, Step, foreign};

/// A pcap file whose header has been read.
pub(super) struct Pcap {
    records: Records,
    link: LinkType,
    /// Nanoseconds in one unit of a record's fraction of a second.
    unit: u32,
    /// The largest such fraction.
    last: u32,
    longest: u32,
}

/// The layout of records.
#[derive(Clone, Copy)]
enum Records {
    LittleEndian,
    BigEndian,
    /// Little-endian with 8 more bytes in the header, as some kernels of about 1999 wrote it.
    Modified,
}

impl Pcap {
    /// Reads the file's header. Returns the format and the header's size, or how many bytes are missing.
    pub(super) fn begin(data: &[u8]) -> Result<Result<(Self, usize), usize>, Problem> {
        let header = match parse_pcap_header(data) {
            Ok((_, header)) => header,
            Err(Err::Incomplete(needed)) => return Ok(Err(missing(needed))),
            Err(_) => return Err(foreign(data)),
        };
        if header.version_major != 2 {
            return Err(Problem::Version {
                format: "pcap",
                major: header.version_major,
                minor: header.version_minor,
            });
        }
        // The upper bits are about frame check sequences.
        let number = header.network.0.cast_unsigned() & 0x03ff_ffff;
        let link = link_type(number).ok_or(Problem::UnknownLinkType(number))?;
        let unit = if header.is_nanosecond_precision() {
            1
        } else {
            1000
        };
        let pcap = Self {
            records: if header.is_modified_format() {
                Records::Modified
            } else if header.is_bigendian() {
                Records::BigEndian
            } else {
                Records::LittleEndian
            },
            link,
            unit,
            last: 1_000_000_000 / unit - 1,
            longest: longest(header.snaplen),
        };
        Ok(Ok((pcap, header.size())))
    }

    /// The record at the beginning of `data`, if it is complete and valid. If not, [`Self::step`] finds
    /// out what it is.
    #[inline(always)]
    pub(super) fn plain(&self, data: &[u8]) -> Option<Packet> {
        let Records::LittleEndian = self.records else {
            return None;
        };
        let (rest, record) = parse_pcap_frame(data).ok()?;
        let packet = self.packet(data.len() - rest.len(), &record);
        (record.caplen <= self.longest && !packet.clamped).then_some(packet)
    }

    #[inline(always)]
    fn packet(&self, size: usize, record: &LegacyPcapBlock<'_>) -> Packet {
        let captured = record.data.len();
        let fraction = record.ts_usec.min(self.last);
        Packet {
            size,
            data: size - captured,
            captured,
            // Some writers write 0.
            wire_length: record.origlen.max(record.caplen),
            link: self.link,
            time: u64::from(record.ts_sec) * 1_000_000_000
                + u64::from(fraction) * u64::from(self.unit),
            clamped: record.ts_usec > self.last,
        }
    }

    /// Reads the record at the beginning of `data`.
    #[inline]
    pub(super) fn step(&self, data: &[u8]) -> Result<Step, Problem> {
        let parsed = match self.records {
            Records::LittleEndian => parse_pcap_frame(data),
            Records::BigEndian => parse_pcap_frame_be(data),
            Records::Modified => parse_pcap_frame_modified(data),
        };
        self.judge(data, parsed)
    }

    #[inline(always)]
    fn judge(
        &self,
        data: &[u8],
        parsed: IResult<&[u8], LegacyPcapBlock<'_>, PcapError<&[u8]>>,
    ) -> Result<Step, Problem> {
        match parsed {
            Ok((rest, record)) if record.caplen <= self.longest => {
                let size = data.len() - rest.len();
                Ok(Step::Packet(self.packet(size, &record)))
            }
            Ok((_, record)) => Err(self.too_long(u64::from(record.caplen))),
            Err(Err::Incomplete(needed)) => {
                let missing = missing(needed);
                // The header was read, so `missing` is about the data.
                let header = match self.records {
                    Records::LittleEndian | Records::BigEndian => 16,
                    Records::Modified => 24,
                };
                if let Some(captured) = data.len().checked_sub(header)
                    && captured + missing > self.longest as usize
                {
                    return Err(self.too_long((captured + missing) as u64));
                }
                Ok(Step::More(missing, "packet"))
            }
            // The parser returns no other error for a record; a new one would be about the length.
            Err(_) => Err(self.too_long(data.len() as u64)),
        }
    }

    #[cold]
    fn too_long(&self, length: u64) -> Problem {
        Problem::ImpossibleLength {
            what: "packet",
            length,
            limit: u64::from(self.longest),
        }
    }
}

/// The longest accepted packet in a capture with this snapshot length. Packets may exceed a small one
/// (a merged capture has that of the first file), and a large one means "no limit".
pub(super) fn longest(snaplen: u32) -> u32 {
    snaplen.clamp(LONGEST_PACKET, LONGEST_BLOCK)
}

/// The number of bytes that the parser is missing, which it always knows.
pub(super) fn missing(needed: Needed) -> usize {
    match needed {
        Needed::Size(size) => size.get(),
        Needed::Unknown => 1,
    }
}
