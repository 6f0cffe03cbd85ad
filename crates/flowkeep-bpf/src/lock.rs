//! Locks between processes that use the same pinned table.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use crate::Error;

/// A locked pin. The lock is released when this is dropped, or when the process ends, however it
/// ends.
#[derive(Debug)]
pub(crate) struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing the file is not enough: a child process that was just forked has it open too,
        // until it executes its own program. Unlocking a lock that is held does not fail.
        let _ = self.0.unlock();
    }
}

impl Locked {
    /// Locks a pin, after waiting until no other process has it locked.
    pub(crate) fn new(folder: &Path, pin: &str) -> Result<Self, Error> {
        let file = open(folder, pin)?;
        file.lock().map_err(failed(folder, pin))?;
        Ok(Self(file))
    }

    /// Locks a pin; `None` if another process has it locked.
    pub(crate) fn try_new(
        folder: &Path,
        pin: &str,
        lock: impl FnOnce(&File) -> Result<(), TryLockError>,
    ) -> Result<Option<Self>, Error> {
        let file = open(folder, pin)?;
        match lock(&file) {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(failed(folder, pin)(source)),
        }
    }
}

/// Opens a pin as a file, which the kernel allows for arrays that have type information, and not
/// for ring buffers. Pins can be read by their owner only, so nobody else can lock them.
fn open(folder: &Path, pin: &str) -> Result<File, Error> {
    File::open(folder.join(pin)).map_err(failed(folder, pin))
}

fn failed(folder: &Path, pin: &str) -> impl FnOnce(io::Error) -> Error {
    let path = folder.join(pin);
    |source| Error::File { path, source }
}
