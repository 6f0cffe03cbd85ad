//! Where and how programs are attached.

use aya::programs::TcAttachType;

use crate::Device;

/// Which packets of an interface a program sees, and from which point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Packets that arrive at this host.
    Ingress,
    /// Packets that leave this host.
    Egress,
    /// Packets that arrive to be forwarded. The originator is the side that sends first.
    Forward,
}

impl Hook {
    /// Every hook.
    pub const ALL: [Self; 3] = [Self::Ingress, Self::Egress, Self::Forward];

    /// The hook's name, which is part of the names of pins.
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

    /// The name of the program for this hook.
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

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Means {
    /// By a tcx link (Linux 6.6), which ends with the last process that holds it, unless it is
    /// pinned.
    Tcx,
    /// By a filter of the clsact queueing discipline. If its process is killed it stays, until the
    /// next process replaces it.
    Clsact,
}

/// Where a program is attached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attached {
    /// The interface's name.
    pub interface: String,
    /// Which of its packets are seen.
    pub hook: Hook,
    /// How.
    pub means: Means,
}
