//! `cargo xtask bench`: measurements.

mod flood;
mod kernel;
mod list;
mod measure;
mod replay;
mod statistics;
mod table;
mod veth;

use clap::Parser;

/// Measure.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
enum Command {
    Flood(flood::Args),
    Kernel(kernel::Args),
    List(list::Args),
    Replay(replay::Args),
    Table(table::Args),
    Veth(veth::Args),
    #[command(hide = true)]
    Measure(measure::Args),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Flood(args) => flood::run(&args),
        Command::Kernel(args) => kernel::run(&args),
        Command::List(args) => list::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Table(args) => table::run(&args),
        Command::Veth(args) => veth::run(&args),
        Command::Measure(args) => measure::run(&args),
    }
}
