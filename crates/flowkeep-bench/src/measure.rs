//! What a whole process costs: time, processor time, memory.
//!
//! The kernel adds up what a process's children have used, so each measurement is made by a fresh
//! process that has one child: this program again, as the hidden command `measure`. A child begins
//! as a copy of its parent, whose few megabytes are the least peak that can be seen.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// Run a command on one processor, its output thrown away, and print what it cost as JSON.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// What a process has used, with those that it has waited for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// From start to end.
    pub(crate) wall_seconds: f64,
    /// In its own code.
    pub(crate) user_seconds: f64,
    /// In the kernel for it.
    pub(crate) system_seconds: f64,
    /// Most memory resident at a time.
    pub(crate) peak_bytes: u64,
}

impl Cost {
    /// Processor time, own and kernel.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.user_seconds + self.system_seconds
    }

    /// The median of each quantity for itself; `None` of nothing.
    pub(crate) fn median(costs: &[Self]) -> Option<Self> {
        let middle = |quantity: fn(&Self) -> f64| {
            let mut values: Vec<f64> = costs.iter().map(quantity).collect();
            values.sort_by(f64::total_cmp);
            let upper = *values.get(values.len() / 2)?;
            let lower = values[(values.len() - 1) / 2];
            Some(f64::midpoint(lower, upper))
        };
        Some(Self {
            wall_seconds: middle(|cost| cost.wall_seconds)?,
            user_seconds: middle(|cost| cost.user_seconds)?,
            system_seconds: middle(|cost| cost.system_seconds)?,
            peak_bytes: middle(|cost| cost.peak_bytes as f64)? as u64,
        })
    }
}

/// Runs a command in a process of its own and measures it.
///
/// # Errors
/// If it cannot be started or does not end well, with the last line that it complained with.
pub(crate) fn measure(program: &Path, arguments: &[OsString]) -> Result<Cost> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let output = Command::new(own)
        .args(["measure", "--"])
        .arg(program)
        .args(arguments)
        .stderr(Stdio::piped())
        .output()
        .context("cannot start this program again")?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{}", complaint.trim().trim_start_matches("Error: "));
    }
    serde_json::from_slice(&output.stdout).context("the measurement is not readable")
}

/// Runs the hidden command.
pub(crate) fn run(args: &Args) -> Result<()> {
    pin().context("cannot stay on one processor")?;
    let [program, arguments @ ..] = &args.command[..] else {
        bail!("no command")
    };
    let start = Instant::now();
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let wall_seconds = start.elapsed().as_secs_f64();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let complaint = complaint
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("silent");
    if let Some(signal) = output.status.signal() {
        bail!("killed by signal {signal}: {complaint}");
    }
    ensure!(output.status.success(), "{}: {complaint}", output.status);

    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    let cost = Cost {
        wall_seconds,
        user_seconds: seconds(usage.user_time()),
        system_seconds: seconds(usage.system_time()),
        peak_bytes: u64::try_from(usage.max_rss()).unwrap_or(0) * 1024, // Linux counts in KiB
    };
    println!("{}", serde_json::to_string(&cost)?);
    Ok(())
}

/// Stays on the last processor that we may use: the first one serves most interrupts.
pub(crate) fn pin() -> Result<()> {
    let us = Pid::from_raw(0);
    let allowed = sched_getaffinity(us)?;
    let last = (0..CpuSet::count())
        .rev()
        .find(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    let mut only = CpuSet::new();
    only.set(last.context("there is no processor for us")?)?;
    Ok(sched_setaffinity(us, &only)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(wall_seconds: f64, peak_bytes: u64) -> Cost {
        Cost {
            wall_seconds,
            user_seconds: 1.0,
            system_seconds: 0.5,
            peak_bytes,
        }
    }

    #[test]
    fn medians_are_taken_one_by_one() {
        let costs = [cost(3.0, 10), cost(1.0, 30), cost(2.0, 20)];
        let median = Cost::median(&costs).expect("three are not none");
        assert_eq!((median.wall_seconds, median.peak_bytes), (2.0, 20));
        let median = Cost::median(&costs[..2]).expect("two are not none");
        assert_eq!((median.wall_seconds, median.peak_bytes), (2.0, 20));
        assert_eq!(median.cpu_seconds(), 1.5);
        assert!(Cost::median(&[]).is_none());
    }
}
