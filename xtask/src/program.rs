//! Programs of this workspace that are commands of `cargo xtask`, and built when they are needed.

use std::ffi::OsString;
use std::process::{ExitStatus, exit};

use anyhow::{Context as _, Result};

use crate::workspace::cargo;

/// Arguments that are the program's, `--help` among them.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
}

/// A program, and how it is built.
pub(crate) struct Program {
    package: &'static str,
    name: &'static str,
    profile: &'static str,
}

impl Program {
    pub(crate) const GENERATE: Self = Self {
        package: "flowkeep-generate",
        name: "flowkeep-generate",
        profile: "tests",
    };
    pub(crate) const VERIFY: Self = Self {
        package: "flowkeep-generate",
        name: "flowkeep-verify",
        profile: "tests",
    };
    pub(crate) const AGREE: Self = Self {
        package: "flowkeep-agree",
        name: "flowkeep-agree",
        profile: "tests",
    };
    pub(crate) const BENCH: Self = Self {
        package: "flowkeep-bench",
        name: "flowkeep-bench",
        profile: "release",
    };

    /// Runs the program in place of this one, whose exit status is the program's.
    pub(crate) fn run(&self, args: &Args) -> Result<()> {
        exit(self.status(&args.arguments)?.code().unwrap_or(1))
    }

    /// Runs the program.
    pub(crate) fn status(&self, arguments: &[OsString]) -> Result<ExitStatus> {
        cargo()
            .args(["run", "--quiet", "--package", self.package])
            .args(["--bin", self.name, "--profile", self.profile, "--"])
            .args(arguments)
            .status()
            .context("cannot start cargo")
    }
}
