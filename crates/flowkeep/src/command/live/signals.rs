//! Waiting for signals that end a command.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use std::{fs, io};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// SIGINT, SIGTERM and SIGHUP, which no longer end the process, so that it can wait for them. Signals
/// that were ignored when it was started stay so, as with nohup.
pub(super) struct Signals {
    file: SignalFd,
}

impl Signals {
    /// Blocks the signals in this thread and in those that it starts.
    pub(super) fn new() -> io::Result<Self> {
        let ignored = ignored(&fs::read_to_string("/proc/self/status").unwrap_or_default());
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            if ignored >> (signal as u32 - 1) & 1 == 0 {
                signals.add(signal);
            }
        }
        signals.thread_block()?;
        let file = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { file })
    }

    /// Waits until a time, or until a signal arrives. Returns whether one arrived.
    pub(super) fn wait(&self, until: Instant) -> io::Result<bool> {
        self.wait_for(&[], until)
    }

    /// As [`Self::wait`], or until an input can be read.
    pub(super) fn wait_for(&self, inputs: &[BorrowedFd<'_>], until: Instant) -> io::Result<bool> {
        let signals = PollFd::new(self.file.as_fd(), PollFlags::POLLIN);
        let inputs = inputs
            .iter()
            .map(|&input| PollFd::new(input, PollFlags::POLLIN));
        let mut files: Vec<_> = [signals].into_iter().chain(inputs).collect();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // poll counts milliseconds; rounded up, so that it does not return early.
            let left = left + Duration::from_micros(999);
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut files, timeout) {
                Ok(0) if Instant::now() >= until => return Ok(false),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(files[0].any() == Some(true)),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The ignored signals in the text of `/proc/PID/status`: bit 0 is signal 1.
fn ignored(status: &str) -> u64 {
    let mut lines = status.lines();
    lines
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|hexadecimal| u64::from_str_radix(hexadecimal.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read() {
        // SIGHUP is 1, SIGPIPE 13.
        assert_eq!(
            ignored("SigBlk:\t0000000000000003\nSigIgn:\t0000000000001001\n"),
            0x1001
        );
        assert_eq!(ignored(""), 0);
    }
}
