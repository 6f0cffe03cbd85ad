//! Whether a folder of the BPF file system can be trusted.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use crate::Error;

/// Makes sure that only root and this process's user can change what is pinned to a folder: another
/// user who created it beforehand could replace or remove the pins. The folders above it in the BPF
/// file system have to be safe too, also if it does not exist.
///
/// # Errors
/// [`Error::Untrusted`], [`Error::File`].
pub fn check_folder(folder: &Path) -> Result<(), Error> {
    let trusted = [0, geteuid().as_raw()];
    let mut device = None;
    let real = folder
        .ancestors()
        .find_map(|path| real_path(path).transpose());
    let real = real.transpose().map_err(failed(folder))?;
    for path in real.iter().flat_map(|path| path.ancestors()) {
        let metadata = match fs::metadata(path) {
            // Removed by another process.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            metadata => metadata.map_err(failed(path))?,
        };
        // Where the BPF file system is mounted is up to the administrator.
        if *device.get_or_insert_with(|| metadata.dev()) != metadata.dev() {
            break;
        }
        let is_parent = !is_same(path, folder);
        if let Some(reason) = distrust(metadata.uid(), metadata.mode(), is_parent, trusted) {
            let path = path.to_owned();
            return Err(Error::Untrusted { path, reason });
        }
    }
    Ok(())
}

/// A path without symbolic links; `None` if it does not exist.
fn real_path(path: &Path) -> io::Result<Option<PathBuf>> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        path => path.map(Some),
    }
}

/// Whether a path without symbolic links is that of a folder, by whatever path.
fn is_same(path: &Path, folder: &Path) -> bool {
    fs::canonicalize(folder).is_ok_and(|folder| folder == path)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    |source| Error::File { path, source }
}

/// Why a folder with this owner and mode can't be trusted; `None` if it can.
fn distrust(owner: u32, mode: u32, is_parent: bool, trusted: [u32; 2]) -> Option<String> {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    if !trusted.contains(&owner) {
        return Some(format!(
            "it belongs to user {owner}, who could replace what is pinned there"
        ));
    }
    // In a sticky folder others may make files, but not remove or rename ours.
    if mode & WRITABLE_BY_OTHERS != 0 && !(is_parent && mode & STICKY != 0) {
        return Some(format!(
            "other users may write to it (mode {:04o}) and could replace what is pinned there",
            mode & 0o7777
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_must_not_be_able_to_change_a_folder() {
        let trusted = [0, 1000];
        for (owner, mode, parent, expected) in [
            (0, 0o40_700, false, None),
            (1000, 0o40_755, false, None),
            (0, 0o41_777, true, None),
            (1001, 0o40_700, false, Some("it belongs to user 1001, ")),
            (1001, 0o40_755, true, Some("it belongs to user 1001, ")),
            (
                0,
                0o40_720,
                false,
                Some("other users may write to it (mode 0720) "),
            ),
            (
                0,
                0o41_777,
                false,
                Some("other users may write to it (mode 1777) "),
            ),
            (
                0,
                0o40_777,
                true,
                Some("other users may write to it (mode 0777) "),
            ),
        ] {
            let found = distrust(owner, mode, parent, trusted);
            let fits = match (&found, expected) {
                (Some(found), Some(expected)) => found.starts_with(expected),
                (found, expected) => found.is_none() && expected.is_none(),
            };
            assert!(fits, "{owner} {mode:o} {parent}: {found:?}");
        }
    }
}
