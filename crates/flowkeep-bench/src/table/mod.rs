//! `cargo xtask bench table`: what the connection table promises, measured.

mod adversary;
mod chase;
mod contender;
mod flood;
mod input;
mod load;
mod others;
mod ours;
mod report;
mod speed;
mod threads;
mod touch;

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use self::input::Random;
use self::report::Report;

/// Measure the connection table: speed beside hash maps of others, threads, load, floods.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Connections in the tables whose speed is measured.
    #[arg(long, value_name = "N", default_value_t = 1 << 20,
        value_parser = clap::value_parser!(u32).range(16..))]
    connections: u32,
    /// Look-ups of each in a round.
    #[arg(long, value_name = "N", default_value_t = 4 << 20)]
    lookups: usize,
    /// Rounds, in each of which everybody is measured; medians are shown.
    #[arg(long, value_name = "N", default_value_t = 9,
        value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seed of everything that is left to chance.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Only the speed on one thread, and only of tables whose name and use contain this, such as
    /// "flowkeep, one by one".
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Leave the others' memory in small pages, as the system's allocator does unasked.
    #[arg(long)]
    small_pages: bool,
    /// Small sizes: to see whether everything works.
    #[arg(long, conflicts_with_all = ["connections", "lookups", "rounds"])]
    quick: bool,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !args.small_pages {
        with_huge_pages()?;
    }
    let mut random = Random::new(args.seed);
    let (connections, lookups, rounds, tables, syns) = if args.quick {
        (1 << 12, 1 << 14, 1, 2, 100_000)
    } else {
        (args.connections, args.lookups, args.rounds, 100, 10_000_000)
    };
    let size = speed::Size {
        connections,
        lookups,
        rounds,
        only: args.only.as_deref().unwrap_or_default(),
    };
    let mut report = Report::new(args.seed, !args.small_pages);
    report.speed = speed::run(&size, &mut random)?;
    if args.only.is_none() {
        report.threads = Some(threads::run(connections, lookups, rounds, &mut random)?);
        for slots in [1 << 16, 1 << 20] {
            report.load.push(load::run(slots, tables, &mut random)?);
        }
        report.flood = Some(flood::run(syns, &mut random)?);
        report.adversary = adversary::run(tables, &mut random);
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

/// Starts this program anew with an allocator that asks for huge pages, as our table does: what is
/// compared is tables, not page sizes.
fn with_huge_pages() -> Result<()> {
    /// Of the GNU C library: how its allocator is tuned.
    const VARIABLE: &str = "GLIBC_TUNABLES";
    const HUGE_PAGES: &str = "glibc.malloc.hugetlb=1";
    if env::var_os(VARIABLE).is_some_and(|value| value == HUGE_PAGES) {
        return Ok(());
    }
    let program = env::current_exe().context("cannot find this program")?;
    let error = Command::new(program)
        .args(env::args_os().skip(1))
        .env(VARIABLE, HUGE_PAGES)
        .exec();
    Err(error).context("cannot start this program again")
}
