//! Attaching programs to interfaces.

use std::io::{self, ErrorKind};
use std::path::Path;

use aya::programs::links::{FdLink, LinkOrder};
use aya::programs::tc::{NlOptions, TcAttachOptions};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType, tc};
use nix::ifaddrs::getifaddrs;

use crate::{Error, Kernel};

/// Which packets of an interface, and from whose point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// What arrives at this host.
    Ingress,
    /// What leaves this host.
    Egress,
    /// What arrives, to be forwarded: the originator is whoever sends first.
    Forward,
}

impl Hook {
    const fn side(self) -> TcAttachType {
        match self {
            Self::Ingress | Self::Forward => TcAttachType::Ingress,
            Self::Egress => TcAttachType::Egress,
        }
    }

    /// The program for this hook, by its name.
    const fn program(self, device: Device) -> &'static str {
        match (self, device) {
            (Self::Ingress, Device::Ethernet) => "ingress_ether",
            (Self::Ingress, Device::Ip) => "ingress_ip",
            (Self::Egress, Device::Ethernet) => "egress_ether",
            (Self::Egress, Device::Ip) => "egress_ip",
            (Self::Forward, Device::Ethernet) => "forward_ether",
            (Self::Forward, Device::Ip) => "forward_ip",
        }
    }
}

/// What the packets of an interface begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// An Ethernet header.
    Ethernet,
    /// The IP header.
    Ip,
}

impl Device {
    /// What an interface of the current network namespace is.
    ///
    /// # Errors
    /// [`Error::Interface`] and [`Error::Kind`].
    pub fn of(interface: &str) -> Result<Self, Error> {
        let failed = |source| Error::Interface {
            interface: interface.to_owned(),
            source,
        };
        // Not from /sys, which shows the namespace that it was mounted in.
        let mut addresses = getifaddrs()
            .map_err(|error| failed(error.into()))?
            .filter(|address| address.interface_name == interface)
            .peekable();
        if addresses.peek().is_none() {
            let missing = io::Error::new(ErrorKind::NotFound, "no such interface");
            return Err(failed(missing));
        }
        let kind = addresses.find_map(|address| Some(address.address?.as_link_addr()?.hatype()));
        // Devices without a link header have no address for it either (tun, WireGuard).
        let Some(kind) = kind else {
            return Ok(Self::Ip);
        };
        // Numbers of linux/if_arp.h.
        match kind {
            // Ethernet, and the loopback device, which has an Ethernet header too.
            1 | 772 => Ok(Self::Ethernet),
            // PPP, IP in IP, IPv6 in IPv6, SIT, GRE over IPv4 and IPv6, raw IP, none (tun,
            // WireGuard).
            512 | 768 | 769 | 776 | 778 | 823 | 519 | 65534 => Ok(Self::Ip),
            kind => Err(Error::Kind {
                interface: interface.to_owned(),
                kind: u32::from(kind),
            }),
        }
    }
}

impl Kernel {
    /// The program for a hook and a device, loaded and verified.
    ///
    /// # Errors
    /// [`Error::Load`].
    pub fn program(&mut self, hook: Hook, device: Device) -> Result<&mut SchedClassifier, Error> {
        let name = hook.program(device);
        let program = self
            .programs
            .program_mut(name)
            .ok_or_else(|| Error::Load(format!("there is no program {name}").into()))?;
        let program: &mut SchedClassifier = program.try_into().map_err(Error::load)?;
        match program.load() {
            Ok(()) | Err(ProgramError::AlreadyLoaded) => Ok(program),
            Err(error) => Err(Error::load(error)),
        }
    }

    /// Attaches the program for a hook to an interface, beside whatever is attached there: by a
    /// tcx link, or on kernels before 6.6 by a filter of the clsact queueing discipline. It is
    /// detached when `self` is dropped, unless it is pinned: with `pin`, a tcx link is pinned
    /// to that path of the BPF file system.
    ///
    /// # Errors
    /// [`Error::Interface`], [`Error::Kind`], [`Error::Load`], [`Error::Attach`].
    pub fn attach(&mut self, interface: &str, hook: Hook, pin: Option<&Path>) -> Result<(), Error> {
        let device = Device::of(interface)?;
        let program = self.program(hook, device)?;
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Attach {
            interface: interface.to_owned(),
            source,
        };
        let order = TcAttachOptions::TcxOrder(LinkOrder::default());
        let id = match program.attach_with_options(interface, hook.side(), order) {
            Ok(id) => id,
            Err(error) if without_tcx(&error) => {
                attach_filter(program, interface, hook).map_err(|error| failed(Box::new(error)))?;
                return Ok(());
            }
            Err(error) => return Err(failed(Box::new(error))),
        };
        if let Some(path) = pin {
            let link = program
                .take_link(id)
                .map_err(|error| failed(Box::new(error)))?;
            let link: FdLink = link.try_into().map_err(|error| failed(Box::new(error)))?;
            link.pin(path).map_err(|error| failed(Box::new(error)))?;
        }
        Ok(())
    }
}

/// Whether the kernel does not know tcx links: before 6.6 it says that the argument is invalid.
fn without_tcx(error: &ProgramError) -> bool {
    matches!(error, ProgramError::SyscallError(error)
        if error.io_error.kind() == ErrorKind::InvalidInput)
}

/// Attaches by netlink. The queueing discipline may be there already: others share it.
fn attach_filter(
    program: &mut SchedClassifier,
    interface: &str,
    hook: Hook,
) -> Result<(), ProgramError> {
    match tc::qdisc_add_clsact(interface) {
        Ok(()) => {}
        Err(error) if is_there_already(&error) => {}
        Err(error) => return Err(error.into()),
    }
    let options = TcAttachOptions::Netlink(NlOptions::default());
    program.attach_with_options(interface, hook.side(), options)?;
    Ok(())
}

fn is_there_already(error: &tc::TcError) -> bool {
    match error {
        tc::TcError::AlreadyAttached => true,
        tc::TcError::NetlinkError(error) => error.raw_os_error() == Some(EEXIST),
        _ => false,
    }
}

/// The number of "file exists" on Linux.
const EEXIST: i32 = 17;
