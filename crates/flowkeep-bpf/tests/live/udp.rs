//! UDP.

use std::net::SocketAddr;

use anyhow::Result;

use crate::network::at_each_pair;
use crate::traffic::{udp, udp_key};

/// A query and its answer, as DNS has them, each from a port of its own.
#[test]
fn question_and_answer() -> Result<()> {
    at_each_pair(|scene, [client, server]| {
        let (resolver, to) = udp(&scene.network.server, (server, 53))?;
        for question in 1..=5 {
            let (stub, from) = udp(&scene.network.client, (client, 0))?;
            scene.keys.push(udp_key(from, to));
            let mut room = [0; 1500];
            stub.send_to(&vec![0; 30 + question], to)?;
            let (length, asker) = resolver.recv_from(&mut room)?;
            assert_eq!((length, asker), (30 + question, from));
            resolver.send_to(&[0; 400], asker)?;
            assert_eq!(stub.recv(&mut room)?, 400);
        }
        Ok(())
    })
}

#[test]
fn unanswered_in_both_directions() -> Result<()> {
    at_each_pair(|scene, [client, server]| {
        let (_log, to) = udp(&scene.network.server, (server, 514))?;
        let (socket, from) = udp(&scene.network.client, (client, 0))?;
        for length in [10, 100, 1000] {
            socket.send_to(&vec![0; length], to)?;
        }
        scene.keys.push(udp_key(from, to));
        // What the server begins comes in at the client.
        let (_listener, to) = udp(&scene.network.client, (client, 5000))?;
        let (socket, from) = udp(&scene.network.server, (server, 0))?;
        socket.send_to(&[0; 7], to)?;
        scene.keys.push(udp_key(from, to));
        Ok(())
    })
}

/// The server answers with an ICMP error, which neither tracker counts.
#[test]
fn refused() -> Result<()> {
    at_each_pair(|scene, [client, server]| {
        let to = SocketAddr::new(server, 9);
        let (socket, from) = udp(&scene.network.client, (client, 0))?;
        socket.connect(to)?;
        socket.send(&[0; 100])?;
        let answer = socket.recv(&mut [0]).map_err(|error| error.kind());
        assert_eq!(answer, Err(std::io::ErrorKind::ConnectionRefused));
        scene.keys.push(udp_key(from, to));
        Ok(())
    })
}
