//! The command line.

mod arguments;
mod list;
#[cfg(target_os = "linux")]
mod live;
mod progress;
mod replay;
mod sink;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use self::arguments::{Arguments, Command};

/// Runs the command that the arguments name.
pub(crate) fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Replay(arguments) => replay::run(&arguments),
        #[cfg(target_os = "linux")]
        Command::Run(arguments) => live::run(&arguments),
        #[cfg(target_os = "linux")]
        Command::Attach(arguments) => live::attach(&arguments),
        #[cfg(target_os = "linux")]
        Command::Detach(arguments) => live::detach(&arguments),
        #[cfg(target_os = "linux")]
        Command::Watch(arguments) => live::watch(&arguments),
        #[cfg(target_os = "linux")]
        Command::Delete(arguments) => live::delete(&arguments),
        #[cfg(target_os = "linux")]
        Command::Flush(arguments) => live::flush(&arguments),
        #[cfg(target_os = "linux")]
        Command::Stats(arguments) => live::stats(&arguments),
        #[cfg(target_os = "linux")]
        Command::Set(arguments) => live::set(&arguments),
        #[cfg(target_os = "linux")]
        Command::Check(arguments) => live::check(&arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "flowkeep", &mut script);
            exit_code(io::Write::write_all(&mut io::stdout(), &script))
        }
    }
}

/// Writes a line to standard output.
#[cfg(target_os = "linux")]
fn say(line: &dyn std::fmt::Display) -> ExitCode {
    exit_code(io::Write::write_fmt(
        &mut io::stdout(),
        format_args!("{line}\n"),
    ))
}

/// The exit code after writing, with a message if writing failed. That the reader of a pipe has
/// exited is no failure.
fn exit_code(written: io::Result<()>) -> ExitCode {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("flowkeep: cannot write: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
