//! The folder of a tracker in the BPF file system, and the right to change it.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use flowkeep_bpf::check_folder;
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use nix::unistd::geteuid;

use super::Error;

/// The folder that is used unless another one is given.
pub const DEFAULT_FOLDER: &str = "/sys/fs/bpf/flowkeep";

/// A folder of the BPF file system.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// The right to change what is in a folder. One process has it at a time, until it drops this or
/// ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child process that was just forked has it open too,
        // until it executes its own program. Unlocking a lock that is held does not fail.
        let _ = self.file.unlock();
    }
}

impl Folder {
    /// The folder at a path. It need not exist.
    ///
    /// # Errors
    /// [`Error::Missing`] if the path is not in a BPF file system, [`Error::Name`].
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
            "mount one with 'mount -t bpf bpf /sys/fs/bpf' ('ip netns exec' hides it: use \
             'nsenter --net=/run/netns/NAME' instead)"
        } else {
            "use a --folder below /sys/fs/bpf"
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

    /// The command line of a command for the tracker in this folder.
    #[must_use]
    pub fn command(&self, command: &str) -> String {
        command_at(&self.path, command)
    }

    /// Takes the lock of the folder, which is created if it does not exist.
    ///
    /// # Errors
    /// [`Error::Busy`] if another process has the lock, [`Error::Untrusted`] if other users can
    /// change the folder, [`Error::Shared`] if it contains something else, [`Error::NoParent`],
    /// [`Error::Missing`] without the privilege, [`Error::File`].
    pub fn claim(&self) -> Result<Lock, Error> {
        loop {
            check_folder(&self.path)?;
            self.create()?;
            check_folder(&self.path)?;
            let file = match File::open(&self.path) {
                // The process that had the lock has removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => file.map_err(|error| self.failed(error))?,
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Busy {
                        folder: self.path.clone(),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(self.failed(error)),
            }
            // The process that had the lock may have removed the folder since it was opened. Then
            // this lock is of no use.
            let inode = |metadata: io::Result<fs::Metadata>| metadata.ok().map(|found| found.ino());
            if inode(file.metadata()) == inode(fs::metadata(&self.path)) {
                self.close_to_others(&file)?;
                // What is in it will be removed with the tracker.
                self.check_contents()?;
                return Ok(Lock { file });
            }
        }
    }

    /// Creates the folder if it does not exist; but no folder above it, which would never be
    /// removed.
    fn create(&self) -> Result<(), Error> {
        // Other users could lock a folder that they can open.
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::NoParent {
                folder: self.path.clone(),
            }),
            created => created.map_err(|error| self.failed(error)),
        }
    }

    /// Takes the right to open the folder from other users, if it was created with it.
    fn close_to_others(&self, file: &File) -> Result<(), Error> {
        const OTHERS: u32 = 0o077;
        let metadata = file.metadata().map_err(|error| self.failed(error))?;
        if metadata.uid() != geteuid().as_raw() || metadata.mode() & OTHERS == 0 {
            return Ok(());
        }
        let closed = Permissions::from_mode(metadata.mode() & 0o7777 & !OTHERS);
        file.set_permissions(closed)
            .map_err(|error| self.failed(error))
    }

    /// Makes sure that the folder contains nothing but what trackers pin.
    fn check_contents(&self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.path).map_err(|error| self.failed(error))? {
            let entry = entry.map_err(|error| self.failed(error))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // Programs are pinned as HOOK@INTERFACE, maps by their names in capitals.
            let is_pin = name.contains('@') || name.chars().all(|char| char.is_ascii_uppercase());
            // Folders and symbolic links are not pins.
            if !(is_pin && entry.file_type().is_ok_and(|kind| kind.is_file())) {
                return Err(Error::Shared {
                    folder: self.path.clone(),
                });
            }
        }
        Ok(())
    }

    /// Removes what is pinned to the folder. The caller has its lock.
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
                what: format!("{path}: permission denied"),
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

/// The command line of a command for the tracker in a folder.
pub(super) fn command_at(folder: &Path, command: &str) -> String {
    if folder == Path::new(DEFAULT_FOLDER) {
        return format!("flowkeep {command}");
    }
    format!("flowkeep {command} --folder {}", folder.display())
}
