//! Writing the first bytes of packets to a capture for other tools.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flowkeep_bpf::{Device, Hook, Packet};
use pcap_parser::pcapng::{
    EnhancedPacketBlock, InterfaceDescriptionBlock, OptionCode, PcapNGOption, SectionHeaderBlock,
};
use pcap_parser::{Linktype, ToVec};

use super::interface::name_of;
use crate::connection::{Connection, Event, Timestamp};
use crate::protocol::Protocol;

/// A capture of the packets that events come from, in the pcapng format.
#[derive(Debug)]
pub struct PacketFile {
    file: Pcapng<BufWriter<File>>,
}

impl PacketFile {
    /// Creates the file, replacing an existing one.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = Self {
            file: Pcapng::new(BufWriter::new(File::create(path)?))?,
        };
        // So that it is a valid capture from now on.
        file.flush()?;
        Ok(file)
    }

    /// Writes the packet of an event, with the event as a comment.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn packet(&mut self, event: &Event, packet: &Packet) -> io::Result<()> {
        let Connection {
            protocol,
            originator,
            responder,
            state,
            ..
        } = &event.connection;
        let (kind, protocol) = (event.kind.name(), Protocol(*protocol));
        self.file.packet(&Captured {
            interface: packet.interface,
            device: packet.device,
            hook: packet.hook,
            time: event.time,
            bytes: &packet.bytes,
            whole: packet.whole,
            comment: &format!("{kind} {protocol} {originator} > {responder} {state}"),
        })
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.out.flush()
    }
}

/// A packet to write.
#[derive(Clone, Copy, Debug)]
struct Captured<'p> {
    /// Index of its interface.
    interface: u32,
    /// The header with which its bytes begin.
    device: Device,
    /// Where it was seen.
    hook: Hook,
    /// When it was seen.
    time: Timestamp,
    /// Its first bytes.
    bytes: &'p [u8],
    /// The length of the whole packet in bytes.
    whole: u32,
    /// The comment.
    comment: &'p str,
}

/// A pcapng file (draft-ietf-opsawg-pcapng), written packet by packet.
#[derive(Debug)]
struct Pcapng<W> {
    out: W,
    /// The interfaces that were described, in the order of their numbers in the file.
    interfaces: Vec<(u32, Device)>,
}

/// Times are in nanoseconds: 10 to the power of -9 seconds.
const NANOSECONDS: u8 = 9;

// Options of an interface and of a packet.
const NAME: u16 = 2;
const FLAGS: u16 = 2;

impl<W: Write> Pcapng<W> {
    fn new(mut out: W) -> io::Result<Self> {
        const USER_APPLICATION: u16 = 4;
        let program = concat!("Flowkeep ", env!("CARGO_PKG_VERSION"));
        let mut section = SectionHeaderBlock {
            block_type: 0,
            block_len1: 0,
            bom: 0,
            major_version: 0,
            minor_version: 0,
            // Unknown.
            section_len: -1,
            options: vec![option(USER_APPLICATION, program.as_bytes())],
            block_len2: 0,
        };
        write(&mut out, &mut section)?;
        Ok(Self {
            out,
            interfaces: Vec::new(),
        })
    }

    fn packet(&mut self, packet: &Captured<'_>) -> io::Result<()> {
        let interface = self.interface(packet.interface, packet.device)?;
        // Bits 0 and 1: inbound or outbound.
        let direction: u32 = match packet.hook {
            Hook::Ingress | Hook::Forward => 1,
            Hook::Egress => 2,
        };
        let direction = direction.to_le_bytes();
        let time = packet.time.0;
        let mut block = EnhancedPacketBlock {
            block_type: 0,
            block_len1: 0,
            if_id: interface,
            ts_high: (time >> 32) as u32,
            ts_low: time as u32,
            caplen: packet.bytes.len() as u32,
            origlen: packet.whole,
            data: packet.bytes,
            options: vec![
                option(OptionCode::Comment.0, packet.comment.as_bytes()),
                option(FLAGS, &direction),
            ],
            block_len2: 0,
        };
        write(&mut self.out, &mut block)
    }

    /// The number of an interface in the file. It is described on first use.
    fn interface(&mut self, index: u32, device: Device) -> io::Result<u32> {
        let known = self
            .interfaces
            .iter()
            .position(|&known| known == (index, device));
        if let Some(number) = known {
            return Ok(number as u32);
        }
        // It may be in another network namespace.
        let name = name_of(index).unwrap_or_else(|| format!("interface {index}"));
        let mut block = InterfaceDescriptionBlock {
            block_type: 0,
            block_len1: 0,
            linktype: match device {
                Device::Ethernet => Linktype::ETHERNET,
                Device::Ip => Linktype::RAW,
            },
            reserved: 0,
            snaplen: flowkeep_bpf::abi::MOST_CAPTURED as u32,
            options: vec![option(NAME, name.as_bytes())],
            block_len2: 0,
            if_tsresol: NANOSECONDS,
            if_tsoffset: 0,
        };
        write(&mut self.out, &mut block)?;
        self.interfaces.push((index, device));
        Ok((self.interfaces.len() - 1) as u32)
    }
}

fn option(code: u16, value: &[u8]) -> PcapNGOption<'_> {
    PcapNGOption {
        code: OptionCode(code),
        len: value.len() as u16,
        value: Cow::Borrowed(value),
    }
}

fn write(out: &mut impl Write, block: &mut impl ToVec) -> io::Result<()> {
    let bytes = block.to_vec().map_err(io::Error::other)?;
    out.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Reader;

    #[test]
    fn written_packets_can_be_read() {
        let mut file = Vec::new();
        let mut writer = Pcapng::new(&mut file).expect("memory");
        let packets: [(u32, Device, &[u8], u32); 3] = [
            (1, Device::Ethernet, &[1; 61], 1500),
            (7, Device::Ip, &[2; 40], 40),
            (1, Device::Ethernet, &[3; 14], 14),
        ];
        for (number, &(interface, device, bytes, whole)) in (1..).zip(&packets) {
            let packet = Captured {
                interface,
                device,
                hook: Hook::Egress,
                time: Timestamp(1_600_000_000_000_000_001 * number),
                bytes,
                whole,
                comment: "new",
            };
            writer.packet(&packet).expect("memory");
        }
        let mut reader = Reader::new("test", io::Cursor::new(file)).expect("a capture");
        for (number, (_, device, bytes, whole)) in (1..).zip(packets) {
            let frame = reader.next_frame().expect("whole").expect("a packet");
            assert_eq!(frame.time, Timestamp(1_600_000_000_000_000_001 * number));
            assert_eq!((frame.data, frame.wire_length), (bytes, whole));
            let ethernet = frame.link == flowkeep_core::packet::LinkType::Ethernet;
            assert_eq!(ethernet, device == Device::Ethernet);
        }
        assert!(reader.next_frame().expect("whole").is_none());
    }
}
