//! Short TCP connections: connect, a request, a response, close.
//!
//! One thread is both ends, so that nothing waits for a scheduler: a packet is at the other end
//! before the call returns that sends it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use socket2::{Domain, Socket, Type};

use super::Took;
use super::scene::{CLIENT, SERVER, Scene};

const REQUEST: [u8; 64] = [b'q'; 64];
const RESPONSE: [u8; 512] = [b'r'; 512];
/// The client's first port.
const FIRST_PORT: u16 = 10_000;
/// Most connections of a run.
pub(super) const MOST: u32 = (u16::MAX - FIRST_PORT) as u32;

/// Makes so many connections to a port of the server. What each took.
pub(super) fn run(scene: &Scene, port: u16, connections: u32) -> Result<Took> {
    let address = SocketAddr::from((SERVER, port));
    let listener = scene.server.enter(|| TcpListener::bind(address));
    let listener = listener.with_context(|| address.to_string())?;
    // A socket is of the host that its thread is on; an accepted one of its listener's.
    scene.client.enter(|| {
        let (start, before) = (Instant::now(), cpu_ns()?);
        // Each from a port of its own: the kernel would soon take one again.
        for own in (FIRST_PORT..=u16::MAX).take(connections as usize) {
            connection(&listener, SocketAddr::from((CLIENT, own)), address)?;
        }
        let each = |ns: f64| ns / f64::from(connections);
        Ok(Took {
            wall_ns: each(start.elapsed().as_nanos() as f64),
            cpu_ns: each(cpu_ns()? - before),
        })
    })
}

/// Processor time of this thread so far. What the kernel does to packets at once is part of it.
pub(super) fn cpu_ns() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let both = usage.user_time() + usage.system_time();
    Ok(both.num_microseconds() as f64 * 1e3)
}

fn connection(listener: &TcpListener, own: SocketAddr, address: SocketAddr) -> Result<()> {
    let client = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    client.bind(&own.into())?;
    client.connect(&address.into()).context("cannot connect")?;
    let mut client = TcpStream::from(client);
    let (mut server, _) = listener.accept()?;
    client.write_all(&REQUEST)?;
    let mut request = [0; REQUEST.len()];
    server.read_exact(&mut request)?;
    server.write_all(&RESPONSE)?;
    // Who closes first waits for stray packets: the server, so that the client's ports are free.
    drop(server);
    let mut response = Vec::with_capacity(RESPONSE.len());
    client.read_to_end(&mut response)?;
    ensure!(
        request == REQUEST && response == RESPONSE,
        "a connection lost its data"
    );
    Ok(())
}
