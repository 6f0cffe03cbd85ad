//! Locks between processes that use what is pinned to a folder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use crate::Error;

/// A pin that is locked: until this is dropped, or the process ends, however that happens.
#[derive(Debug)]
pub(crate) struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // To close the file is not enough: a process that this one has just begun has it open too,
        // until it runs its own program. This fails for no lock that is held.
        let _ = self.0.unlock();
    }
}

impl Locked {
    /// Waits until nobody else has the pin locked.
    pub(crate) fn new(folder: &Path, pin: &str) -> Result<Self, Error> {
        let file = open(folder, pin)?;
        file.lock().map_err(failed(folder, pin))?;
        Ok(Self(file))
    }

    /// Locks a pin; `None` if others have it locked.
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

/// Pins of arrays with type information are files that can be opened; not so those of ring buffers.
fn open(folder: &Path, pin: &str) -> Result<File, Error> {
    File::open(folder.join(pin)).map_err(failed(folder, pin))
}

fn failed(folder: &Path, pin: &str) -> impl FnOnce(io::Error) -> Error {
    let path = folder.join(pin);
    |source| Error::File { path, source }
}
