//! Who reads the events of a pinned table: one process at a time.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::Error;

/// The right to read events. It goes with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Reader(#[expect(dead_code, reason = "held for its end")] Locked);

impl Reader {
    /// Takes the right, or fails with [`Error::Watched`] if somebody has it.
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        taken(folder, File::try_lock)?
            .map(Self)
            .ok_or(Error::Watched)
    }
}

/// As long as this lives nobody reads events: see [`Kernel::unwatched`](crate::Kernel::unwatched).
#[derive(Debug)]
pub struct Unwatched(#[expect(dead_code, reason = "held for its end")] Locked);

impl Unwatched {
    /// Makes sure that nobody has the right; `None` if somebody does.
    pub(crate) fn new(folder: &Path) -> Result<Option<Self>, Error> {
        Ok(taken(folder, File::try_lock_shared)?.map(Self))
    }
}

/// A file that is locked.
#[derive(Debug)]
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // To close the file is not enough: a process that this one has just begun has it open too,
        // until it runs its own program. This fails for no lock that is held.
        let _ = self.0.unlock();
    }
}

/// Locks the config's pin; `None` if others have it locked. Pins of arrays with type information
/// are files that can be opened; not so the buffer's own.
fn taken(
    folder: &Path,
    lock: impl FnOnce(&File) -> Result<(), TryLockError>,
) -> Result<Option<Locked>, Error> {
    let path = folder.join("CONFIG");
    let failed = |source| Error::File {
        path: path.clone(),
        source,
    };
    let file = File::open(&path).map_err(failed)?;
    match lock(&file) {
        Ok(()) => Ok(Some(Locked(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
