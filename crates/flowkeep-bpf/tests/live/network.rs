//! The network: a client, a router and a server.
//!
//! ```text
//!   client ------------------- router ------------------- server
//!   eth0                   lan0      wan0                    eth0
//!   192.0.2.1              .254 | .254             198.51.100.1
//!   2001:db8:1::1        :1::fe | :2::fe          2001:db8:2::1
//! ```

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use flowkeep_bpf::{Hook, Means};
use flowkeep_lab::{Host, available, cable};

use crate::traffic::Tcp;
use crate::view::{Difference, Key, View};

/// The three hosts.
pub(crate) struct Network {
    pub(crate) client: Host,
    pub(crate) router: Host,
    pub(crate) server: Host,
}

/// Addresses of the client and of the server, by family.
pub(crate) const PAIRS: [[IpAddr; 2]; 2] = [
    [ip4([192, 0, 2, 1]), ip4([198, 51, 100, 1])],
    [
        ip6([0x2001, 0xdb8, 1, 0, 0, 0, 0, 1]),
        ip6([0x2001, 0xdb8, 2, 0, 0, 0, 0, 1]),
    ],
];

/// Addresses beyond the router to which there is no way.
pub(crate) const NOWHERE: [IpAddr; 2] = [
    ip4([203, 0, 113, 9]),
    ip6([0x2001, 0xdb8, 9, 0, 0, 0, 0, 9]),
];

const fn ip4([a, b, c, d]: [u8; 4]) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::new(a, b, c, d))
}

const fn ip6([a, b, c, d, e, f, g, h]: [u16; 8]) -> IpAddr {
    IpAddr::V6(std::net::Ipv6Addr::new(a, b, c, d, e, f, g, h))
}

impl Network {
    /// Builds it. `None`, and a word about why on standard error, where that can't be done.
    pub(crate) fn build() -> Result<Option<Self>> {
        if !available(&["nft"]) {
            return Ok(None);
        }
        let [client, router, server] = [Host::new()?, Host::new()?, Host::new()?];
        cable(&client, "eth0", &router, "lan0")?;
        cable(&router, "wan0", &server, "eth0")?;
        client.address("eth0", "192.0.2.1/24")?;
        client.address("eth0", "2001:db8:1::1/64")?;
        router.address("lan0", "192.0.2.254/24")?;
        router.address("lan0", "2001:db8:1::fe/64")?;
        router.address("wan0", "198.51.100.254/24")?;
        router.address("wan0", "2001:db8:2::fe/64")?;
        server.address("eth0", "198.51.100.1/24")?;
        server.address("eth0", "2001:db8:2::1/64")?;
        for (host, subnet) in [(&client, ["192.0.2", "1"]), (&server, ["198.51.100", "2"])] {
            let [v4, v6] = subnet;
            host.ip(&format!("route add default via {v4}.254"))?;
            host.ip(&format!("-6 route add default via 2001:db8:{v6}::fe"))?;
            // Echo requests from sockets, for everybody.
            host.set("ipv4/ping_group_range", "0 2147483647")?;
        }
        router.forward()?;
        Ok(Some(Self {
            client,
            router,
            server,
        }))
    }

    /// Begins to track, at all three places.
    pub(crate) fn watch(&self) -> Result<Views<'_>> {
        self.watch_by(None)
    }

    /// As [`Self::watch`], by these means, or the best that the kernel has.
    pub(crate) fn watch_by(&self, means: Option<Means>) -> Result<Views<'_>> {
        let host = [("eth0", Hook::Ingress), ("eth0", Hook::Egress)];
        let gateway = [("lan0", Hook::Forward), ("wan0", Hook::Forward)];
        Ok(Views {
            client: View::open_by(means, "client", &self.client, &host)?,
            router: View::open_by(means, "router", &self.router, &gateway)?,
            server: View::open_by(means, "server", &self.server, &host)?,
        })
    }
}

/// A network that is watched, and the connections that there are in it.
pub(crate) struct Scene<'n> {
    pub(crate) network: &'n Network,
    pub(crate) views: Views<'n>,
    pub(crate) keys: Vec<Key>,
}

impl Scene<'_> {
    /// Connects the client to the server's port.
    pub(crate) fn connect(&mut self, to: SocketAddr) -> Result<Tcp> {
        let tcp = Tcp::connect(&self.network.client, &self.network.server, to)?;
        self.keys.push(tcp.key);
        Ok(tcp)
    }

    /// Waits until all trackers have just these connections: see [`Views::settle`].
    pub(crate) fn settle(&mut self) -> Result<()> {
        self.views.settle(&self.keys)
    }
}

/// Has client and server talk at their addresses of each family, in a network of their own. After
/// each time all trackers have to agree on the connections that there are.
pub(crate) fn at_each_pair(
    mut talk: impl FnMut(&mut Scene<'_>, [IpAddr; 2]) -> Result<()>,
) -> Result<()> {
    let Some(network) = Network::build()? else {
        return Ok(());
    };
    let mut scene = Scene {
        network: &network,
        views: network.watch()?,
        keys: Vec::new(),
    };
    for pair in PAIRS {
        talk(&mut scene, pair)?;
        scene.settle()?;
    }
    Ok(())
}

/// The three places.
pub(crate) struct Views<'a> {
    pub(crate) client: View<'a>,
    pub(crate) router: View<'a>,
    pub(crate) server: View<'a>,
}

impl<'a> Views<'a> {
    pub(crate) fn all(&mut self) -> [&mut View<'a>; 3] {
        [&mut self.client, &mut self.router, &mut self.server]
    }

    /// Waits until both trackers have just these connections at all places, with the same traffic
    /// everywhere.
    pub(crate) fn settle(&mut self, keys: &[Key]) -> Result<()> {
        for view in self.all() {
            view.settle(keys, &Difference::default())?;
        }
        let at_client = self.client.connections();
        assert_eq!(
            self.router.connections(),
            at_client,
            "at the router, and at the client"
        );
        assert_eq!(
            self.server.connections(),
            at_client,
            "at the server, and at the client"
        );
        Ok(())
    }
}
