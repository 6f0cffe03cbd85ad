//! `cargo xtask verify`: whether Flowkeep finds exactly the connections of generated captures.

mod compare;

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use flowkeep_generate::{Traffic, program};

use self::compare::Comparison;

/// Replay generated captures, whole and cut, and compare every connection with the truth.
#[derive(Parser)]
#[command(name = "cargo xtask verify", bin_name = "cargo xtask verify")]
struct Args {
    /// Connections in each capture.
    #[arg(long, value_name = "N", default_value_t = 5000,
        value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Packets in each capture [default: 20 a connection].
    #[arg(long, value_name = "M")]
    packets: Option<u64>,
    /// Seed of the captures.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Differing rows to show of each capture.
    #[arg(long, value_name = "N", default_value_t = 20)]
    show: usize,
    /// Take this program instead of building one.
    #[arg(long, value_name = "PROGRAM")]
    flowkeep: Option<PathBuf>,
}

/// Lengths that captures are cut to: not at all, and just behind all ports.
const SNAPLENS: [u32; 2] = [65_535, 96];

fn main() -> Result<()> {
    let args = Args::parse();
    let flowkeep = program::find(args.flowkeep.as_deref(), "tests")?;
    let directory = program::target_dir().join("verify");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let mut exact = true;
    for snaplen in SNAPLENS {
        let traffic = Traffic {
            connections: args.connections,
            packets: args.packets,
            seed: args.seed,
            snaplen,
            ..Traffic::default()
        };
        let comparison = verify(&traffic, &flowkeep, &directory)
            .with_context(|| format!("at snaplen {snaplen}"))?;
        println!("snaplen {snaplen}: {comparison}");
        for difference in comparison.differences.iter().take(args.show) {
            println!("  {difference}");
        }
        if let Some(more @ 1..) = comparison.differences.len().checked_sub(args.show) {
            println!("  and {more} more");
        }
        exact &= comparison.is_exact();
    }
    if !exact {
        bail!(
            "flowkeep's connections are not those of the truth; the captures are in {}",
            directory.display()
        );
    }
    Ok(())
}

fn verify(traffic: &Traffic, flowkeep: &Path, directory: &Path) -> Result<Comparison> {
    let path = |extension| {
        let Traffic {
            connections,
            seed,
            snaplen,
            ..
        } = traffic;
        directory.join(format!("{connections}-{seed}-{snaplen}.{extension}"))
    };
    let (capture, truth, found) = (path("pcap"), path("truth.csv"), path("flowkeep.csv"));
    let create = |path: &Path| {
        File::create(path).with_context(|| format!("cannot create {}", path.display()))
    };
    flowkeep_generate::write(
        traffic,
        BufWriter::new(create(&capture)?),
        BufWriter::new(create(&truth)?),
    )?;
    let status = Command::new(flowkeep)
        .arg("replay")
        .arg(&capture)
        .args(["--output", "csv"])
        .stdin(Stdio::null())
        .stdout(create(&found)?)
        .status()
        .with_context(|| format!("cannot start {}", flowkeep.display()))?;
    ensure!(
        status.success(),
        "flowkeep replay {}: {status}",
        capture.display()
    );
    let open = |path: &Path| Ok::<_, anyhow::Error>(BufReader::new(File::open(path)?));
    compare::compare(open(&truth)?, open(&found)?)
}
