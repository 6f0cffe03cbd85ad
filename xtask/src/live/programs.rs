//! What runs on the other kernel: the tests, and the programs that they run.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{TESTS, cargo, output};

/// Files of this machine that the other one needs too.
pub(super) struct Programs {
    pub(super) tests: Vec<PathBuf>,
    /// By their paths, which are the same there.
    pub(super) files: Vec<PathBuf>,
    /// Programs that are looked for in the folders of PATH.
    pub(super) tools: Vec<PathBuf>,
}

/// Programs that the tests run.
const TOOLS: [&str; 7] = ["ip", "tc", "nft", "ethtool", "ping", "setarch", "setpriv"];

/// Builds the tests.
pub(super) fn build() -> Result<Programs> {
    let (mut tests, mut files) = (Vec::new(), Vec::new());
    for (package, target) in TESTS {
        let mut command = cargo();
        command.args(["test", "--no-run", "--quiet", "--message-format", "json"]);
        command.args(["--profile", "tests", "--package", package, "--test", target]);
        for message in output(&mut command)?.lines() {
            let message: Value = serde_json::from_str(message)?;
            let Some(executable) = message["executable"].as_str() else {
                continue;
            };
            // A test finds its package's program where cargo has put it.
            if message["target"]["kind"][0] == "test" {
                tests.push(PathBuf::from(executable));
            } else {
                files.push(PathBuf::from(executable));
            }
        }
    }
    let tools = TOOLS.map(find).into_iter().collect::<Result<Vec<_>>>()?;
    for program in tests.clone().iter().chain(&tools).chain(&files.clone()) {
        files.extend(libraries(program)?);
    }
    files.sort_unstable();
    files.dedup();
    Ok(Programs {
        tests,
        files,
        tools,
    })
}

fn find(name: &str) -> Result<PathBuf> {
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("there is no program {name}, which the tests run"))
}

/// The shared libraries of a program.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let listed = output(Command::new("ldd").arg(program))?;
    let words = listed
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    Ok(words
        .map(|word| PathBuf::from(word.trim_end_matches(':')))
        .collect())
}
