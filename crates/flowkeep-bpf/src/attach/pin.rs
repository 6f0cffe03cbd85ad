//! Pins that keep programs attached: their names tell where.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::filter::{Filter, PINNED};
use crate::{Attached, Error, Hook, Means};

/// A program that a pin keeps attached.
pub(crate) struct Pin {
    path: PathBuf,
    pub(super) attached: Attached,
}

impl Pin {
    /// The name of the pin in its folder. The BPF file system takes no dots, which names of VLAN
    /// interfaces have; no interface's name has a colon.
    pub(super) fn name(interface: &str, hook: Hook, means: Means) -> String {
        let interface = interface.replace('.', ":");
        let suffix = match means {
            Means::Tcx => "",
            Means::Clsact => FILTER,
        };
        format!("{}{suffix}@{interface}", hook.name())
    }

    /// The inverse of [`Self::name`]; `None` for pins of maps.
    pub(crate) fn at(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (hook, interface) = name.split_once('@')?;
        let (hook, means) = match hook.strip_suffix(FILTER) {
            Some(hook) => (hook, Means::Clsact),
            None => (hook, Means::Tcx),
        };
        let hook = Hook::ALL.into_iter().find(|each| each.name() == hook)?;
        let attached = Attached {
            interface: interface.replace(':', "."),
            hook,
            means,
        };
        Some(Self { path, attached })
    }

    /// Detaches the program: a link goes with its pin, a filter has to be taken away, if it has not
    /// gone with its queueing discipline.
    pub(crate) fn detach(self) -> Result<(), Error> {
        let Attached {
            interface,
            hook,
            means,
        } = &self.attached;
        if *means == Means::Clsact {
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
        pins.extend(Pin::at(entry.map_err(failed)?.path()));
    }
    Ok(pins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pins_can_be_read_back() {
        for interface in ["eth0", "eth0.100", "a_b", "a@b"] {
            for (hook, means) in [(Hook::Forward, Means::Tcx), (Hook::Egress, Means::Clsact)] {
                let name = Pin::name(interface, hook, means);
                assert!(!name.contains('.'), "{name}");
                let pin = Pin::at(name.into()).expect("a pin's name");
                assert_eq!(pin.attached.interface, interface);
                assert_eq!((pin.attached.hook, pin.attached.means), (hook, means));
            }
        }
        assert!(Pin::at("HEADER".into()).is_none());
    }
}
