//! What a developer of Flowkeep does often: `cargo xtask --help`.

mod bpf;
mod live;
mod program;
mod test;
mod workspace;

use clap::{Parser, Subcommand};

use self::program::Program;

/// What a developer of Flowkeep does often.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Test(test::Args),
    Live(live::Args),
    Bpf(bpf::Args),
    /// Write a capture of made-up traffic, and the truth about its connections.
    Generate(program::Args),
    /// Replay generated captures, and compare every connection with the truth.
    Verify(program::Args),
    /// Replay captures, and compare every connection with what other tools recorded of it.
    Agree(program::Args),
    /// Measure.
    Bench(program::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Test(args) => test::run(&args),
        Command::Live(args) => live::run(&args),
        Command::Bpf(args) => bpf::run(&args),
        Command::Generate(args) => Program::GENERATE.run(&args),
        Command::Verify(args) => Program::VERIFY.run(&args),
        Command::Agree(args) => Program::AGREE.run(&args),
        Command::Bench(args) => Program::BENCH.run(&args),
    }
}
