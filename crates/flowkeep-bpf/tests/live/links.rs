//! Links of other kinds: VLANs, and devices without Ethernet headers. And protocols without ports.

use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use flowkeep_bpf::{Hook, Means};
use flowkeep_lab::{Host, tunnel, vlan};
use socket2::{Domain, Protocol, Socket, Type};

use crate::network::{Network, PAIRS, at_each_pair};
use crate::traffic::{Tcp, echo, echo_key, echo_request, udp, udp_key};
use crate::view::{Difference, Key, View};

/// A TCP connection, a datagram and an echo between neighbours.
fn talk(client: &Host, server: &Host, addresses: [&str; 2]) -> Result<Vec<Key>> {
    let [from, to] = [addresses[0].parse::<IpAddr>()?, addresses[1].parse()?];
    let mut tcp = Tcp::connect(client, server, SocketAddr::new(to, 80))?;
    tcp.upload(5_000)?;
    tcp.download(5_000)?;
    tcp.finish_client()?;
    tcp.finish_server()?;

    let (listener, port) = udp(server, (to, 7))?;
    let (socket, ours) = udp(client, (from, 0))?;
    let mut room = [0; 500];
    socket.send_to(&[0; 100], port)?;
    let (_, asker) = listener.recv_from(&mut room)?;
    listener.send_to(&[0; 300], asker)?;
    assert_eq!(socket.recv(&mut room)?, 300);

    let (socket, pinger) = echo(client, from)?;
    socket.send_to(&echo_request(to, 56), &SocketAddr::new(to, 0).into())?;
    assert_eq!(socket.recv(&mut [MaybeUninit::uninit(); 100])?, 64);
    Ok(vec![tcp.key, udp_key(ours, port), echo_key(pinger, to)])
}

/// Both sides watch the trunk, on which frames have a tag. netfilter sees the same packets on the
/// VLAN's own interface.
#[test]
fn a_vlan() -> Result<()> {
    let Some(network) = Network::build()? else {
        return Ok(());
    };
    let (client, router) = (&network.client, &network.router);
    let vlans = [vlan(client, "eth0", 20)?, vlan(router, "lan0", 20)?];
    for (host, vlan, last) in [(client, &vlans[0], 1), (router, &vlans[1], 2)] {
        host.address(vlan.name(), &format!("203.0.113.{last}/24"))?;
        host.address(vlan.name(), &format!("2001:db8:20::{last}/64"))?;
    }
    let mut near = View::open(
        "client",
        client,
        &[("eth0", Hook::Ingress), ("eth0", Hook::Egress)],
    )?;
    let mut far = View::open(
        "router",
        router,
        &[("lan0", Hook::Ingress), ("lan0", Hook::Egress)],
    )?;
    // Untagged on the same trunk.
    router.set("ipv4/ping_group_range", "0 2147483647")?;
    let mut keys = talk(client, router, ["192.0.2.1", "192.0.2.254"])?;
    keys.extend(talk(client, router, ["203.0.113.1", "203.0.113.2"])?);
    keys.extend(talk(router, client, ["2001:db8:20::2", "2001:db8:20::1"])?);
    for view in [&mut near, &mut far] {
        view.settle(&keys, &Difference::default())?;
    }
    Ok(())
}

#[test]
fn a_tun_device() -> Result<()> {
    let Some(network) = Network::build()? else {
        return Ok(());
    };
    let (client, server) = (&network.client, &network.server);
    let _tunnel = tunnel(client, "tun0", server, "tun0")?;
    for (host, last) in [(client, 1), (server, 2)] {
        host.address("tun0", &format!("203.0.113.{last}/24"))?;
        host.address("tun0", &format!("2001:db8:30::{last}/64"))?;
    }
    let hooks = [("tun0", Hook::Ingress), ("tun0", Hook::Egress)];
    let mut near = View::open("client", client, &hooks)?;
    let mut far = View::open("server", server, &hooks)?;
    let mut keys = talk(client, server, ["203.0.113.1", "203.0.113.2"])?;
    keys.extend(talk(server, client, ["2001:db8:30::2", "2001:db8:30::1"])?);
    for view in [&mut near, &mut far] {
        view.settle(&keys, &Difference::default())?;
    }
    Ok(())
}

/// A protocol without ports is tracked by its addresses. 253 is for experiments (RFC 3692).
#[test]
fn a_protocol_without_ports() -> Result<()> {
    const EXPERIMENT: u8 = 253;
    let raw = |host: &Host, from: SocketAddr| {
        host.enter(|| {
            let protocol = Protocol::from(i32::from(EXPERIMENT));
            let socket = Socket::new(Domain::for_address(from), Type::RAW, Some(protocol))?;
            socket.bind(&from.into())?;
            std::io::Result::Ok(socket)
        })
    };
    at_each_pair(|scene, pair| {
        let [client, server] = pair.map(|address| SocketAddr::new(address, 0));
        let ours = raw(&scene.network.client, client)?;
        let theirs = raw(&scene.network.server, server)?;
        ours.send_to(&[0; 50], &server.into())?;
        theirs.recv(&mut [MaybeUninit::uninit(); 100])?;
        theirs.send_to(&[0; 70], &client.into())?;
        scene.keys.push(Key {
            protocol: EXPERIMENT,
            originator: client,
            responder: server,
        });
        Ok(())
    })
}

/// By filters of the clsact queueing discipline, as on kernels before 6.6.
#[test]
fn filters_see_what_links_see() -> Result<()> {
    let Some(network) = Network::build()? else {
        return Ok(());
    };
    let mut views = network.watch_by(Some(Means::Clsact))?;
    let [client, server] = PAIRS[0].map(|address| address.to_string());
    let keys = talk(&network.client, &network.server, [&client, &server])?;
    views.settle(&keys)?;
    drop(views);
    for (host, interface) in [(&network.client, "eth0"), (&network.router, "wan0")] {
        for side in ["ingress", "egress"] {
            let output = host
                .command("tc")
                .args(["filter", "show", "dev", interface, side])
                .output()?;
            assert!(output.status.success());
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                "",
                "nothing is left"
            );
        }
    }
    Ok(())
}
