//! The kernel's own tracker, listed by `conntrack -L`.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use flowkeep_lab::{Host, cable};

use super::report::Listing;
use crate::statistics::Spread;

/// A rule that has the kernel track the namespace's packets.
const RULE: &str = "table inet bench { chain leaving { type filter hook output priority 0; ct state invalid drop; }; }";
/// As many as the kernel tracks unless it is told otherwise: only the first namespace can.
const CONNECTIONS: u32 = 1 << 18;
/// Of 65,536, for there is no port 0.
const PORTS: u16 = u16::MAX;

/// Fills the tracker of a namespace, and lists it.
pub(super) fn run(rounds: u32) -> Result<Listing> {
    eprintln!("the kernel's own tracker");
    let (host, nobody) = (Host::new()?, Host::new()?);
    cable(&host, "eth0", &nobody, "eth0")?;
    host.address("eth0", "192.0.2.1/24")?;
    // Nobody is asked where those addresses are, and nobody answers.
    host.ip("link set eth0 arp off")?;
    host.ruleset(RULE)?;
    // Unanswered ones stay for half a minute.
    host.set("netfilter/nf_conntrack_udp_timeout", "600")?;

    let socket = host.enter(|| UdpSocket::bind("192.0.2.1:0"))?;
    for number in 0..CONNECTIONS {
        let (network, port) = (number / u32::from(PORTS), number % u32::from(PORTS) + 1);
        let to = (Ipv4Addr::new(192, 0, 2, 2 + network as u8), port as u16);
        socket
            .send_to(&[0], to)
            .with_context(|| format!("{to:?}"))?;
    }
    let (mut spent, mut shown) = (Vec::new(), 0);
    for _ in 0..rounds {
        let start = Instant::now();
        let mut command = host.command("conntrack");
        let output = command
            .arg("-L")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let output = output.output()?;
        spent.push(start.elapsed().as_secs_f64() * 1e3);
        // "conntrack v1.4.7 (conntrack-tools): 262144 flow entries have been shown."
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "conntrack: {}", said.trim());
        let words = said.split_whitespace().collect::<Vec<_>>();
        let count = words.windows(2).find(|pair| pair[1] == "flow");
        let count = count.with_context(|| format!("conntrack says: {said}"))?[0];
        shown = count.parse()?;
    }
    Ok(Listing {
        what: "conntrack -L, of the kernel's own tracker",
        connections: shown,
        ms: Spread::of(spent),
    })
}
