//! `cargo xtask bench list`: what it takes to look at a million connections in the kernel.

mod conntrack;
mod report;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use flowkeep::connection::ConnectionState;
use flowkeep::filter::Filter;
use flowkeep::live::{Folder, Pinned};
use flowkeep::prefix::Prefix;
use flowkeep_generate::program;
use flowkeep_lab::{Host, missing};

use self::report::{Listing, Report};
use super::kernel::driver::{Driver, Options};
use super::kernel::input::{Frames, Packets, Random};
use super::kernel::ours::Ours;
use super::kernel::reference::Reference;
use super::kernel::tracker::establish;
use super::measure;
use super::statistics::Spread;

/// Measure listing and counting a table in the kernel, beside bpftool on an LRU hash map and
/// conntrack on the kernel's own tracker.
///
/// Needs root, and bpftool and conntrack. All of it happens in namespaces of its own.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Connections in the table.
    #[arg(long, value_name = "N", default_value_t = 1_000_000,
        value_parser = clap::value_parser!(u32).range(1..=1 << 23))]
    connections: u32,
    /// How often each is measured; medians are shown.
    #[arg(long, value_name = "N", default_value_t = 7,
        value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seed of everything that is left to chance.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Where the tables are pinned, in a BPF file system of their own.
const FOLDER: &str = "/sys/fs/bpf/flowkeep";
const REFERENCE: &str = "/sys/fs/bpf/reference";

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(missing) = missing(&["bpftool", "conntrack", "nft"]) {
        bail!("{missing}");
    }
    let flowkeep = program::find(None, "release")?;
    let (host, mut random) = (Host::new()?, Random::new(args.seed));
    let packets = Packets::random(args.connections, &mut random);
    let address = packets.0[0][0].source().to_string();

    eprintln!("{} connections, in both tables", args.connections);
    // Their maps live on with the pins.
    host.enter(|| fill(&packets, &mut random))?;
    eprintln!("looking at them");
    let [filtered, counted] = host.enter(|| look(args, &address))?;
    let command = |program: &Path, arguments: &[&str]| {
        let mut spent = Vec::new();
        for _ in 0..args.rounds {
            let mut command = host.command(program);
            spent.push(milliseconds(command.args(arguments))?);
        }
        anyhow::Ok(Spread::of(spent))
    };
    let list = [
        "list",
        "--address",
        &address,
        "--no-summary",
        "--output",
        "json",
    ];
    let mut report = Report {
        connections: args.connections,
        rounds: args.rounds,
        filtered,
        counted,
        others: vec![
            Listing {
                what: "flowkeep list --address, the whole command",
                connections: args.connections,
                ms: command(&flowkeep, &list)?,
            },
            Listing {
                what: "flowkeep list --output ndjson, every connection",
                connections: args.connections,
                ms: command(&flowkeep, &["list", "--output", "ndjson"])?,
            },
            Listing {
                what: "bpftool map dump, of the reference",
                connections: args.connections,
                ms: command("bpftool".as_ref(), &["map", "dump", "pinned", REFERENCE])?,
            },
        ],
    };
    drop(host);
    report.others.push(conntrack::run(args.rounds)?);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

/// Fills our table and the reference's by packets, and pins them.
fn fill(packets: &Packets, random: &mut Random) -> Result<()> {
    let frames = Frames::new()?;
    let connections = packets.connections();
    // An LRU map that is nearly full forgets before it has to.
    let options = Options::new(2 * connections);
    let mut driver = Driver::new(options, packets)?;
    let ours = Ours::new(connections / 2 * 3, Some(FOLDER.as_ref()), random)?;
    establish(&ours, &mut driver, &frames, connections)?;
    let reference = Reference::new(&mut driver)?;
    establish(&reference, &mut driver, &frames, connections)?;
    let map = driver.programs.map("REF_TCP").context("no map REF_TCP")?;
    map.pin(REFERENCE)?;
    Ok(())
}

/// Lists the one connection of an address, and counts all, in our table, mapped.
fn look(args: &Args, address: &str) -> Result<[Spread; 2]> {
    measure::pin().context("cannot stay on one processor")?;
    let pinned = Pinned::open(&Folder::at(FOLDER.as_ref())?)?;
    let filter = Filter {
        addresses: vec![address.parse::<Prefix>()?],
        ..Filter::default()
    };
    let (mut listing, mut counting) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        let (start, mut found) = (Instant::now(), 0);
        pinned.for_each(&filter, false, false, |_| found += 1);
        listing.push(start.elapsed());
        ensure!(found == 1, "{found} connections of one address were listed");

        let start = Instant::now();
        let census = pinned.totals()?.census;
        counting.push(start.elapsed());
        ensure!(
            census.count(ConnectionState::Answered) == u64::from(args.connections),
            "{census:?} were counted"
        );
    }
    let spread = |times: Vec<std::time::Duration>| {
        Spread::of(times.iter().map(|time| time.as_secs_f64() * 1e3))
    };
    Ok([spread(listing), spread(counting)])
}

/// How long a command takes whose output nobody reads.
fn milliseconds(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    let output = command.stdout(Stdio::null()).stderr(Stdio::piped());
    let output = output
        .output()
        .with_context(|| format!("{command:?} can't be run"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", complaint.trim());
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
