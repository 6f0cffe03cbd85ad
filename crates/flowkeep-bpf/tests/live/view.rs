//! One place of the network, with both trackers at it.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use flowkeep_bpf::{Events, Hook, Kernel, Means, Options};
use flowkeep_core::Error;
use flowkeep_core::entry::{Counters, Entry};
use flowkeep_core::packet::protocol;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::Seed;
use flowkeep_core::tuple::{Flags, Tuple};
use flowkeep_lab::{Connection, Host, Netfilter, Traffic, eventually};

/// A host with both trackers.
pub(crate) struct View<'a> {
    pub(crate) name: &'static str,
    host: &'a Host,
    /// `None` only while it is dropped.
    kernel: Option<Kernel>,
    netfilter: Netfilter,
}

/// What both trackers tell, but for what they agree on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) flowkeep: Vec<Connection>,
    pub(crate) netfilter: Vec<Connection>,
}

impl<'a> View<'a> {
    /// Attaches Flowkeep to interfaces of a host, and switches its kernel's tracker on.
    pub(crate) fn open(name: &'static str, host: &'a Host, hooks: &[(&str, Hook)]) -> Result<Self> {
        Self::open_by(None, name, host, hooks)
    }

    /// As [`Self::open`], by these means, or the best that the kernel has.
    pub(crate) fn open_by(
        means: Option<Means>,
        name: &'static str,
        host: &'a Host,
        hooks: &[(&str, Hook)],
    ) -> Result<Self> {
        // No test outlives these.
        let settings = Settings {
            non_tcp: 600,
            syn: 600,
            close: 600,
            ..Settings::default()
        };
        let mut options = Options::new(settings, 64, Seed::from_u64(7));
        options.means = means;
        let kernel = host.enter(|| {
            let mut kernel = Kernel::load(&options)?;
            for (interface, hook) in hooks {
                kernel.attach(interface, *hook, false)?;
            }
            Ok::<_, flowkeep_bpf::Error>(kernel)
        })?;
        Ok(Self {
            name,
            host,
            kernel: Some(kernel),
            netfilter: Netfilter::watch(host)?,
        })
    }

    pub(crate) fn kernel(&self) -> &Kernel {
        self.kernel.as_ref().expect("it is not dropped")
    }

    /// What Flowkeep tells from now on.
    pub(crate) fn events(&mut self) -> Result<Events> {
        let kernel = self.kernel.as_mut().expect("it is not dropped");
        Ok(kernel.events()?)
    }

    /// What Flowkeep has, in order.
    ///
    /// Without ICMPv6 that is no echo: neighbour discovery and multicast listeners' reports, which
    /// netfilter leaves untracked, and Flowkeep counts by their addresses.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        let mut connections: Vec<_> = self
            .kernel()
            .table()
            .iter()
            .map(|(_, tuple, entry)| connection(&tuple, &entry))
            .filter(|found| {
                let ports = found.originator.port() | found.responder.port();
                found.protocol != protocol::ICMPV6 || ports != 0
            })
            .collect();
        connections.sort_unstable();
        connections
    }

    /// Where the two differ, now.
    fn difference(&mut self) -> Result<Difference> {
        let (mut flowkeep, mut netfilter) = (self.connections(), self.netfilter.connections()?);
        // Both lists may have a connection twice: what was and what followed it.
        flowkeep.retain(|ours| {
            let same = netfilter.iter().position(|theirs| theirs == ours);
            same.map(|at| netfilter.remove(at)).is_none()
        });
        Ok(Difference {
            flowkeep,
            netfilter,
        })
    }

    /// Waits until Flowkeep has just these connections, and the two trackers differ in this and
    /// nothing else.
    ///
    /// # Errors
    /// What was the case at last, or a packet that Flowkeep could not track.
    pub(crate) fn settle(&mut self, keys: &[Key], expected: &Difference) -> Result<()> {
        let name = self.name;
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        eventually(|| {
            let found = self.difference()?;
            ensure!(
                found == *expected,
                "at the {name} the trackers differ in {found:#?}\nand should in {expected:#?}"
            );
            let connections = self.connections();
            let found: Vec<_> = connections.iter().map(Key::of).collect();
            ensure!(
                found == keys,
                "at the {name} there is {found:#?}\nand should be {keys:#?}"
            );
            Ok(())
        })?;
        self.no_errors()
    }

    /// Waits until Flowkeep has just these connections, whatever netfilter has.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub(crate) fn settle_alone(&self, mut sent: Vec<Connection>) -> Result<()> {
        sent.sort_unstable();
        eventually(|| {
            let found = self.connections();
            let name = self.name;
            ensure!(
                found == sent,
                "at the {name} there is {found:#?}\nand should be {sent:#?}"
            );
            Ok(())
        })?;
        self.no_errors()
    }

    /// Makes sure that Flowkeep could track every packet.
    fn no_errors(&self) -> Result<()> {
        let name = self.name;
        for error in Error::ALL {
            // ARP.
            if error != Error::NotIp {
                let count = self.kernel().errors(error)?;
                ensure!(count == 0, "at the {name}, {count} times: {error}");
            }
        }
        Ok(())
    }

    /// The connection of this name, which Flowkeep has to have once.
    pub(crate) fn find(&self, key: Key) -> Result<Connection> {
        only(&self.connections(), key).with_context(|| format!("Flowkeep at the {}", self.name))
    }
}

fn only(connections: &[Connection], key: Key) -> Result<Connection> {
    let mut found = connections.iter().filter(|found| Key::of(found) == key);
    match (found.next(), found.next()) {
        (Some(connection), None) => Ok(*connection),
        (first, _) => bail!(
            "{key:?} is there {}",
            first.map_or("never", |_| "more than once")
        ),
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        let kernel = self.kernel.take();
        // Filters are detached by the number of their interface, which is another one's elsewhere.
        self.host.enter(|| drop(kernel));
    }
}

/// Names a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) protocol: u8,
    pub(crate) originator: SocketAddr,
    pub(crate) responder: SocketAddr,
}

impl Key {
    pub(crate) const fn of(connection: &Connection) -> Self {
        Self {
            protocol: connection.protocol,
            originator: connection.originator,
            responder: connection.responder,
        }
    }

    /// The connection, with this traffic.
    pub(crate) const fn with(self, sent: Traffic, received: Traffic) -> Connection {
        Connection {
            protocol: self.protocol,
            originator: self.originator,
            responder: self.responder,
            sent,
            received,
        }
    }
}

/// An entry as a connection: the tuple that it is stored under is that of the originator's packets
/// reversed, and ports stand crossed in a tuple. What arrives counts as received by the host, so
/// for a connection that came in the two have to be exchanged.
fn connection(tuple: &Tuple, entry: &Entry) -> Connection {
    let family = tuple.family();
    let (sent, received) = if tuple.flags().contains(Flags::IN) {
        (entry.rx, entry.tx)
    } else {
        (entry.tx, entry.rx)
    };
    let traffic = |counters: Counters| Traffic {
        packets: counters.packets,
        bytes: counters.bytes,
    };
    Connection {
        protocol: tuple.protocol(),
        originator: SocketAddr::new(tuple.destination().to_ip(family), tuple.source_port()),
        responder: SocketAddr::new(tuple.source().to_ip(family), tuple.destination_port()),
        sent: traffic(sent),
        received: traffic(received),
    }
}
