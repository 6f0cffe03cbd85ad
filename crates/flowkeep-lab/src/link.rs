//! Cables between hosts.

use anyhow::Result;

use crate::Host;

/// Whether an interface merges and splits packets for its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offloads {
    /// The kernel's default: one packet of the host may be several on a wire.
    On,
    /// Each packet is one packet on the wire, with its checksum.
    Off,
}

/// Connects two hosts by a pair of Ethernet interfaces, which are up, without
/// [offloads](Host::offloads).
///
/// # Errors
/// If a host has an interface of that name, or `ip` or `ethtool` is missing.
pub fn cable(left: &Host, left_name: &str, right: &Host, right_name: &str) -> Result<()> {
    let namespace = right.path();
    left.ip(&format!(
        "link add {left_name} type veth peer name {right_name} netns {namespace}"
    ))?;
    for (host, name) in [(left, left_name), (right, right_name)] {
        host.offloads(name, Offloads::Off)?;
        host.ip(&format!("link set {name} up"))?;
    }
    Ok(())
}

impl Host {
    /// Switches the offloads of an interface: segmentation, merging and checksums.
    ///
    /// # Errors
    /// If there is no such interface, or no `ethtool`.
    pub fn offloads(&self, interface: &str, offloads: Offloads) -> Result<()> {
        let (state, segments) = match offloads {
            Offloads::On => ("on", 65_535),
            Offloads::Off => ("off", 1),
        };
        let features = ["rx", "tx", "tso", "gso", "gro"].map(|name| format!("{name} {state}"));
        self.run("ethtool", &format!("-K {interface} {}", features.join(" ")))?;
        // TCP builds packets of several segments for any device (since Linux 4.17), up to this number.
        self.ip(&format!("link set {interface} gso_max_segs {segments}"))
    }

    /// Adds an IPv4 or IPv6 address with its prefix length to an interface. It can be used at once.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn address(&self, interface: &str, address: &str) -> Result<()> {
        let at_once = if address.contains(':') { "nodad" } else { "" };
        self.ip(&format!("address add {address} dev {interface} {at_once}"))
    }
}
