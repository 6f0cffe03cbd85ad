//! `cargo xtask test`: everything that has to hold.

mod tally;

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

pub(crate) use self::tally::Tally;
use crate::program::Program;
use crate::workspace::{cargo, root};

/// Run every test, to the end, whichever fail.
///
/// The last line is `N passed, M failed, K skipped`. Before it stands which tests this machine can't
/// run, what it lacks, and what to install. With CI=true in the environment, such a test fails.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<()> {
    if Command::new("cc").arg("--version").output().is_err() {
        bail!("a C compiler is needed, for the zstd library: install gcc or clang");
    }
    let mut tally = Tally::default();
    // Optimised: the recorded cases and the model checker are slow without.
    cargo_test(&mut tally, &["--workspace", "--profile", "tests"])?;
    println!("cargo xtask verify");
    tally.count("verify", Program::VERIFY.status(&[])?.success());
    tally.end();
    Ok(())
}

/// Runs `cargo test`, shows what it says, and counts it.
pub(crate) fn cargo_test(tally: &mut Tally, arguments: &[&str]) -> Result<()> {
    println!("cargo test {}", arguments.join(" "));
    // One pipe for both, so that what is said stays in order.
    let (reader, writer) = io::pipe()?;
    let mut running = cargo()
        .args(["test", "--no-fail-fast"])
        .args(arguments)
        .current_dir(root())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .context("cannot start cargo")?;
    for line in BufReader::new(reader).split(b'\n') {
        let mut line = line?;
        tally.read(&String::from_utf8_lossy(&line));
        line.push(b'\n');
        io::stdout().write_all(&line)?;
    }
    tally.end_of_run(running.wait()?.success());
    Ok(())
}
