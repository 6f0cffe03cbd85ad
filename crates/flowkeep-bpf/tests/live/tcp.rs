//! TCP, in all the ways in which it goes and ends.

use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context as _, Result};
use flowkeep_core::packet::protocol;
use flowkeep_lab::{Traffic, eventually};

use crate::network::{NOWHERE, Network, PAIRS, at_each_pair};
use crate::traffic::{Tcp, bound, reset};
use crate::view::{Difference, Key};

#[test]
fn data_both_ways_and_an_orderly_end() -> Result<()> {
    at_each_pair(|scene, [_, server]| {
        let to = SocketAddr::new(server, 80);
        let mut tcp = scene.connect(to)?;
        // While it is open too.
        scene.settle()?;
        tcp.upload(100_000)?;
        tcp.download(200_000)?;
        scene.settle()?;
        tcp.finish_client()?;
        tcp.finish_server()?;
        scene.settle()?;
        let seen = scene.views.router.find(tcp.key)?;
        assert!(
            seen.sent.bytes > 100_000 && seen.received.bytes > 200_000,
            "{seen:?}"
        );
        Ok(())
    })
}

#[test]
fn half_closed() -> Result<()> {
    at_each_pair(|scene, [_, server]| {
        let to = SocketAddr::new(server, 80);
        let mut tcp = scene.connect(to)?;
        tcp.finish_client()?;
        tcp.download(5_000)?;
        scene.settle()?;
        tcp.finish_server()?;
        Ok(())
    })
}

#[test]
fn reset_by_either_side() -> Result<()> {
    at_each_pair(|scene, [_, server]| {
        for (port, client_resets) in [(80, true), (81, false)] {
            let to = SocketAddr::new(server, port);
            let mut tcp = scene.connect(to)?;
            tcp.upload(10)?;
            tcp.download(10)?;
            let (resets, mut hears) = if client_resets {
                (tcp.client, tcp.server)
            } else {
                (tcp.server, tcp.client)
            };
            reset(resets)?;
            let heard = hears.read(&mut [0]).map_err(|error| error.kind());
            assert_eq!(heard, Err(ErrorKind::ConnectionReset));
            scene.settle()?;
        }
        Ok(())
    })
}

/// netfilter forgets a connection whose SYN is answered by a RST at once; what it tells then is
/// compared.
#[test]
fn refused() -> Result<()> {
    at_each_pair(|scene, [client, server]| {
        let from = SocketAddr::new(client, 4000);
        let to = SocketAddr::new(server, 9);
        let socket = bound(&scene.network.client, from)?;
        let refused = socket.connect(&to.into()).map_err(|error| error.kind());
        assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
        scene.keys.push(Key {
            protocol: protocol::TCP,
            originator: from,
            responder: to,
        });
        Ok(())
    })
}

#[test]
fn unanswered() -> Result<()> {
    let Some(network) = Network::build()? else {
        return Ok(());
    };
    for address in NOWHERE {
        network
            .router
            .ip(&format!("route add blackhole {address}"))?;
    }
    let mut views = network.watch()?;
    let mut keys = Vec::new();
    for ([client, _], nowhere) in PAIRS.into_iter().zip(NOWHERE) {
        let from = SocketAddr::new(client, 4000);
        let to = SocketAddr::new(nowhere, 80);
        let key = Key {
            protocol: protocol::TCP,
            originator: from,
            responder: to,
        };
        let socket = bound(&network.client, from)?;
        socket.set_nonblocking(true)?;
        let begun = socket.connect(&to.into());
        assert!(begun.is_err_and(|error| error.raw_os_error() == Some(libc::EINPROGRESS)));
        keys.push(key);
        views.client.settle(&keys, &Difference::default())?;
        // It would send again.
        drop(socket);
    }
    views.client.settle(&keys, &Difference::default())?;
    // A netfilter connection begins when its first packet leaves or is taken in: those that the
    // router drops never do. Flowkeep counts what arrives.
    let seen: Vec<_> = views.client.connections();
    assert!(seen.iter().all(|seen| seen.received == Traffic::default()));
    let flowkeep = seen;
    let netfilter = Vec::new();
    views.router.settle(
        &keys,
        &Difference {
            flowkeep,
            netfilter,
        },
    )?;
    views.server.settle(&[], &Difference::default())
}

/// The server closes first, so that the client may use its port again while the server still
/// remembers the connection.
#[test]
fn a_port_used_again() -> Result<()> {
    let Some(network) = Network::build()? else {
        return Ok(());
    };
    let mut views = network.watch()?;
    let (mut keys, mut before) = (Vec::new(), Difference::default());
    for [client, server] in PAIRS {
        let from = SocketAddr::new(client, 4000);
        let to = SocketAddr::new(server, 80);
        let listener = network.server.enter(|| TcpListener::bind(to))?;
        let connect = |bytes| {
            // The client's end of the one before may need a moment to be gone.
            let stream = eventually(|| {
                let socket = bound(&network.client, from)?;
                socket.connect(&to.into())?;
                Ok::<_, std::io::Error>(TcpStream::from(socket))
            })?;
            let mut tcp = Tcp::accept(&listener, stream)?;
            tcp.download(bytes)?;
            tcp.finish_server()?;
            tcp.finish_client()?;
            Ok::<_, anyhow::Error>(tcp.key)
        };
        let key = connect(1_000)?;
        keys.push(key);
        for view in views.all() {
            view.settle(&keys, &before)?;
        }
        before.netfilter.push(views.router.find(key)?);
        // Flowkeep's table has one connection of the same ends, the newest. What netfilter tells
        // of the one before was heard when it was forgotten.
        assert_eq!(connect(2_000)?, key);
        for view in views.all() {
            view.settle(&keys, &before)?;
            assert!(view.find(key)?.received.bytes > 2_000);
        }
    }
    Ok(())
}

/// Of a connection that was there before anybody looked, whoever sends first is its originator.
#[test]
fn picked_up_in_the_middle() -> Result<()> {
    let Some(network) = Network::build()? else {
        return Ok(());
    };
    let [_, server] = PAIRS[0];
    let to = SocketAddr::new(server, 80);
    let mut tcp = Tcp::connect(&network.client, &network.server, to)?;
    tcp.upload(10)?;
    let mut views = network.watch()?;
    tcp.download(3_000)?;
    tcp.upload(10)?;
    let key = Key {
        originator: tcp.key.responder,
        responder: tcp.key.originator,
        ..tcp.key
    };
    views.settle(&[key]).context("begun by the server")
}
