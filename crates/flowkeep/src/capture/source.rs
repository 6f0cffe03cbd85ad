//! The source of a capture's bytes: a file or standard input, plain or compressed.

use std::fs::File;
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

/// Counts the bytes read from a file, before decompression, to compare them with its size.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Bytes of the file read so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn take_back(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

pub(super) struct Counting<R> {
    inner: R,
    progress: Progress,
}

impl<R> Counting<R> {
    pub(super) const fn new(inner: R, progress: Progress) -> Self {
        Self { inner, progress }
    }
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.progress.add(count as u64);
        Ok(count)
    }
}

/// A stream of decompressed bytes.
pub(super) struct Source {
    pub(super) bytes: Box<dyn Read + Send>,
    pub(super) compressed: bool,
    pub(super) progress: Progress,
}

/// Opens a file, or standard input for `-`.
pub(super) fn open(path: &Path) -> io::Result<Source> {
    if path == Path::new("-") {
        unpack(io::stdin())
    } else {
        unpack(File::open(path)?)
    }
}

const GZIP: &[u8] = &[0x1f, 0x8b]; // RFC 1952 section 2.3.1
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd]; // RFC 8878 section 3.1.1

/// The windows of a file; `None` if it is compressed or cannot be mapped.
#[cfg(target_os = "linux")]
pub(super) fn map(path: &Path) -> Option<super::windows::Windows> {
    let windows = super::windows::Windows::new(&File::open(path).ok()?)?;
    let magic = windows.bytes();
    (!magic.starts_with(GZIP) && !magic.starts_with(ZSTD)).then_some(windows)
}

/// Adds a decompressor if the first bytes are those of a compressed file.
pub(super) fn unpack(inner: impl Read + Send + 'static) -> io::Result<Source> {
    let progress = Progress::default();
    let mut inner = Counting::new(inner, progress.clone());
    let mut magic = [0; 4];
    let mut known = 0;
    while known < magic.len() {
        match inner.read(&mut magic[known..]) {
            Ok(0) => break,
            Ok(count) => known += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let magic = &magic[..known];
    let (gzip, zstd) = (magic.starts_with(GZIP), magic.starts_with(ZSTD));
    let whole = Cursor::new(magic.to_vec()).chain(inner);
    let bytes: Box<dyn Read + Send> = if gzip {
        Box::new(MultiGzDecoder::new(BufReader::with_capacity(
            1 << 17,
            whole,
        )))
    } else if zstd {
        Box::new(zstd::Decoder::new(whole)?)
    } else {
        Box::new(whole)
    };
    Ok(Source {
        bytes,
        compressed: gzip || zstd,
        progress,
    })
}
