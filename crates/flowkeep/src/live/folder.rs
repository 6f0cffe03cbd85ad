//! The folder of the BPF file system in which a tracker lives, and who may change it.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::Error;

/// Where a tracker lives unless it is told otherwise.
pub const DEFAULT_FOLDER: &str = "/sys/fs/bpf/flowkeep";

/// A folder of the BPF file system.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// The right to change what is in a folder: one process has it at a time, until it ends or drops
/// this. Nothing of it is left behind, however the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // To close the file is not enough: a process that this one has just begun has it open too,
        // until it runs its own program. This fails for no lock that is held.
        let _ = self.file.unlock();
    }
}

impl Folder {
    /// The folder at a path. It need not be there yet.
    ///
    /// # Errors
    /// [`Error::Missing`] if the path is not in a BPF file system.
    pub fn at(path: &Path) -> Result<Self, Error> {
        let nearest = path.ancestors().find(|ancestor| ancestor.exists());
        let kind = statfs(nearest.unwrap_or(path)).map(|found| found.filesystem_type());
        let folder = || path.to_owned();
        if kind == Ok(BPF_FS_MAGIC) {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            if name.contains(&b'.') {
                return Err(Error::Name { folder: folder() });
            }
            return Ok(Self { path: folder() });
        }
        let remedy = if path.starts_with("/sys/fs/bpf") {
            "mount one with 'mount -t bpf bpf /sys/fs/bpf' ('ip netns exec' hides it: take \
             'nsenter --net=/run/netns/NAME' in its place)"
        } else {
            "take a --folder below /sys/fs/bpf"
        };
        Err(Error::Missing {
            what: format!("{} is not in a BPF file system", path.display()),
            remedy: remedy.to_owned(),
        })
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The command for what lives here, as one types it.
    #[must_use]
    pub fn command(&self, command: &str) -> String {
        command_at(&self.path, command)
    }

    /// Makes the folder if it is not there, and claims it.
    ///
    /// # Errors
    /// [`Error::Busy`] if another process has it, [`Error::Shared`] if there is something else in
    /// it, [`Error::NoParent`], [`Error::Missing`] without the privilege, [`Error::File`].
    pub fn claim(&self) -> Result<Lock, Error> {
        loop {
            self.make()?;
            let file = File::open(&self.path).map_err(|error| self.failed(error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Busy {
                        folder: self.path.clone(),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(self.failed(error)),
            }
            // Whoever had it may have removed it in between: then this is the lock of nothing.
            let inode = |metadata: io::Result<fs::Metadata>| metadata.ok().map(|found| found.ino());
            if inode(file.metadata()) == inode(fs::metadata(&self.path)) {
                // What is in it will be removed one day.
                self.is_own()?;
                return Ok(Lock { file });
            }
        }
    }

    /// Makes the folder, if it is not there: but none above it, which nobody would remove.
    fn make(&self) -> Result<(), Error> {
        // For nobody else: whoever can open what is in it can claim it.
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::NoParent {
                folder: self.path.clone(),
            }),
            made => made.map_err(|error| self.failed(error)),
        }
    }

    /// Makes sure that nothing is in the folder but what trackers pin.
    fn is_own(&self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.path).map_err(|error| self.failed(error))? {
            let entry = entry.map_err(|error| self.failed(error))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // Programs are pinned for a hook@interface, and maps have names in capitals.
            let named = name.contains('@') || name.chars().all(|char| char.is_ascii_uppercase());
            // A folder or a symbolic link would be in the way, and not for us to remove.
            if !(named && entry.file_type().is_ok_and(|kind| kind.is_file())) {
                return Err(Error::Shared {
                    folder: self.path.clone(),
                });
            }
        }
        Ok(())
    }

    /// Removes what is pinned to the folder. Whoever calls it has claimed the folder.
    pub(super) fn clear(&self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.path).map_err(|error| self.failed(error))? {
            let path = entry.map_err(|error| self.failed(error))?.path();
            fs::remove_file(path).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    pub(super) fn failed(&self, source: io::Error) -> Error {
        let path = self.path.display();
        match source.kind() {
            ErrorKind::PermissionDenied => Error::Missing {
                what: format!("{path}: not permitted"),
                remedy: "run it as root".to_owned(),
            },
            ErrorKind::ReadOnlyFilesystem => Error::Missing {
                what: format!("{path}: read-only file system"),
                remedy: "make it writable with 'mount -o remount,rw /sys/fs/bpf'".to_owned(),
            },
            _ => Error::File {
                path: self.path.clone(),
                source,
            },
        }
    }
}

/// The command for what lives in a folder, as one types it.
pub(super) fn command_at(folder: &Path, command: &str) -> String {
    if folder == Path::new(DEFAULT_FOLDER) {
        return format!("flowkeep {command}");
    }
    format!("flowkeep {command} --folder {}", folder.display())
}
