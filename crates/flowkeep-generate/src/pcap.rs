//! Classic pcap files, microsecond, Ethernet.

use std::io::{self, Write};

/// Writes a capture file, little-endian whatever the machine.
pub(crate) struct PcapWriter<W> {
    out: W,
    snaplen: usize,
    /// Bytes written so far, headers included.
    written: u64,
}

impl<W: Write> PcapWriter<W> {
    /// Begins the file. Packets longer than `snaplen` bytes will be cut.
    pub(crate) fn new(mut out: W, snaplen: usize) -> io::Result<Self> {
        let mut header = [0; 24];
        header[..4].copy_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
        header[4..6].copy_from_slice(&2_u16.to_le_bytes());
        header[6..8].copy_from_slice(&4_u16.to_le_bytes());
        // Time zone and accuracy stay 0, as everyone writes them.
        header[16..20].copy_from_slice(&(snaplen as u32).to_le_bytes());
        header[20..24].copy_from_slice(&1_u32.to_le_bytes()); // LINKTYPE_ETHERNET
        out.write_all(&header)?;
        Ok(Self {
            out,
            snaplen,
            written: header.len() as u64,
        })
    }

    /// Adds a frame seen at `time`, in microseconds since the Unix epoch.
    pub(crate) fn write(&mut self, time: u64, frame: &[u8]) -> io::Result<()> {
        let captured = &frame[..frame.len().min(self.snaplen)];
        let mut header = [0; 16];
        header[..4].copy_from_slice(&((time / 1_000_000) as u32).to_le_bytes());
        header[4..8].copy_from_slice(&((time % 1_000_000) as u32).to_le_bytes());
        header[8..12].copy_from_slice(&(captured.len() as u32).to_le_bytes());
        header[12..16].copy_from_slice(&(frame.len() as u32).to_le_bytes());
        self.out.write_all(&header)?;
        self.out.write_all(captured)?;
        self.written += (header.len() + captured.len()) as u64;
        Ok(())
    }

    /// Flushes, and tells the file's length in bytes.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        self.out.flush()?;
        Ok(self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_frame_is_cut_and_keeps_its_length() {
        let mut file = Vec::new();
        let mut pcap = PcapWriter::new(&mut file, 3).expect("a Vec takes all");
        pcap.write(2_000_001, &[1, 2, 3, 4, 5])
            .expect("a Vec takes all");
        assert_eq!(pcap.finish().expect("a Vec takes all"), 24 + 16 + 3);
        assert_eq!(file[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
        assert_eq!(
            file[24..],
            [2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 0, 1, 2, 3]
        );
    }
}
