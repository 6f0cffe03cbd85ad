//! The command `flowkeep`, which generated captures are for.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The program `given`, or else one that cargo builds with this profile.
///
/// # Errors
/// If there is no such program, or cargo fails, which says why.
pub fn find(given: Option<&Path>, profile: &str) -> Result<PathBuf> {
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
        .args(["build", "--quiet", "--package", "flowkeep"])
        .args(["--bin", "flowkeep", "--profile", profile])
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "cannot build flowkeep");
    Ok(target_dir().join(profile).join("flowkeep"))
}

/// The folder that cargo builds in.
pub fn target_dir() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target");
    // A relative one is relative to where cargo was started.
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| default.into(), PathBuf::from)
}
