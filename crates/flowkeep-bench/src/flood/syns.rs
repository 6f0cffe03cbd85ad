//! SYNs from forged addresses.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use flowkeep_lab::Host;

use super::raw::{Raw, Segment};
use crate::kernel::input::Random;
use crate::veth::scene::{SERVER, Scene};

/// The ports of the server where it answers, with SYN cookies, and where it is silent.
const ANSWERING: u16 = 80;
const SILENT: u16 = 81;

/// Sends as many as all processors can for so many seconds. How many those were.
pub(super) fn send(scene: &Scene, seconds: u64) -> Result<u64> {
    scene.server.ruleset(&format!(
        "table inet flood {{ chain arriving {{ type filter hook input priority 0; \
         tcp dport {SILENT} drop; }}; }}"
    ))?;
    // Whom it answers is nowhere: the client, who is to pass it on, throws it away.
    scene.server.ip("route add default via 192.0.2.1")?;
    let address = SocketAddr::from((SERVER, ANSWERING));
    let listener = scene.server.enter(|| TcpListener::bind(address));
    let _listener = listener.with_context(|| address.to_string())?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let senders = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    thread::scope(|scope| {
        let senders: Vec<_> = (0..senders)
            .map(|seed| scope.spawn(move || flood(&scene.client, seed, end)))
            .collect();
        let mut sent = 0;
        for sender in senders {
            let Ok(one) = sender.join() else {
                bail!("a sender panicked");
            };
            sent += one?;
        }
        Ok(sent)
    })
}

fn flood(client: &Host, seed: u64, end: Instant) -> Result<u64> {
    let (mut socket, mut random, mut sent) = (Raw::new(client)?, Random::new(seed), 0);
    while Instant::now() < end {
        for port in [ANSWERING, SILENT].into_iter().cycle().take(1000) {
            let [a, b, c, p, q, s, ..] = random.number().to_ne_bytes();
            let segment = Segment {
                // Of 198.18.0.0/15, which is for benchmarks (RFC 2544).
                source: [198, 18 | a & 1, b, c],
                destination: SERVER,
                source_port: u16::from_ne_bytes([p, q]),
                destination_port: port,
                sequence: u32::from(s),
            };
            socket.send(&segment, |tcp| tcp.syn())?;
            sent += 1;
        }
    }
    Ok(sent)
}
