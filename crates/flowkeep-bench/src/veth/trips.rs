//! Small packets of one connection, to and fro.
//!
//! One thread is both ends, as for [short](super::short) connections: what it takes is steadier
//! than what a stream takes, whose packets come in bursts of any length.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use anyhow::{Context, Result};

use super::Took;
use super::packets::passed;
use super::scene::{SERVER, Scene};
use super::short::cpu_ns;

const TRIPS: u32 = 50_000;

/// Sends a request and a response, over and over. What a packet took, of those that went through
/// the server's interface in either direction.
pub(super) fn run(scene: &Scene, port: u16) -> Result<Took> {
    let address = SocketAddr::from((SERVER, port));
    let listener = scene.server.enter(|| TcpListener::bind(address));
    let listener = listener.with_context(|| address.to_string())?;
    let client = scene.client.enter(|| TcpStream::connect(address))?;
    let (mut client, mut server) = (client, listener.accept()?.0);
    // Nothing waits for more to send with it.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let packets = passed(&scene.server)?;
    let (start, cpu) = (Instant::now(), cpu_ns()?);
    let mut message = [b'm'; 64];
    for _ in 0..TRIPS {
        client.write_all(&message)?;
        server.read_exact(&mut message)?;
        server.write_all(&message)?;
        client.read_exact(&mut message)?;
    }
    let (wall_ns, cpu_ns) = (start.elapsed().as_nanos() as f64, cpu_ns()? - cpu);
    let packets = (passed(&scene.server)? - packets) as f64;
    Ok(Took {
        wall_ns: wall_ns / packets,
        cpu_ns: cpu_ns / packets,
    })
}
