//! Where programs are attached, and by what means.

use aya::programs::TcAttachType;

use crate::Device;

/// Which packets of an interface, and from whose point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// What arrives at this host.
    Ingress,
    /// What leaves this host.
    Egress,
    /// What arrives, to be forwarded: the originator is whoever sends first.
    Forward,
}

impl Hook {
    /// Every hook.
    pub const ALL: [Self; 3] = [Self::Ingress, Self::Egress, Self::Forward];

    /// The hook's name, as it stands in the names of pins.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
            Self::Forward => "forward",
        }
    }

    pub(crate) const fn side(self) -> TcAttachType {
        match self {
            Self::Ingress | Self::Forward => TcAttachType::Ingress,
            Self::Egress => TcAttachType::Egress,
        }
    }

    /// The program for this hook, by its name.
    pub(crate) const fn program(self, device: Device) -> &'static str {
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

/// By what means a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Means {
    /// A tcx link (Linux 6.6): it goes with the last process that holds it, unless it is pinned.
    Tcx,
    /// A filter of the clsact queueing discipline. It stays when its process is killed, and is
    /// taken over by the next one.
    Clsact,
}

/// Where a program is attached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attached {
    /// The interface's name.
    pub interface: String,
    /// Which of its packets.
    pub hook: Hook,
    /// By what means.
    pub means: Means,
}
