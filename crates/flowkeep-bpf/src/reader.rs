//! Who reads the events of a pinned table: one process at a time.

use std::fs::File;
use std::path::Path;

use crate::Error;
use crate::lock::Locked;

/// The pin that stands for the events.
const PIN: &str = "CONFIG";

/// The right to read events. It goes with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Reader(#[expect(dead_code, reason = "held for its end")] Locked);

impl Reader {
    /// Takes the right, or fails with [`Error::Watched`] if somebody has it.
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        Locked::try_new(folder, PIN, File::try_lock)?
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
        Ok(Locked::try_new(folder, PIN, File::try_lock_shared)?.map(Self))
    }
}
