//! Pins that keep programs attached. Their names say where.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::net::if_::{if_nameindex, if_nametoindex};

use super::filter::{Filter, PINNED};
use crate::{Attached, Error, Hook, Means};

/// A program that a pin keeps attached.
pub(crate) struct Pin {
    pub(super) path: PathBuf,
    pub(super) attached: Attached,
    /// Of a filter; `None` for a link, or if the name does not have it.
    identity: Option<Identity>,
}

/// An interface, whatever its name: unlike a link, a filter is not found by its pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    index: u32,
    /// The inode of its network namespace.
    namespace: u64,
}

impl Identity {
    /// The identity of an interface of the current network namespace.
    pub(super) fn of(interface: &str) -> io::Result<Self> {
        Ok(Self {
            index: if_nametoindex(interface)?,
            namespace: namespace()?,
        })
    }

    /// Whether the interface is, or was, in the current network namespace.
    fn is_here(self) -> bool {
        namespace().is_ok_and(|namespace| namespace == self.namespace)
    }

    /// The interface's present name; `None` if it is gone.
    fn name(self) -> Option<String> {
        let interfaces = if_nameindex().ok().filter(|_| self.is_here())?;
        let found = interfaces
            .iter()
            .find(|other| other.index() == self.index)?;
        Some(found.name().to_string_lossy().into_owned())
    }
}

/// The current network namespace.
fn namespace() -> io::Result<u64> {
    Ok(fs::metadata("/proc/thread-self/ns/net")?.ino())
}

impl Pin {
    /// The name of the pin of a link, or with an identity of a filter. The BPF file system allows
    /// no dots in names, which VLAN interfaces have; interface names have no colons.
    pub(super) fn name(interface: &str, hook: Hook, filter: Option<Identity>) -> String {
        let interface = interface.replace('.', ":");
        let suffix = filter.map_or_else(String::new, |Identity { index, namespace }| {
            format!("{FILTER}-{index}-{namespace}")
        });
        format!("{}{suffix}@{interface}", hook.name())
    }

    /// The inverse of [`Self::name`]; `None` for pins of maps.
    pub(crate) fn at(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (hook, interface) = name.split_once('@')?;
        let (hook, means, identity) = match hook.split_once(FILTER) {
            Some((hook, identity)) => (hook, Means::Clsact, read(identity)),
            None => (hook, Means::Tcx, None),
        };
        let hook = Hook::ALL.into_iter().find(|each| each.name() == hook)?;
        let attached = Attached {
            interface: interface.replace(':', "."),
            hook,
            means,
        };
        Some(Self {
            path,
            attached,
            identity,
        })
    }

    /// The same pin with the present name of its interface.
    pub(crate) fn renamed(mut self) -> Self {
        if let Some(name) = self.identity.and_then(Identity::name) {
            self.attached.interface = name;
        }
        self
    }

    /// Whether its interface is in the current network namespace; true if the pin does not say.
    pub(super) fn is_here(&self) -> bool {
        self.identity.is_none_or(Identity::is_here)
    }

    /// Detaches the program. A link is detached by removing its pin; a filter has to be deleted, if
    /// its queueing discipline still exists.
    pub(crate) fn detach(self) -> Result<(), Error> {
        let Attached {
            interface,
            hook,
            means,
        } = &self.attached;
        if !self.is_here() {
            return Err(Error::OtherNamespace {
                interface: interface.clone(),
                path: self.path,
            });
        }
        // Another interface may have the name of one that is gone.
        let is_gone = self.identity.is_some_and(|found| found.name().is_none());
        if *means == Means::Clsact && !is_gone {
            Filter::new(interface, *hook).detach(PINNED);
        }
        fs::remove_file(&self.path).map_err(|source| Error::File {
            path: self.path,
            source,
        })
    }
}

/// Follows the hook in the name of a filter's pin.
const FILTER: &str = "-filter";

/// Reads an identity, written as `-INDEX-NAMESPACE`.
fn read(text: &str) -> Option<Identity> {
    let (index, namespace) = text.strip_prefix('-')?.split_once('-')?;
    Some(Identity {
        index: index.parse().ok()?,
        namespace: namespace.parse().ok()?,
    })
}

/// The programs that are pinned to a folder, by any version of this crate; none if there is no such
/// folder.
///
/// # Errors
/// [`Error::File`].
pub fn pinned(folder: &Path) -> Result<Vec<Attached>, Error> {
    Ok(pins(folder)?.into_iter().map(|pin| pin.attached).collect())
}

/// The pins of programs in a folder.
pub(super) fn pins(folder: &Path) -> Result<Vec<Pin>, Error> {
    let failed = |source| Error::File {
        path: folder.to_owned(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut pins = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        // Pins are files. Flowkeep makes nothing else.
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            pins.extend(Pin::at(entry.path()).map(Pin::renamed));
        }
    }
    Ok(pins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pins_can_be_read_back() {
        for interface in ["eth0", "eth0.100", "a_b", "a@b"] {
            let identity = Identity {
                index: 7,
                namespace: 4_026_531_840,
            };
            for (hook, means, identity) in [
                (Hook::Forward, Means::Tcx, None),
                (Hook::Egress, Means::Clsact, Some(identity)),
            ] {
                let name = Pin::name(interface, hook, identity);
                assert!(!name.contains('.'), "{name}");
                let pin = Pin::at(name.into()).expect("a pin's name");
                assert_eq!(pin.attached.interface, interface);
                assert_eq!((pin.attached.hook, pin.attached.means), (hook, means));
                assert_eq!(pin.identity, identity);
            }
        }
        assert!(Pin::at("HEADER".into()).is_none());
    }
}
