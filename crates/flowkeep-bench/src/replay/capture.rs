//! Captures to measure with, made once and kept.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flowkeep_generate::Traffic;

/// A capture in the cache.
#[derive(Clone, Debug)]
pub(super) struct Capture {
    pub(super) path: PathBuf,
    pub(super) packets: u64,
    /// Length of the file.
    pub(super) bytes: u64,
}

impl Capture {
    /// Makes the capture of this traffic, unless it is there.
    pub(super) fn generate(directory: &Path, traffic: &Traffic) -> Result<Self> {
        let Traffic {
            connections,
            packets,
            seed,
            snaplen,
            mean_size,
            rate,
        } = traffic;
        let packets = packets.unwrap_or_default();
        let name = format!(
            "{connections}-{packets}-{seed}-{snaplen}-{mean_size}-{rate}-{:08x}.pcap",
            fingerprint(traffic)?
        );
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let path = directory.join(name);
        if !path.exists() {
            eprintln!("generating {}", path.display());
            keep(&path, |file| {
                flowkeep_generate::write(traffic, file, io::sink())?;
                Ok(())
            })?;
        }
        Self::new(path, packets)
    }

    /// A capture of the first packets of this one.
    pub(super) fn first(&self, packets: u64) -> Result<Self> {
        let path = self.path.with_extension(format!("first-{packets}.pcap"));
        if !path.exists() {
            let mut input = BufReader::new(File::open(&self.path)?);
            keep(&path, |file| copy_first(&mut input, file, packets))?;
        }
        Self::new(path, packets)
    }

    /// Reads it once, so that it is in the page cache if there is room.
    pub(super) fn read_through(&self) -> Result<()> {
        let mut file = File::open(&self.path)?;
        let mut buffer = vec![0; 1 << 20];
        while file.read(&mut buffer)? > 0 {}
        Ok(())
    }

    fn new(path: PathBuf, packets: u64) -> Result<Self> {
        let bytes = fs::metadata(&path)?.len();
        Ok(Self {
            path,
            packets,
            bytes,
        })
    }
}

/// Tells generators apart that make other captures of the same parameters, by a small one.
fn fingerprint(traffic: &Traffic) -> Result<u32> {
    let mut sample = Vec::new();
    let traffic = Traffic {
        connections: 1000,
        packets: None,
        ..traffic.clone()
    };
    flowkeep_generate::write(&traffic, &mut sample, io::sink())?;
    Ok(crc32c::crc32c(&sample))
}

/// Writes a file under another name first, so that no half of one is ever kept.
fn keep(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    let unfinished = path.with_extension("pcap.tmp");
    let file = File::create(&unfinished)
        .with_context(|| format!("cannot create {}", unfinished.display()))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    write(&mut file)?;
    file.flush()?;
    Ok(fs::rename(unfinished, path)?)
}

/// Copies the file header and the first packets of a pcap file of ours.
fn copy_first(input: &mut impl Read, output: &mut impl Write, packets: u64) -> Result<()> {
    let mut header = [0; 24];
    input.read_exact(&mut header)?;
    output.write_all(&header)?;
    for _ in 0..packets {
        let mut header = [0; 16];
        input.read_exact(&mut header)?;
        let [.., a, b, c, d, _, _, _, _] = header;
        let captured = u64::from(u32::from_le_bytes([a, b, c, d]));
        output.write_all(&header)?;
        let copied = io::copy(&mut input.take(captured), output)?;
        ensure!(copied == captured, "the capture ends in a packet");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_packets_are_a_capture_again() {
        let traffic = Traffic {
            connections: 30,
            ..Traffic::default()
        };
        let mut whole = Vec::new();
        let summary =
            flowkeep_generate::write(&traffic, &mut whole, io::sink()).expect("a Vec takes all");
        let mut all = Vec::new();
        copy_first(&mut &whole[..], &mut all, summary.packets).expect("they are there");
        assert_eq!(all, whole);
        let mut two = Vec::new();
        copy_first(&mut &whole[..], &mut two, 2).expect("they are there");
        assert!(whole.starts_with(&two));
        let length = |at: usize| usize::from(u16::from_le_bytes([whole[at], whole[at + 1]]));
        let second = 24 + 16 + length(24 + 8);
        assert_eq!(two.len(), second + 16 + length(second + 8));
        copy_first(&mut &whole[..], &mut io::sink(), summary.packets + 1)
            .expect_err("there is no more");
    }

    #[test]
    fn other_traffic_has_another_fingerprint() {
        let print = |seed| {
            fingerprint(&Traffic {
                seed,
                ..Traffic::default()
            })
            .expect("a Vec takes all")
        };
        assert_eq!(print(1), print(1));
        assert_ne!(print(1), print(2));
    }
}
