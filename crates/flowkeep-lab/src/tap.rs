//! Devices whose other end is this process, and a thread that carries packets between two files.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::Host;

/// The header with which the packets of a device begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The IP header.
    Tun,
    /// An Ethernet header.
    Tap,
}

/// Creates a tun or tap device, which exists as long as the file, and brings it up. Each read and write
/// of the file is a packet. Reading does not block.
pub(crate) fn device(host: &Host, name: &str, kind: Kind) -> Result<File> {
    let kind = match kind {
        Kind::Tun => libc::IFF_TUN,
        Kind::Tap => libc::IFF_TAP,
    };
    ensure!(
        name.len() < libc::IFNAMSIZ,
        "{name}: too long for an interface"
    );
    let file = host
        .enter(|| {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open("/dev/net/tun")?;
            // SAFETY: a structure of integers and arrays may be all zeroes.
            let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
            for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
                *to = from.cast_signed();
            }
            request.ifr_ifru.ifru_flags = (kind | libc::IFF_NO_PI) as libc::c_short;
            // SAFETY: the kernel reads and writes a request that is valid until it returns.
            match unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } {
                0.. => Ok(file),
                _ => Err(io::Error::last_os_error()),
            }
        })
        .with_context(|| format!("can't make the device {name}"))?;
    host.ip(&format!("link set {name} up"))?;
    Ok(file)
}

/// Carries packets between two ends on a thread. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Ferry {
    /// The thread ends when this is closed.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

/// One end of a [`Ferry`]. Neither function blocks.
pub(crate) trait End: AsFd + Send + 'static {
    /// Reads a packet into the buffer. Returns its length, or `None` if it is not to be carried.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>>;
    /// Writes a packet.
    fn send(&mut self, packet: &[u8]) -> io::Result<()>;
}

impl End for File {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        self.read(buffer).map(Some)
    }

    fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        self.write(packet).map(|_| ())
    }
}

impl Ferry {
    pub(crate) fn start(left: impl End, right: impl End) -> Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let thread = thread::spawn(move || carry(left, right, &stopped));
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Ferry {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The thread does not panic, and a second panic would hide a first one.
            let _ = thread.join();
        }
    }
}

fn carry(mut left: impl End, mut right: impl End, stopped: &PipeReader) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let ready = {
            let mut ends = [left.as_fd(), right.as_fd(), stopped.as_fd()]
                .map(|end| PollFd::new(end, PollFlags::POLLIN));
            // It fails only if a signal interrupts it. Then nothing is ready.
            let _ = poll(&mut ends, PollTimeout::NONE);
            ends.map(|end| end.any().unwrap_or(false))
        };
        let [from_left, from_right, stop] = ready;
        if stop {
            return;
        }
        let passed = [
            from_left.then(|| pass(&mut left, &mut right, &mut buffer)),
            from_right.then(|| pass(&mut right, &mut left, &mut buffer)),
        ];
        if passed.contains(&Some(false)) {
            return;
        }
    }
}

/// Carries a packet. Returns false if there are no more: a removed device is always ready.
fn pass(from: &mut impl End, to: &mut impl End, buffer: &mut [u8]) -> bool {
    match from.receive(buffer) {
        // A packet that can't be written is lost, as in any network.
        Ok(Some(length)) => {
            let _ = to.send(&buffer[..length]);
            true
        }
        Ok(None) => true,
        Err(error) => matches!(
            error.kind(),
            ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NetworkDown
        ),
    }
}
