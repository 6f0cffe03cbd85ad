//! `cargo xtask generate`: writes a capture and its truth to files.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use flowkeep_generate::{Traffic, write};

/// Write a capture of made-up traffic, and the truth about its connections.
#[derive(Parser)]
#[command(name = "cargo xtask generate", bin_name = "cargo xtask generate")]
struct Args {
    #[command(flatten)]
    traffic: Traffic,
    /// The capture to write: classic pcap, Ethernet.
    #[arg(short, long, value_name = "FILE.pcap")]
    output: PathBuf,
    /// Where to write the truth, one row a connection.
    #[arg(long, value_name = "FILE.csv")]
    truth: Option<PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let create = |path: &PathBuf| {
        File::create(path).with_context(|| format!("cannot create {}", path.display()))
    };
    let capture = BufWriter::with_capacity(1 << 20, create(&args.output)?);
    let summary = match &args.truth {
        Some(path) => write(&args.traffic, capture, BufWriter::new(create(path)?)),
        None => write(&args.traffic, capture, std::io::sink()),
    }?;
    println!(
        "{} packets of {} connections, {} bytes, {} s, at most {} connections open",
        summary.packets,
        args.traffic.connections,
        summary.bytes,
        summary.duration / 1_000_000,
        summary.most_open,
    );
    Ok(())
}
