//! What a developer of Flowkeep does often: `cargo xtask --help`.

mod agree;
mod bench;
mod bpf;
mod generate;
mod live;
mod test;
mod verify;
mod weaken;
mod workspace;

use clap::{Parser, Subcommand};

/// What a developer of Flowkeep does often.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Generate(generate::Args),
    Bench(bench::Args),
    Bpf(bpf::Args),
    Verify(verify::Args),
    Agree(agree::Args),
    Test(test::Args),
    Live(live::Args),
    Weaken(weaken::Args),
    #[command(hide = true)]
    Measure(bench::measure::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Generate(args) => generate::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Bpf(args) => bpf::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Agree(args) => agree::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Live(args) => live::run(&args),
        Command::Weaken(args) => weaken::run(&args),
        Command::Measure(args) => bench::measure::run(&args),
    }
}
