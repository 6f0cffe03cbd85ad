//! Links without Ethernet headers.

use anyhow::Result;

use crate::tap::{Ferry, Kind, device};
use crate::{Host, Offloads};

/// A link between two tun devices. Dropping it disconnects them.
#[derive(Debug)]
pub struct Tunnel(#[expect(dead_code, reason = "kept for its end")] Ferry);

/// Connects two hosts by a pair of tun devices, which are up and have no
/// [offloads](Host::offloads): a packet sent on one arrives on the other, without a link header.
///
/// # Errors
/// If a host has an interface of that name, or the kernel has no tun devices.
pub fn tunnel(left: &Host, left_name: &str, right: &Host, right_name: &str) -> Result<Tunnel> {
    let ends = [(left, left_name), (right, right_name)].map(|(host, name)| {
        let end = device(host, name, Kind::Tun)?;
        host.offloads(name, Offloads::Off)?;
        anyhow::Ok(end)
    });
    let [left, right] = ends;
    Ferry::start(left?, right?).map(Tunnel)
}
