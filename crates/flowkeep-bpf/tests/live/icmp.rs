//! Echoes, and errors from a router.

use std::mem::MaybeUninit;
use std::net::{SocketAddr, UdpSocket};

use anyhow::Result;
use flowkeep_lab::Traffic;

use crate::network::{NOWHERE, Network, PAIRS, at_each_pair};
use crate::traffic::{Tcp, echo, echo_key, echo_request, udp, udp_key};
use crate::view::Difference;

#[test]
fn echoes() -> Result<()> {
    at_each_pair(|scene, [client, server]| {
        for length in [0, 56, 1000] {
            let (socket, from) = echo(&scene.network.client, client)?;
            scene.keys.push(echo_key(from, server));
            let to = SocketAddr::new(server, 0).into();
            for _ in 0..3 {
                socket.send_to(&echo_request(server, length), &to)?;
                let mut room = [MaybeUninit::uninit(); 1500];
                assert_eq!(socket.recv(&mut room)?, 8 + length);
            }
        }
        Ok(())
    })
}

/// The router has no way to where the packet wants to go, or the packet no time to get there. It
/// says so, and netfilter at the router forgets that there was a connection, since its first packet
/// went nowhere. Flowkeep counts what arrives. Neither counts the error; that Flowkeep knows what
/// it is about shows in that it counts no error about nothing.
#[test]
fn unreachable_and_too_old() -> Result<()> {
    let Some(network) = Network::build()? else {
        return Ok(());
    };
    let mut views = network.watch()?;
    let mut keys = Vec::new();
    for ([client, server], nowhere) in PAIRS.into_iter().zip(NOWHERE) {
        for (to, hops) in [(nowhere, 64), (server, 1)] {
            let to = SocketAddr::new(to, 33_434);
            let (socket, from) = udp(&network.client, (client, 0))?;
            set_hops(&socket, hops)?;
            // Errors of the path are told to those who are connected and ask.
            socket.connect(to)?;
            socket.send(&[0; 40])?;
            keys.push(udp_key(from, to));
        }
    }
    views.client.settle(&keys, &Difference::default())?;
    let seen = views.client.connections();
    let sent: Vec<_> = seen.iter().map(|seen| seen.sent.packets).collect();
    assert_eq!(sent, [1; 4], "and no answer but errors");
    assert!(seen.iter().all(|seen| seen.received == Traffic::default()));
    let only_flowkeep = Difference {
        flowkeep: seen,
        netfilter: Vec::new(),
    };
    views.router.settle(&keys, &only_flowkeep)?;
    views.server.settle(&[], &Difference::default())
}

fn set_hops(socket: &UdpSocket, hops: u32) -> Result<()> {
    let socket = socket2::SockRef::from(socket);
    if socket.local_addr()?.is_ipv4() {
        socket.set_ttl_v4(hops)?;
    } else {
        socket.set_unicast_hops_v6(hops)?;
    }
    Ok(())
}

/// A link behind the router that is narrower than the one before it: the router asks for shorter
/// packets, and the client sends them. Packets that the router could not pass on count there too.
#[test]
fn too_big_for_the_path() -> Result<()> {
    let Some(network) = Network::build()? else {
        return Ok(());
    };
    network.router.ip("link set wan0 mtu 1300")?;
    let mut views = network.watch()?;
    let mut keys = Vec::new();
    for [_, server] in PAIRS {
        let to = SocketAddr::new(server, 80);
        let mut tcp = Tcp::connect(&network.client, &network.server, to)?;
        keys.push(tcp.key);
        tcp.upload(20_000)?;
        tcp.finish_client()?;
        tcp.finish_server()?;
    }
    for view in [&mut views.client, &mut views.router, &mut views.server] {
        view.settle(&keys, &Difference::default())?;
    }
    for key in keys {
        let [near, far] = [&views.router, &views.server].map(|view| view.find(key));
        let (near, far) = (near?.sent, far?.sent);
        assert!(
            near.packets > far.packets,
            "{near:?} {far:?}: none was too big"
        );
    }
    Ok(())
}
