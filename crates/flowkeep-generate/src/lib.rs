//! Captures of made-up traffic, and the truth about every connection.
//!
//! A capture is a function of its parameters: same parameters, same bytes, on every machine.
//! Connections are drawn one by one, each from random numbers of its own; a queue of the open ones,
//! ordered by time, mixes their packets. So memory grows with the connections that are open at a
//! time, not with the capture.

mod connection;
mod endpoints;
mod mix;
mod pcap;
pub mod program;
mod queue;
mod random;
mod script;
#[cfg(test)]
mod tests;
pub mod truth;
mod wire;

use std::io::Write;

use anyhow::{Result, anyhow};

use self::connection::{Connection, Workshop};
use self::endpoints::MOST_CONNECTIONS;
use self::mix::{Dealer, Profile};
use self::pcap::PcapWriter;
use self::queue::Queue;
use self::random::Random;

/// Packets per connection, unless a total is asked for.
const PACKETS_PER_CONNECTION: u64 = 20;

/// The first packet's time: 2026-01-01 00:00 UTC, in microseconds.
const START: u64 = 1_767_225_600_000_000;

/// What traffic to make.
#[derive(clap::Args, Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// How many connections.
    #[arg(long, value_name = "N", default_value_t = 5000,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_CONNECTIONS)))]
    pub connections: u32,
    /// How many packets, exactly, ICMP errors and fragments included [default: 20 a connection].
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..=4_000_000_000))]
    pub packets: Option<u64>,
    /// Another number makes other traffic.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Cut packets to this many bytes. All ports are within 96, except for those that ICMPv6
    /// errors quote.
    #[arg(long, value_name = "BYTES", default_value_t = 65_535,
        value_parser = clap::value_parser!(u32).range(96..=65_535))]
    pub snaplen: u32,
    /// Mean length of a frame, about, at the default number of packets.
    #[arg(long, value_name = "BYTES", default_value_t = 350,
        value_parser = clap::value_parser!(u32).range(200..=680))]
    pub mean_size: u32,
    /// New connections per second of packet time.
    #[arg(long, value_name = "N", default_value_t = 600,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,
}

impl Default for Traffic {
    /// What the command line makes without options.
    fn default() -> Self {
        Self {
            connections: 5000,
            packets: None,
            seed: 1,
            snaplen: 65_535,
            mean_size: 350,
            rate: 600,
        }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Packets of all connections, fragments and ICMP errors included.
    pub packets: u64,
    /// Length of the capture file.
    pub bytes: u64,
    /// Microseconds between the first packet and the last.
    pub duration: u64,
    /// Most connections open at a time.
    pub most_open: usize,
}

/// Writes the capture and the truth.
///
/// # Errors
/// If there are too few packets for the connections, or a file cannot be written.
pub fn write(traffic: &Traffic, capture: impl Write, truth: impl Write) -> Result<Summary> {
    let &Traffic {
        connections,
        seed,
        rate,
        ..
    } = traffic;
    let packets = traffic
        .packets
        .unwrap_or_else(|| PACKETS_PER_CONNECTION * u64::from(connections));
    let mut dealer = Dealer::new(seed, connections, packets).map_err(|least| {
        anyhow!("{connections} connections of seed {seed} take at least {least} packets")
    })?;
    let full = full_segments(traffic.mean_size);
    let snaplen = traffic.snaplen as usize;
    let mut workshop = Workshop::new(seed, snaplen);
    let mut pcap = PcapWriter::new(capture, snaplen)?;
    let mut truth = csv::Writer::from_writer(truth);
    let mut arrivals = Random::new(seed, u64::MAX - 1);
    let mut queue = Queue::default();
    let mut summary = Summary {
        packets: 0,
        bytes: 0,
        duration: 0,
        most_open: 0,
    };

    let mut next_arrival = START;
    let mut opened = 0;
    loop {
        // Whatever begins until the next packet of an open connection has to be open by then.
        while opened < connections && queue.next_time().is_none_or(|time| next_arrival <= time) {
            let profile = Profile::draw(seed, opened);
            let share = dealer.deal(&profile);
            let connection = Connection::new(profile, opened, connections, share, full);
            let connection = Box::new(connection);
            queue.push(next_arrival, connection);
            opened += 1;
            next_arrival += u64::from(arrivals.below(2_000_000 / rate + 1));
        }
        summary.most_open = summary.most_open.max(queue.len());
        let Some((time, mut connection)) = queue.pop() else {
            break;
        };
        connection.make_next(time, &mut workshop);
        pcap.write(time, &workshop.frame)?;
        summary.packets += 1;
        summary.duration = time - START;
        match connection.next_gap() {
            Some(gap) => queue.push(time + u64::from(gap), connection),
            None => truth.serialize(connection.truth())?,
        }
    }
    truth.flush()?;
    summary.bytes = pcap.finish()?;
    Ok(summary)
}

/// How many of 256 data segments have to be full ones for frames of a mean size: a line through
/// what the mix makes of none (196 bytes) and of all (681 bytes) at 20 packets a connection.
const fn full_segments(mean_size: u32) -> u32 {
    mean_size.saturating_sub(196) * 256 / 485
}
