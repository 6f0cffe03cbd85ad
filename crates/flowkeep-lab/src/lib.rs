//! Small networks within this machine, for live tests and benchmarks. [Hosts](Host) are network
//! namespaces, connected by [cables](cable()) (veth pairs), [tunnels](tunnel()) (tun devices) and
//! [VLANs](vlan()). [Frames] are written to an interface as they are.
//!
//! A host has no name in the system and no process. It is an open file: when this process ends, for
//! any reason, the host's interfaces, addresses, filters and pins end too. Nothing has to be cleaned
//! up, and several runs at the same time do not interfere.
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
//! // A socket belongs to the host on which it was created.
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
