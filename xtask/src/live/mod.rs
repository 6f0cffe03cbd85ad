//! `cargo xtask live`: the live tests, on this kernel or on one of Debian's in QEMU.

mod debian;
mod machine;
mod programs;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use crate::test::{Tally, cargo_test};
use crate::workspace;

/// Run the live tests: real traffic between network namespaces, as root.
///
/// Without a kernel, on this one. Other kernels run in QEMU, and are fetched from Debian: without
/// hardware's help that takes minutes for every test, so choose.
#[derive(Parser)]
pub(crate) struct Args {
    /// A series of kernels that Debian has, e.g. 6.1.
    #[arg(long, value_name = "SERIES")]
    kernel: Option<String>,
    /// Only tests whose name has this in it.
    filter: Option<String>,
}

/// The packages with live tests, and the tests' targets.
const TESTS: [(&str, &str); 3] = [
    ("flowkeep-lab", "lab"),
    ("flowkeep-bpf", "live"),
    ("flowkeep", "live"),
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let filter = args.filter.as_deref();
    let Some(series) = &args.kernel else {
        return on_this_kernel(filter);
    };
    let begun = Instant::now();
    let folder = workspace::target_dir().join("live");
    let kernel = debian::kernel(series, &folder)?;
    println!("Linux {}", kernel.release);
    let system = machine::System::build(&kernel, &programs::build()?, &folder)?;
    println!("{}", system.size());
    let tally = system.run(&kernel, filter)?;
    println!("{} s in all", begun.elapsed().as_secs());
    tally.end();
    Ok(())
}

fn on_this_kernel(filter: Option<&str>) -> Result<()> {
    let mut tally = Tally::default();
    for (package, target) in TESTS {
        let mut arguments = vec!["--package", package, "--test", target, "--"];
        arguments.extend(filter);
        cargo_test(&mut tally, &arguments)?;
    }
    tally.end();
    Ok(())
}

fn cargo() -> Command {
    let mut command = workspace::cargo();
    command.current_dir(workspace::root());
    command
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status();
    let status = status.with_context(|| format!("{command:?} can't be run"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// What a command writes, if it succeeds.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output();
    let output = output.with_context(|| format!("{command:?} can't be run"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {complaint}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A name in a path that has one.
fn name(path: &Path) -> &std::ffi::OsStr {
    path.file_name().unwrap_or(path.as_os_str())
}
