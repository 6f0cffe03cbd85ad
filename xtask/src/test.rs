//! `cargo xtask test`: everything that has to hold.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use clap::Parser;

use crate::workspace;

/// Run every test; what is missing on this machine is named.
#[derive(Parser)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> anyhow::Result<()> {
    let root = workspace::root();
    if Command::new("cc").arg("--version").output().is_err() {
        bail!("a C compiler is needed, for the zstd library: install gcc or clang");
    }
    // Optimised: the recorded cases and the model checker are slow without.
    cargo(root, &["test", "--workspace", "--profile", "tests"])?;
    let verify = ["run", "--quiet", "--package", "xtask", "--", "verify"];
    cargo(root, &verify)?;
    println!("all tests passed");
    Ok(())
}

fn cargo(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let name = arguments.join(" ");
    println!("cargo {name}");
    let status = workspace::cargo()
        .args(arguments)
        .current_dir(root)
        .status()
        .context("cargo can't be started")?;
    if !status.success() {
        bail!("cargo {name}: {status}");
    }
    Ok(())
}
