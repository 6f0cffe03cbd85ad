//! The reader of a pinned table's events: one process at a time.

use std::fs::File;
use std::path::Path;

use crate::Error;
use crate::lock::Locked;

/// The pin that is locked by the reader.
const PIN: &str = "CONFIG";

/// The right to read events. The kernel releases it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct ReaderLock(#[expect(dead_code, reason = "held until it is dropped")] Locked);

impl ReaderLock {
    /// Takes the right, or fails with [`Error::Watched`] if another process has it.
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        Locked::try_new(folder, PIN, File::try_lock)?
            .map(Self)
            .ok_or(Error::Watched)
    }
}

/// While this lives, no process reads events: see [`Kernel::unwatched`](crate::Kernel::unwatched).
#[derive(Debug)]
pub struct Unwatched(#[expect(dead_code, reason = "held until it is dropped")] Locked);

impl Unwatched {
    /// Keeps readers out; `None` if there is one.
    pub(crate) fn new(folder: &Path) -> Result<Option<Self>, Error> {
        Ok(Locked::try_new(folder, PIN, File::try_lock_shared)?.map(Self))
    }
}
