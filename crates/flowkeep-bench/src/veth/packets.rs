//! Packets of one long TCP connection, sent by iperf3.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use flowkeep_lab::{Background, Host, eventually};
use serde::Deserialize;

use super::Took;
use super::scene::{INTERFACE, SERVER, Scene};

/// What iperf3 prints, as far as it matters.
#[derive(Deserialize)]
struct Outcome {
    end: End,
}

#[derive(Deserialize)]
struct End {
    sum_received: Sum,
    cpu_utilization_percent: Share,
}

/// Of the time, what both ends were running.
#[derive(Deserialize)]
struct Share {
    host_total: f64,
    remote_total: f64,
}

#[derive(Deserialize)]
struct Sum {
    seconds: f64,
}

/// What `ip` prints, as far as it matters.
#[derive(Deserialize)]
struct Interface {
    stats64: Statistics,
}

#[derive(Deserialize)]
struct Statistics {
    rx: Counter,
    tx: Counter,
}

#[derive(Deserialize)]
struct Counter {
    packets: u64,
}

/// Sends for so many seconds. What a packet took, of those that went through the server's interface
/// in either direction: data and acknowledgments.
pub(super) fn run(scene: &Scene, seconds: u32) -> Result<Took> {
    let mut server = iperf3(&scene.server);
    server.args(["--server", "--one-off"]);
    let _server = Background::start(server.stdout(Stdio::null()))?;
    eventually(|| {
        let mut sockets = scene.server.command("ss");
        let listening = sockets.args(["-Hltn", "sport", "=", "5201"]).output()?;
        ensure!(!listening.stdout.is_empty(), "iperf3 does not listen");
        Ok(())
    })?;
    let before = passed(&scene.server)?;
    let mut client = iperf3(&scene.client);
    let address = std::net::Ipv4Addr::from_octets(SERVER).to_string();
    client.args([
        "--client",
        &address,
        "--json",
        "--time",
        &seconds.to_string(),
    ]);
    let output = client.output().context("iperf3 can't be run")?;
    ensure!(
        output.status.success(),
        "iperf3: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    let passed = passed(&scene.server)? - before;
    let outcome: Outcome = serde_json::from_slice(&output.stdout).context("what iperf3 printed")?;
    let end = outcome.end;
    let share = end.cpu_utilization_percent;
    let wall_ns = end.sum_received.seconds * 1e9 / passed as f64;
    Ok(Took {
        wall_ns,
        cpu_ns: wall_ns * (share.host_total + share.remote_total) / 100.0,
    })
}

/// iperf3 under the scheduling policy for batch jobs: the receiver does not interrupt the sender for
/// each packet, which on one processor would be all that is measured.
fn iperf3(host: &Host) -> Command {
    let mut command = host.command("chrt");
    command.args(["--batch", "0", "iperf3"]);
    command
}

/// Packets that have passed a host's interface so far.
pub(super) fn passed(host: &Host) -> Result<u64> {
    let mut ip = host.command("ip");
    let output = ip.args(["-statistics", "-json", "link", "show", INTERFACE]);
    let output = output.output().context("ip can't be run")?;
    let interfaces: Vec<Interface> = serde_json::from_slice(&output.stdout)?;
    let interface = interfaces.first().context("ip shows no interface")?;
    Ok(interface.stats64.rx.packets + interface.stats64.tx.packets)
}
