//! Packets in fragments. netfilter puts them together before it looks, and takes them apart after:
//! it counts one packet of the length that it would have had. Flowkeep looks at the interface and
//! counts what passes there: every fragment, with its headers.

use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use flowkeep_lab::Traffic;

use crate::network::{Network, PAIRS};
use crate::traffic::{echo, echo_key, echo_request, udp, udp_key};
use crate::view::Difference;

/// Bytes behind the IP header of every packet here: the transport header of 8 and data. At an MTU
/// of 1500 that is three fragments.
const LENGTH: usize = 4_000;

/// What a packet of [`LENGTH`] counts, as a whole and in its fragments.
fn counts(address: IpAddr) -> [Traffic; 2] {
    let length = LENGTH as u64;
    let (whole, fragments) = match address {
        IpAddr::V4(_) => (20 + length, 3 * 20 + length),
        // Each has a fragment header (RFC 8200, 4.5).
        IpAddr::V6(_) => (40 + length, 3 * (40 + 8) + length),
    };
    [(1, whole), (3, fragments)].map(|(packets, bytes)| Traffic { packets, bytes })
}

#[test]
fn datagrams_and_echoes() -> Result<()> {
    let Some(network) = Network::build()? else {
        return Ok(());
    };
    let mut views = network.watch()?;
    let (mut keys, mut difference) = (Vec::new(), Difference::default());
    for [client, server] in PAIRS {
        let mut room = [0; LENGTH];
        let (listener, to) = udp(&network.server, (server, 7))?;
        let (socket, from) = udp(&network.client, (client, 0))?;
        socket.send_to(&[0; LENGTH - 8], to)?;
        let (length, asker) = listener.recv_from(&mut room)?;
        listener.send_to(&room[..length], asker)?;
        assert_eq!(socket.recv(&mut room)?, LENGTH - 8);

        let (socket, pinger) = echo(&network.client, client)?;
        socket.send_to(
            &echo_request(server, LENGTH - 8),
            &SocketAddr::new(server, 0).into(),
        )?;
        let mut room = [MaybeUninit::uninit(); LENGTH];
        assert_eq!(socket.recv(&mut room)?, LENGTH);

        let [whole, fragments] = counts(server);
        for key in [udp_key(from, to), echo_key(pinger, server)] {
            keys.push(key);
            difference.netfilter.push(key.with(whole, whole));
            difference.flowkeep.push(key.with(fragments, fragments));
        }
    }
    difference.netfilter.sort_unstable();
    difference.flowkeep.sort_unstable();
    for view in views.all() {
        view.settle(&keys, &difference)?;
    }
    Ok(())
}
