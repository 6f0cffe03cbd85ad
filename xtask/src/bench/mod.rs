//! `cargo xtask bench`: measurements.

mod flood;
mod kernel;
mod list;
pub(crate) mod measure;
mod replay;
mod statistics;
mod table;
mod veth;

use anyhow::Result;
use clap::Subcommand;

/// Measure.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Flood(flood::Args),
    Kernel(kernel::Args),
    List(list::Args),
    Replay(replay::Args),
    Table(table::Args),
    Veth(veth::Args),
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::Flood(args) => flood::run(args),
        What::Kernel(args) => kernel::run(args),
        What::List(args) => list::run(args),
        What::Replay(args) => replay::run(args),
        What::Table(args) => table::run(args),
        What::Veth(args) => veth::run(args),
    }
}
