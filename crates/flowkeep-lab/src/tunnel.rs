//! Links without Ethernet headers.

use anyhow::Result;

use crate::Host;
use crate::tap::{Ferry, Kind, device};

/// A link between two tun devices, which is cut when this is dropped.
#[derive(Debug)]
pub struct Tunnel(#[expect(dead_code, reason = "kept for its end")] Ferry);

/// Joins two hosts by a pair of tun devices, which are up: what is sent on one arrives on the
/// other, without any header before the IP header.
///
/// # Errors
/// If a host has an interface of that name, or the kernel has no tun devices.
pub fn tunnel(left: &Host, left_name: &str, right: &Host, right_name: &str) -> Result<Tunnel> {
    let left = device(left, left_name, Kind::Tun)?;
    let right = device(right, right_name, Kind::Tun)?;
    Ferry::start(left, right).map(Tunnel)
}
