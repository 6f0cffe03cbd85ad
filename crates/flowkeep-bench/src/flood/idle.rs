//! Connections that are open and say nothing: packets of both ends, without sockets, of which a
//! process may not have so many.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use anyhow::Result;
use flowkeep_core::tuple::Address;

use super::raw::{Raw, Segment};
use crate::kernel::reference;
use crate::veth::scene::{CLIENT, SERVER, Scene};

/// The server's port, where both kernels are silent.
const PORT: u16 = 82;
/// The client's first port.
const FIRST_PORT: u16 = 10_000;
/// Most connections from one address to one port.
pub(super) const MOST: u32 = (u16::MAX - FIRST_PORT) as u32;

/// Opens so many connections: a handshake each.
pub(super) fn open(scene: &Scene, connections: u32) -> Result<()> {
    for (host, end) in [(&scene.client, "sport"), (&scene.server, "dport")] {
        host.ruleset(&format!(
            "table inet idle {{ chain arriving {{ type filter hook input priority 0; \
             tcp {end} {PORT} drop; }}; }}"
        ))?;
    }
    let (mut client, mut server) = (Raw::new(&scene.client)?, Raw::new(&scene.server)?);
    for own in (FIRST_PORT..=u16::MAX).take(connections as usize) {
        let there = Segment {
            source: CLIENT,
            destination: SERVER,
            source_port: own,
            destination_port: PORT,
            sequence: 1,
        };
        let back = Segment {
            source: SERVER,
            destination: CLIENT,
            source_port: PORT,
            destination_port: own,
            sequence: 1,
        };
        client.send(&there, |tcp| tcp.syn())?;
        server.send(&back, |tcp| tcp.syn().ack(2))?;
        client.send(&there, |tcp| tcp.ack(2))?;
    }
    Ok(())
}

/// The client's ports of the connections with it that the tracker knows.
pub(super) fn known(scene: &Scene) -> Result<HashSet<u16>> {
    let client = Ipv4Addr::from_octets(CLIENT);
    let mut known = HashSet::new();
    let mut note = |ends: [Ipv4Addr; 2], ports: [u16; 2]| {
        if ends.contains(&client) {
            known.extend(ports.into_iter().filter(|&port| port != PORT));
        }
    };
    if let Some(kernel) = &scene.ours {
        for (_, tuple, _) in kernel.table().iter() {
            let v4 = |address: Address| Ipv4Addr::from_octets(address.v4_octets());
            note(
                [v4(tuple.destination()), v4(tuple.source())],
                [tuple.destination_port(), tuple.source_port()],
            );
        }
    }
    if let Some(driver) = &scene.reference {
        reference::for_each(driver, &mut |tuple, _| note(tuple.addresses, tuple.ports))?;
    }
    Ok(known)
}
