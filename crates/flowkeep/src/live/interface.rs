//! The interfaces that are tracked.

use std::fmt;
use std::path::Path;

use flowkeep_bpf::{Device, Hook};
use nix::net::if_::{if_nameindex, if_nametoindex};

use super::Error;

/// The point of view from which an interface is tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// A host's: packets that it receives and packets that it sends.
    Host,
    /// A gateway's: packets that arrive to be forwarded. The originator is the side that sends
    /// first.
    Gateway,
}

impl Mode {
    /// The point of view of a program at this hook.
    pub(super) const fn of(hook: Hook) -> Self {
        match hook {
            Hook::Ingress | Hook::Egress => Self::Host,
            Hook::Forward => Self::Gateway,
        }
    }

    /// The hooks for this point of view.
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
    /// Finds an interface by its name. It has to be of a kind that can be tracked.
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

    /// Its index.
    pub(super) const fn index(&self) -> u32 {
        self.index
    }

    /// Whether it still exists, under any name. True if the kernel does not say, because an
    /// interface that is given up is not tracked again.
    #[must_use]
    pub fn is_there(&self) -> bool {
        if_nameindex().map_or(true, |interfaces| {
            interfaces.iter().any(|other| other.index() == self.index)
        })
    }
}

/// The name of an interface of the current network namespace, by its index.
pub(super) fn name_of(index: u32) -> Option<String> {
    // nix's wrapper of `if_indextoname` returns an empty name on failure.
    let interfaces = if_nameindex().ok()?;
    let found = interfaces.iter().find(|other| other.index() == index)?;
    Some(found.name().to_string_lossy().into_owned())
}

/// The interfaces that have programs pinned to a folder, in the order of their names.
pub(super) fn pinned(folder: &Path) -> Result<Vec<(String, Mode)>, Error> {
    let mut found: Vec<_> = flowkeep_bpf::pinned(folder)?
        .into_iter()
        .map(|attached| (attached.interface, Mode::of(attached.hook)))
        .collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
