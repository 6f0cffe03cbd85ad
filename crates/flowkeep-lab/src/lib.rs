//! Small networks of this machine's own, for live tests and benchmarks: [hosts](Host) are network
//! namespaces, joined by [cables](cable()) (veth pairs), [tunnels](tunnel()) (tun devices) and
//! [VLANs](vlan()). [Frames] of any kind are written to an interface past its host.
//!
//! A host has no name in the system and no process: it is an open file, which ends with this
//! process however that ends, and with it the host's interfaces, addresses, filters, and what was
//! pinned to its BPF file system. So there is nothing to clean up, and two runs at a time do not
//! meet.
//!
//! ```no_run
//! use std::net::{TcpListener, TcpStream};
//! use flowkeep_lab::{Host, cable};
//!
//! # fn main() -> anyhow::Result<()> {
//! let (client, server) = (Host::new()?, Host::new()?);
//! cable(&client, "eth0", &server, "eth0")?;
//! client.ip("address add 192.0.2.1/24 dev eth0")?;
//! server.ip("address add 192.0.2.2/24 dev eth0")?;
//! // A socket belongs to the host that it was made on, wherever it is used.
//! let listener = server.enter(|| TcpListener::bind("192.0.2.2:80"))?;
//! let stream = client.enter(|| TcpStream::connect("192.0.2.2:80"))?;
//! let peer = listener.accept()?;
//! let output = client.command("ping").args(["-c", "1", "192.0.2.2"]).output()?;
//! # Ok(())
//! # }
//! ```

mod child;
mod frames;
mod host;
mod link;
mod netfilter;
mod privilege;
mod skip;
mod tap;
mod tunnel;
mod vlan;
mod wait;

pub use child::Background;
pub use frames::Frames;
pub use host::Host;
pub use link::{Offloads, cable};
pub use netfilter::{Connection, Netfilter, Traffic};
pub use privilege::{Missing, missing};
pub use skip::{available, can_load, can_pin, skip};
pub use tunnel::{Tunnel, tunnel};
pub use vlan::{Vlan, vlan};
pub use wait::eventually;
