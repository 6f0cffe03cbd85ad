//! Where things are in the checkout, and how to build them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The checkout's root.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    // A relative one is relative to where cargo was started.
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where the command `flowkeep` is: `given`, else one built for release.
///
/// # Errors
/// If there is no such program, or cargo fails, which says why.
pub(crate) fn flowkeep(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(program) = given {
        ensure!(
            program.is_file(),
            "there is no program {}",
            program.display()
        );
        return Ok(std::path::absolute(program)?);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--release",
            "--package",
            "flowkeep",
            "--features",
            "cli",
            "--bin",
            "flowkeep",
        ])
        .arg("--manifest-path")
        .arg(root().join("Cargo.toml"))
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "cannot build flowkeep");
    Ok(target_dir().join("release").join("flowkeep"))
}
