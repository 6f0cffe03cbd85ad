//! Interfaces that are tracked, and where the links to them are pinned.

use std::fmt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use flowkeep_bpf::{Device, Hook};
use nix::net::if_::{if_indextoname, if_nametoindex};

use super::Error;

/// From whose point of view an interface is tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// That of this host: what arrives at it and what it sends.
    Host,
    /// That of a gateway: what arrives to be forwarded, and the originator is whoever sends first.
    Gateway,
}

impl Mode {
    /// Where programs are attached for this point of view.
    pub(super) const fn hooks(self) -> &'static [Hook] {
        match self {
            Self::Host => &[Hook::Ingress, Hook::Egress],
            Self::Gateway => &[Hook::Forward],
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "as a host",
            Self::Gateway => "as a gateway",
        })
    }
}

/// An interface of the current network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    name: String,
    index: u32,
}

impl Interface {
    /// Finds the interface with a name, of a kind that can be tracked.
    ///
    /// # Errors
    /// [`Error::NoInterface`], or [`Error::Kernel`] if it is of a kind that is not tracked.
    pub fn find(name: &str) -> Result<Self, Error> {
        let Ok(index) = if_nametoindex(name) else {
            return Err(Error::NoInterface {
                interface: name.to_owned(),
            });
        };
        Device::of(name)?;
        Ok(Self {
            name: name.to_owned(),
            index,
        })
    }

    /// Its name when it was found.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is still there, under whatever name.
    #[must_use]
    pub fn is_there(&self) -> bool {
        if_indextoname(self.index).is_ok()
    }
}

/// Where the link of a program to an interface is pinned.
pub(super) fn pin(folder: &Path, interface: &str, hook: Hook) -> PathBuf {
    let hook = match hook {
        Hook::Ingress => "ingress",
        Hook::Egress => "egress",
        Hook::Forward => "forward",
    };
    // No dot is allowed in the BPF file system, and no colon in the name of an interface.
    folder.join(format!("{hook}@{}", interface.replace('.', ":")))
}

/// Removes the links of an interface, which detaches its programs.
pub(super) fn unpin(folder: &Path, interface: &str) -> io::Result<()> {
    for hook in [Hook::Ingress, Hook::Egress, Hook::Forward] {
        match fs::remove_file(pin(folder, interface, hook)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The interfaces that have links pinned to a folder, in the order of their names.
pub(super) fn pinned(folder: &Path) -> Vec<(String, Mode)> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let (hook, interface) = name.split_once('@')?;
            let mode = match hook {
                "forward" => Mode::Gateway,
                _ => Mode::Host,
            };
            Some((interface.replace(':', "."), mode))
        })
        .collect();
    found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    found.dedup();
    found
}
