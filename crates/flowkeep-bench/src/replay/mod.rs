//! `cargo xtask bench replay`: how fast, and with how much memory, Flowkeep and others go through
//! the same capture.

mod capture;
mod report;
mod tools;

use std::net::UdpSocket;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flowkeep_generate::{Traffic, program};

use self::capture::Capture;
use self::report::{Memory, Outcome, Report, Row};
use self::tools::Tool;
use super::measure::measure;

/// Packets that slow tools get, unless told otherwise.
const CUT: u64 = 1_000_000;

/// Measure Flowkeep and other tools on the same generated capture.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Packets in the capture.
    #[arg(long, value_name = "M", default_value_t = 10_000_000)]
    packets: u64,
    /// Connections in the capture.
    #[arg(long, value_name = "N", default_value_t = 500_000,
        value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Seed of the capture.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Cut packets to this many bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 65_535,
        value_parser = clap::value_parser!(u32).range(96..=65_535))]
    snaplen: u32,
    /// Runs of each tool; the medians are shown.
    #[arg(long, value_name = "N", default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// 200,000 packets of 10,000 connections, one run: to see whether everything works.
    #[arg(long, conflicts_with_all = ["packets", "connections", "runs"])]
    quick: bool,
    /// Give the whole capture to slow tools too.
    #[arg(long)]
    full: bool,
    /// Take this program instead of building one.
    #[arg(long, value_name = "PROGRAM")]
    flowkeep: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (packets, connections, runs) = if args.quick {
        (200_000, 10_000, 1)
    } else {
        (args.packets, args.connections, args.runs)
    };
    let traffic = Traffic {
        connections,
        packets: Some(packets),
        seed: args.seed,
        snaplen: args.snaplen,
        ..Traffic::default()
    };
    let flowkeep = program::find(args.flowkeep.as_deref(), "release")?;
    let directory = program::target_dir().join("bench");
    let whole = Capture::generate(&directory, &traffic)?;
    let cut = if args.full || packets <= CUT {
        whole.clone()
    } else {
        whole.first(CUT)?
    };
    // An exporter sends its records here; nobody reads them.
    let collector = UdpSocket::bind("127.0.0.1:0").context("cannot open a collector")?;
    let port = collector.local_addr()?.port();

    let tools = tools::all(&flowkeep, &directory, port);
    let mut rows = Vec::new();
    for tool in &tools {
        let (capture, runs) = if tool.slow { (&cut, 1) } else { (&whole, runs) };
        eprintln!("{}: {} packets, {runs} times", tool.name, capture.packets);
        rows.push(Row {
            tool: tool.name,
            version: tool.version(),
            packets: capture.packets,
            runs,
            remark: tool.remark,
            outcome: run_tool(tool, capture, runs)?,
        });
    }
    // Flowkeep is the first.
    let memory = memory(&tools[0], &rows[0].outcome, &directory, connections)?;
    let report = Report::new(&traffic, &whole, rows, memory);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

fn run_tool(tool: &Tool, capture: &Capture, runs: u32) -> Result<Outcome> {
    let Some(program) = tool.find() else {
        return Ok(Outcome::NotInstalled {
            debian_package: tool.package,
        });
    };
    // What is measured is the tool, not the disk.
    capture.read_through()?;
    let mut costs = Vec::new();
    for _ in 0..runs {
        tool.prepare()?;
        match measure(&program, &tool.arguments(&capture.path)) {
            Ok(cost) => costs.push(cost),
            Err(error) => {
                return Ok(Outcome::Failed {
                    error: format!("{error:#}"),
                });
            }
        }
    }
    tool.clean_up()?;
    Ok(Outcome::median(&costs, capture.packets))
}

/// What a connection costs Flowkeep in memory: its peak beyond that of a capture of one connection.
fn memory(
    flowkeep: &Tool,
    outcome: &Outcome,
    directory: &Path,
    connections: u32,
) -> Result<Option<Memory>> {
    let Outcome::Measured { cost, .. } = outcome else {
        return Ok(None);
    };
    let one = Traffic {
        connections: 1,
        packets: Some(20),
        ..Traffic::default()
    };
    let tiny = Capture::generate(directory, &one)?;
    let Outcome::Measured { cost: start, .. } = run_tool(flowkeep, &tiny, 1)? else {
        return Ok(None);
    };
    Ok(Some(Memory::new(
        start.peak_bytes,
        cost.peak_bytes,
        connections,
    )))
}
