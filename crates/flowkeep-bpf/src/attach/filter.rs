//! Our filters of the clsact queueing discipline, and whose they are.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle};
use aya::programs::{Link, TcAttachType};
use nix::net::if_::{if_nameindex, if_nametoindex};

use crate::{Error, Hook};

/// Filters are found by these numbers, so that nobody else's is touched. A kernel gives numbers
/// from 0xc000 downwards to filters without one.
const PRIORITY: u16 = 0xf10b;
/// The filter of a process.
pub(super) const OWN: TcHandle = TcHandle::new(0, 1);
/// A filter that is pinned.
pub(super) const PINNED: TcHandle = TcHandle::new(0, 2);

/// How a filter is attached.
pub(super) const fn options(handle: TcHandle) -> TcAttachOptions {
    TcAttachOptions::Netlink(NlOptions {
        priority: PRIORITY,
        handle,
        classid: None,
    })
}

/// The filters on one side of an interface.
pub(super) struct Filter<'i> {
    interface: &'i str,
    hook: Hook,
}

impl<'i> Filter<'i> {
    pub(super) const fn new(interface: &'i str, hook: Hook) -> Self {
        Self { interface, hook }
    }

    /// The filter of a number as a link, whether it is there or not. It is detached when that is
    /// dropped.
    pub(super) fn link(&self, handle: TcHandle) -> io::Result<SchedClassifierLink> {
        SchedClassifierLink::attached(self.interface, self.hook.side(), PRIORITY, handle, None)
    }

    /// Detaches the filter of a number. Whether it was there.
    pub(super) fn detach(&self, handle: TcHandle) -> bool {
        self.link(handle).is_ok_and(|link| link.detach().is_ok())
    }

    /// Takes the name of whoever has the filter [`OWN`]: other processes see it while this one
    /// lives, in this network namespace. It is a socket to which nobody connects.
    pub(super) fn own(&self) -> io::Result<UnixListener> {
        let index = if_nametoindex(self.interface)?;
        let side = match self.hook.side() {
            TcAttachType::Egress => "egress",
            _ => "ingress",
        };
        let name = format!("flowkeep/filter/{index}/{side}");
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
    }
}

/// Detaches the filters of processes that were killed, from the interfaces of the current network
/// namespace: a kernel without links (before 6.6) goes on with them. Returns the names of the
/// interfaces that had one, in order.
///
/// # Errors
/// [`Error::Query`] if the kernel does not say which interfaces there are.
pub fn detach_abandoned() -> Result<Vec<String>, Error> {
    let interfaces = if_nameindex().map_err(|error| Error::query(io::Error::from(error)))?;
    let mut names = Vec::new();
    for interface in interfaces.iter() {
        let name = interface.name().to_string_lossy();
        for hook in [Hook::Ingress, Hook::Egress] {
            let filter = Filter::new(&name, hook);
            // Nobody else gets the name meanwhile; who has it lives.
            let Ok(_owner) = filter.own() else {
                continue;
            };
            if filter.detach(OWN) {
                names.push(name.clone().into_owned());
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}
