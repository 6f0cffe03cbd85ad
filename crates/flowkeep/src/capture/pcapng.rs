//! The pcapng format: sections of blocks.

use flowkeep_core::packet::LinkType;
use pcap_parser::nom::Err;
use pcap_parser::{
    EPB_MAGIC, IDB_MAGIC, InterfaceDescriptionBlock, PcapError, SHB_MAGIC, SPB_MAGIC,
    parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le,
    parse_sectionheaderblock, parse_simplepacketblock_be, parse_simplepacketblock_le,
    parse_unknownblock_be, parse_unknownblock_le,
};

use super::link::link_type;
use super::pcap::{longest, missing};
use super::{LONGEST_BLOCK, Packet, Problem, Step};

/// Whether a file begins with a section header block. Its type is the same in both byte orders.
pub(super) fn begins(data: &[u8]) -> bool {
    data.starts_with(&SHB_MAGIC.to_le_bytes())
}

/// How many interfaces a section may describe. No machine has more; a file with more would fill
/// memory.
const MOST_INTERFACES: usize = 65_536;

/// A pcapng file: what the blocks so far said about later ones.
pub(super) struct Pcapng {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// The time of the last packet, for packets without a time or with an impossible one.
    last: u64,
}

/// An interface of the current section.
struct Interface {
    /// The link type, or the number of an unsupported one.
    link: Result<LinkType, u32>,
    snaplen: u32,
    /// The longest accepted packet.
    longest: u32,
    clock: Clock,
}

impl Pcapng {
    pub(super) const fn new() -> Self {
        Self {
            big_endian: false,
            interfaces: Vec::new(),
            last: 0,
        }
    }

    /// Reads the block at the beginning of `data`.
    #[inline]
    pub(super) fn step(&mut self, data: &[u8]) -> Result<Step, Problem> {
        if begins(data) {
            return self.section(data);
        }
        let framed = if self.big_endian {
            parse_unknownblock_be(data)
        } else {
            parse_unknownblock_le(data)
        };
        let (rest, block) = match framed {
            Ok(framed) => framed,
            Err(error) => return incomplete(data, error),
        };
        if block.block_len1 != block.block_len2 {
            return Err(Problem::CorruptBlock("its two lengths differ"));
        }
        // The whole block was read, so what is missing is missing in the block.
        let block_data = &data[..data.len() - rest.len()];
        let block_type = if self.big_endian {
            block.block_type.swap_bytes()
        } else {
            block.block_type
        };
        match block_type {
            EPB_MAGIC => self.enhanced_packet(block.data, block_data.len()),
            SPB_MAGIC => self.simple_packet(block_data),
            IDB_MAGIC => self.interface(block_data),
            _ => Ok(Step::Skip(block_data.len())),
        }
    }

    fn section(&mut self, data: &[u8]) -> Result<Step, Problem> {
        let (rest, header) = match parse_sectionheaderblock(data) {
            Ok(parsed) => parsed,
            Err(error) => return incomplete(data, error),
        };
        if header.block_len1 != header.block_len2 {
            return Err(Problem::CorruptBlock("its two lengths differ"));
        }
        if header.major_version != 1 {
            return Err(Problem::Version {
                format: "pcapng",
                major: header.major_version,
                minor: header.minor_version,
            });
        }
        self.big_endian = header.big_endian();
        self.interfaces.clear();
        Ok(Step::Skip(data.len() - rest.len()))
    }

    fn interface(&mut self, block: &[u8]) -> Result<Step, Problem> {
        let parsed = if self.big_endian {
            parse_interfacedescriptionblock_be(block)
        } else {
            parse_interfacedescriptionblock_le(block)
        };
        let (_, description) = parsed.map_err(|_| corrupt())?;
        if self.interfaces.len() == MOST_INTERFACES {
            return Err(Problem::CorruptBlock("too many interfaces in a section"));
        }
        let number = description.linktype.0.cast_unsigned();
        self.interfaces.push(Interface {
            link: link_type(number).ok_or(number),
            snaplen: description.snaplen,
            longest: longest(description.snaplen),
            clock: Clock::new(&description, self.big_endian),
        });
        Ok(Step::Skip(block.len()))
    }

    /// Reads the five words before a packet's data. `parse_enhancedpacketblock_*` of pcap-parser
    /// allocates a `Vec` for the options and takes 74 ns a packet; this takes 27.
    #[inline]
    fn enhanced_packet(&mut self, contents: &[u8], size: usize) -> Result<Step, Problem> {
        let (words, data) = contents.split_first_chunk::<20>().ok_or_else(corrupt)?;
        let (words, _) = words.as_chunks::<4>();
        let word = |index: usize| {
            if self.big_endian {
                u32::from_be_bytes(words[index])
            } else {
                u32::from_le_bytes(words[index])
            }
        };
        let (captured, wire_length) = (word(3), word(4));
        let interface = self.described(word(0))?;
        if captured > interface.longest {
            return Err(Problem::ImpossibleLength {
                what: "packet",
                length: u64::from(captured),
                limit: u64::from(interface.longest),
            });
        }
        if captured as usize > data.len() {
            return Err(corrupt());
        }
        let link = match interface.link {
            Ok(link) => link,
            Err(number) => return Ok(Step::Unknown(size, number)),
        };
        let ticks = u64::from(word(1)) << 32 | u64::from(word(2));
        let time = interface.clock.nanoseconds(ticks);
        self.last = time.unwrap_or(self.last);
        Ok(Step::Packet(Packet {
            size,
            data: 28,
            captured: captured as usize,
            wire_length: wire_length.max(captured),
            link,
            time: self.last,
            clamped: time.is_none(),
        }))
    }

    /// A packet without a time, which gets that of the packet before it.
    fn simple_packet(&self, block: &[u8]) -> Result<Step, Problem> {
        let parsed = if self.big_endian {
            parse_simplepacketblock_be(block)
        } else {
            parse_simplepacketblock_le(block)
        };
        let (_, packet) = parsed.map_err(|_| corrupt())?;
        let interface = self.described(0)?;
        let link = match interface.link {
            Ok(link) => link,
            Err(number) => return Ok(Step::Unknown(block.len(), number)),
        };
        // The block does not say how much was captured: as much as the snapshot length allows, and
        // 0 means no limit. Padding follows.
        let limit = match interface.snaplen {
            0 => packet.origlen,
            snaplen => packet.origlen.min(snaplen),
        };
        Ok(Step::Packet(Packet {
            size: block.len(),
            data: 12,
            captured: packet.data.len().min(limit as usize),
            wire_length: packet.origlen,
            link,
            time: self.last,
            clamped: false,
        }))
    }

    #[inline]
    fn described(&self, interface: u32) -> Result<&Interface, Problem> {
        self.interfaces
            .get(interface as usize)
            .ok_or(Problem::UnknownInterface {
                interface,
                described: self.interfaces.len(),
            })
    }
}

/// A block that is incomplete, or that the parser rejects.
#[cold]
fn incomplete(data: &[u8], error: Err<PcapError<&[u8]>>) -> Result<Step, Problem> {
    match error {
        Err::Incomplete(needed) => {
            let missing = missing(needed);
            let length = data.len() + missing;
            if length > LONGEST_BLOCK as usize {
                return Err(Problem::ImpossibleLength {
                    what: "block",
                    length: length as u64,
                    limit: u64::from(LONGEST_BLOCK),
                });
            }
            Ok(Step::More(missing, "block"))
        }
        Err::Error(PcapError::HeaderNotRecognized) => Err(Problem::CorruptBlock(
            "a section header without a byte-order magic",
        )),
        Err::Error(_) | Err::Failure(_) => {
            Err(Problem::CorruptBlock("it is shorter than its own header"))
        }
    }
}

#[cold]
fn corrupt() -> Problem {
    Problem::CorruptBlock("its contents do not fit into it")
}

/// How an interface counts time.
struct Clock {
    unit: Unit,
    /// Nanoseconds to add.
    offset: i128,
}

/// One tick, in nanoseconds.
enum Unit {
    Times(u128),
    Part(u128),
    /// A second, halved this many times.
    Halved(u8),
}

impl Clock {
    /// From `if_tsresol` (a negative power of 10, or of 2 if its top bit is set) and
    /// `if_tsoffset`. pcap-parser's own `ts_resolution` knows no powers of 2, and it reads the
    /// offset as little-endian in every section.
    fn new(description: &InterfaceDescriptionBlock<'_>, big_endian: bool) -> Self {
        let seconds = if big_endian {
            description.if_tsoffset.swap_bytes()
        } else {
            description.if_tsoffset
        };
        let exponent = description.if_tsresol & 0x7f;
        Self {
            unit: match exponent {
                _ if description.if_tsresol & 0x80 != 0 => Unit::Halved(exponent),
                0..=9 => Unit::Times(10_u128.pow(u32::from(9 - exponent))),
                // In smaller units 64 bits of ticks are less than a nanosecond.
                _ => Unit::Part(10_u128.pow(u32::from(exponent - 9).min(38))),
            },
            offset: i128::from(seconds) * 1_000_000_000,
        }
    }

    /// Nanoseconds since 1970; `None` if 64 bits cannot hold them.
    #[inline]
    fn nanoseconds(&self, ticks: u64) -> Option<u64> {
        let ticks = u128::from(ticks);
        let since = match self.unit {
            Unit::Times(times) => ticks * times,
            Unit::Part(part) => ticks / part,
            Unit::Halved(times) => (ticks * 1_000_000_000) >> times,
        };
        // Below 2^94, so that the sum with the offset, below 2^93, does not overflow.
        u64::try_from(since.cast_signed() + self.offset).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(unit: Unit, seconds: i64) -> Clock {
        Clock {
            unit,
            offset: i128::from(seconds) * 1_000_000_000,
        }
    }

    #[test]
    fn ticks_become_nanoseconds() {
        assert_eq!(
            clock(Unit::Times(1000), 0).nanoseconds(1_500_000),
            Some(1_500_000_000)
        );
        assert_eq!(clock(Unit::Part(1000), 0).nanoseconds(1_999), Some(1));
        assert_eq!(
            clock(Unit::Halved(1), 0).nanoseconds(3),
            Some(1_500_000_000)
        );
        assert_eq!(clock(Unit::Halved(127), 0).nanoseconds(u64::MAX), Some(0));
        assert_eq!(
            clock(Unit::Times(1), -1).nanoseconds(1_000_000_007),
            Some(7)
        );
    }

    #[test]
    fn times_out_of_range_are_none() {
        assert_eq!(clock(Unit::Times(1), -2).nanoseconds(1_000_000_007), None);
        assert_eq!(
            clock(Unit::Times(1_000_000_000), i64::MAX).nanoseconds(u64::MAX),
            None
        );
        assert_eq!(clock(Unit::Times(1), i64::MIN).nanoseconds(0), None);
    }
}
