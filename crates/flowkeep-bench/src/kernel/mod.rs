//! `cargo xtask bench kernel`: what tracking a packet costs in the kernel, ours and the classic
//! design side by side.

mod create;
pub(super) mod driver;
pub(super) mod input;
mod known;
pub(super) mod ours;
mod parts;
pub(super) mod reference;
mod report;
pub(super) mod tracker;

use anyhow::{Context, Result};

use self::input::Random;
use self::report::Report;
use crate::measure;

/// Measure the programs in the kernel beside the classic design over the kernel's LRU hash maps.
///
/// Needs CAP_BPF and CAP_NET_ADMIN. The packets are of test runs (`BPF_PROG_TEST_RUN`): no
/// interface is touched.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Numbers of known connections, one after the other.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,65536,524288",
        value_parser = clap::value_parser!(u32).range(1..=1 << 22))]
    connections: Vec<u32>,
    /// Packets of each measurement, at least: each connection gets as many as every other.
    #[arg(long, value_name = "N", default_value_t = 1 << 20,
        value_parser = clap::value_parser!(u32).range(1..=1 << 28))]
    packets: u32,
    /// Rounds, in each of which everybody is measured in turn; medians are shown.
    #[arg(long, value_name = "N", default_value_t = 7,
        value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seed of everything that is left to chance.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Small sizes: to see whether everything works.
    #[arg(long, conflicts_with_all = ["connections", "packets", "rounds"])]
    quick: bool,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    measure::pin().context("cannot stay on one processor")?;
    let mut random = Random::new(args.seed);
    let (sizes, packets, rounds) = if args.quick {
        (&[1, 1 << 12][..], 1 << 14, 1)
    } else {
        (&args.connections[..], args.packets, args.rounds)
    };
    let mut report = Report::new(args.seed, rounds);
    for &connections in sizes {
        let size = known::Size {
            connections,
            packets,
            rounds,
        };
        let (known, parts) = known::run(&size, &mut random)?;
        report.known.extend(known);
        report.parts.extend(parts);
        if connections > 1 {
            let created = create::run(connections, rounds, &mut random)?;
            report.creation.push(created);
        }
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
