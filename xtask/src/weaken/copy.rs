//! A copy of the core crate that can be changed, built and tested.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::list::Weakening;
use crate::workspace;

/// The crate, from the checkout's root.
pub(super) const CRATE: &str = "crates/flowkeep-core";
/// The tests that a weakening has to make fail.
pub(super) const TARGETS: [&str; 2] = ["loom", "table"];

/// A workspace that has the crate alone.
pub(super) struct Copy {
    root: PathBuf,
}

/// A test, in a program.
#[derive(Clone, Debug)]
pub(super) struct Test {
    pub(super) target: &'static str,
    pub(super) name: String,
    /// How long it takes when nothing is wrong.
    pub(super) takes: Duration,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.target, self.name)
    }
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Passed,
    Failed,
    /// It took much longer than it should.
    TooLate,
}

/// The program of a target's tests.
pub(super) struct Program {
    target: &'static str,
    path: PathBuf,
}

/// How the tests are built: a small change has to be built soon, and the model checker itself has to
/// be fast.
const PROFILE: &str = "
[profile.weaken]
inherits = \"release\"
opt-level = 1
debug = false
lto = false
codegen-units = 16
incremental = true

[profile.weaken.package.\"*\"]
opt-level = 3
";

impl Copy {
    /// Copies the crate. What an earlier copy has built is built no more.
    pub(super) fn new() -> Result<Self> {
        let root = workspace::target_dir().join("weaken");
        let copy = root.join(CRATE);
        if copy.exists() {
            fs::remove_dir_all(&copy).with_context(|| copy.display().to_string())?;
        }
        copy_folder(&workspace::root().join(CRATE), &copy)?;
        let manifest = read(&workspace::root().join("Cargo.toml"))?;
        write(&root.join("Cargo.toml"), &alone(&manifest)?)?;
        let lock = workspace::root().join("Cargo.lock");
        fs::copy(&lock, root.join("Cargo.lock")).with_context(|| lock.display().to_string())?;
        Ok(Self { root })
    }

    /// Weakens a file. What this returns is the file as it was.
    pub(super) fn weaken(&self, weakening: &Weakening) -> Result<Original> {
        let path = self.root.join(CRATE).join(&weakening.file);
        let text = read(&path)?;
        write(&path, &weakening.apply(&text)?)?;
        Ok(Original { path, text })
    }

    /// Builds a target's tests. `None`, and the compiler has said why, if that fails.
    pub(super) fn build(&self, target: &'static str) -> Result<Option<Program>> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(&self.root);
        // Not the checkout's: what is built there stays.
        command.env("CARGO_TARGET_DIR", self.root.join("target"));
        command.args(["test", "--no-run", "--quiet", "--profile", "weaken"]);
        command.args(["--package", "flowkeep-core", "--test", target]);
        command.args(["--message-format", "json"]);
        let output = command.output().context("cargo can't be started")?;
        let mut program = None;
        let mut complaints = String::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let message: Value = serde_json::from_str(line)?;
            if let Some(rendered) = message["message"]["rendered"].as_str() {
                complaints.push_str(rendered);
            }
            if let Some(path) = message["executable"].as_str() {
                let path = PathBuf::from(path);
                program = Some(Program { target, path });
            }
        }
        if !output.status.success() {
            eprintln!("{complaints}{}", String::from_utf8_lossy(&output.stderr));
            return Ok(None);
        }
        program.context("cargo names no program").map(Some)
    }
}

/// A file as it was, which is written back when this is dropped.
pub(super) struct Original {
    path: PathBuf,
    text: String,
}

impl Drop for Original {
    fn drop(&mut self) {
        if let Err(error) = write(&self.path, &self.text) {
            eprintln!("{error:#}");
        }
    }
}

impl Program {
    /// All tests that are not ignored.
    pub(super) fn tests(&self) -> Result<Vec<Test>> {
        let list = |arguments: &[&str]| -> Result<Vec<String>> {
            let mut command = Command::new(&self.path);
            let output = command.arg("--list").args(arguments).output()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
            Ok(names.map(str::to_owned).collect())
        };
        let ignored = list(&["--ignored"])?;
        let all = list(&[])?.into_iter();
        let tests = all.filter(|name| !ignored.contains(name)).map(|name| Test {
            target: self.target,
            name,
            takes: Duration::ZERO,
        });
        Ok(tests.collect())
    }

    /// Runs a test, for so long at most. How it ended, and how long it took.
    pub(super) fn run(&self, test: &Test, most: Duration) -> Result<(Ended, Duration)> {
        let mut command = Command::new(&self.path);
        command.args(["--exact", &test.name]);
        command.current_dir(workspace::root().join(CRATE));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        let running = command.spawn();
        let mut running = running.with_context(|| self.path.display().to_string())?;
        let ended = wait(&mut running, begun + most)?;
        Ok((ended, begun.elapsed()))
    }
}

fn wait(running: &mut Child, until: Instant) -> Result<Ended> {
    loop {
        if let Some(status) = running.try_wait()? {
            return Ok(if status.success() {
                Ended::Passed
            } else {
                Ended::Failed
            });
        }
        if Instant::now() > until {
            running.kill()?;
            running.wait()?;
            return Ok(Ended::TooLate);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The workspace's manifest, with this crate as its only member.
fn alone(manifest: &str) -> Result<String> {
    let mut alone = String::new();
    let mut is_changed = false;
    for line in manifest.lines() {
        let line = match line.split_once(' ') {
            Some(("members", _)) => {
                is_changed = true;
                format!("members = [\"{CRATE}\"]")
            }
            Some(("exclude" | "default-members", _)) => continue,
            _ => line.to_owned(),
        };
        alone.push_str(&line);
        alone.push('\n');
    }
    if !is_changed {
        bail!("the workspace's manifest names its members in another way than expected");
    }
    alone.push_str(PROFILE);
    Ok(alone)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), &to).with_context(|| to.display().to_string())?;
        }
    }
    Ok(())
}

pub(super) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}
