//! Pins that keep programs attached: their names tell where.

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
    /// Of a filter; `None` if the pin does not say.
    identity: Option<Identity>,
}

/// An interface, whatever it is called: a filter is not found by its pin, as a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    index: u32,
    /// The inode of its network namespace.
    namespace: u64,
}

impl Identity {
    /// That of an interface of the current network namespace.
    pub(super) fn of(interface: &str) -> io::Result<Self> {
        Ok(Self {
            index: if_nametoindex(interface)?,
            namespace: namespace()?,
        })
    }

    /// Whether it is of the current network namespace, or was.
    fn is_here(self) -> bool {
        namespace().is_ok_and(|namespace| namespace == self.namespace)
    }

    /// What it is called by now, if it is still there.
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
    /// The name of a link's pin in its folder, or with an identity of a filter's. The BPF file
    /// system takes no dots, which names of VLAN interfaces have; no interface's name has a colon.
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

    /// The same, under the name that its interface has by now.
    pub(crate) fn renamed(mut self) -> Self {
        if let Some(name) = self.identity.and_then(Identity::name) {
            self.attached.interface = name;
        }
        self
    }

    /// Whether its interface is of the current network namespace, as far as the pin says.
    pub(super) fn is_here(&self) -> bool {
        self.identity.is_none_or(Identity::is_here)
    }

    /// Detaches the program: a link goes with its pin, a filter has to be taken away, if it has not
    /// gone with its queueing discipline.
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
        // Not from an interface that only has the name of one that has gone.
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

/// What follows the hook in the name of a filter's pin.
const FILTER: &str = "-filter";

/// The identity that follows, as `-INDEX-NAMESPACE`.
fn read(text: &str) -> Option<Identity> {
    let (index, namespace) = text.strip_prefix('-')?.split_once('-')?;
    Some(Identity {
        index: index.parse().ok()?,
        namespace: namespace.parse().ok()?,
    })
}

/// The programs that are pinned to a folder, by whichever version of this crate; none if there is
/// no folder.
///
/// # Errors
/// [`Error::File`].
pub fn pinned(folder: &Path) -> Result<Vec<Attached>, Error> {
    Ok(pins(folder)?.into_iter().map(|pin| pin.attached).collect())
}

/// The pins in a folder.
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
        // Nothing else is ours, whatever its name.
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
