//! Flowkeep's filters of the clsact queueing discipline, and the processes that own them.

use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle};
use aya::programs::{Link, TcAttachType};
use nix::net::if_::{if_nameindex, if_nametoindex};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket,
    sockopt::PeerCredentials,
};
use nix::unistd::geteuid;

use crate::{Error, Hook};

/// Flowkeep's filters have this priority and one of the handles below, so that filters of other
/// programs are never touched. The kernel gives priorities from 0xc000 downwards to filters that
/// ask for none.
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

/// Flowkeep's filters on one side of an interface.
pub(super) struct Filter<'i> {
    interface: &'i str,
    hook: Hook,
}

/// The process that has the name of the filter [`OWN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A process of root or of this process's user: another Flowkeep.
    Flowkeep,
    /// A process of another user. Any process may take any free name, but Flowkeep's programs are
    /// attached by privileged ones only.
    Stranger {
        /// Its number.
        process: i32,
        /// Its user.
        user: u32,
    },
}

impl<'i> Filter<'i> {
    pub(super) const fn new(interface: &'i str, hook: Hook) -> Self {
        Self { interface, hook }
    }

    /// The filter with a handle as a link, whether or not there is such a filter. Dropping the link
    /// detaches it.
    pub(super) fn link(&self, handle: TcHandle) -> io::Result<SchedClassifierLink> {
        SchedClassifierLink::attached(self.interface, self.hook.side(), PRIORITY, handle, None)
    }

    /// Detaches the filter with a handle. Returns whether there was one.
    pub(super) fn detach(&self, handle: TcHandle) -> bool {
        self.link(handle).is_ok_and(|link| link.detach().is_ok())
    }

    /// Takes the name that belongs to the owner of the filter [`OWN`]: as long as the result lives,
    /// other processes in this network namespace see that the owner does. It is the name of a
    /// socket that accepts no connection.
    ///
    /// # Errors
    /// [`ErrorKind::AddrInUse`] if a process has the name: see [`Self::owner`].
    pub(super) fn own(&self) -> io::Result<UnixListener> {
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(self.name()?)?)
    }

    /// The process that has the name; `None` if none has.
    ///
    /// # Errors
    /// If that can't be found out, because too many processes ask at once.
    pub(super) fn owner(&self) -> io::Result<Option<Owner>> {
        let address = UnixAddr::new_abstract(self.name()?.as_bytes())?;
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        match connect(socket.as_raw_fd(), &address).map_err(io::Error::from) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(None),
            connected => connected?,
        }
        let peer = getsockopt(&socket, PeerCredentials)?;
        let trusted = [0, geteuid().as_raw()];
        Ok(Some(if trusted.contains(&peer.uid()) {
            Owner::Flowkeep
        } else {
            Owner::Stranger {
                process: peer.pid(),
                user: peer.uid(),
            }
        }))
    }

    fn name(&self) -> io::Result<String> {
        let index = if_nametoindex(self.interface)?;
        let side = match self.hook.side() {
            TcAttachType::Egress => "egress",
            _ => "ingress",
        };
        Ok(format!("flowkeep/filter/{index}/{side}"))
    }
}

/// Detaches filters whose process was killed from the interfaces of the current network namespace:
/// a kernel without tcx links (before 6.6) keeps them attached. Returns the names of the interfaces
/// that had one, sorted.
///
/// # Errors
/// [`Error::Query`] if the kernel does not list the interfaces.
pub fn detach_abandoned() -> Result<Vec<String>, Error> {
    let interfaces = if_nameindex().map_err(|error| Error::query(io::Error::from(error)))?;
    let mut names = Vec::new();
    for interface in interfaces.iter() {
        let name = interface.name().to_string_lossy();
        for hook in [Hook::Ingress, Hook::Egress] {
            let filter = Filter::new(&name, hook);
            // While this process has the name, no other Flowkeep can attach here.
            let name_taken = filter.own();
            let abandoned = match &name_taken {
                Ok(_) => true,
                // A stranger took the name after the owner was killed.
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    matches!(filter.owner(), Ok(Some(Owner::Stranger { .. })))
                }
                Err(_) => false,
            };
            if abandoned && filter.detach(OWN) {
                names.push(name.clone().into_owned());
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}
