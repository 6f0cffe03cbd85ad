//! Background processes.

use std::process::{Child, Command};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A background process. Dropping this kills it.
#[derive(Debug)]
pub struct Background(Child);

impl Background {
    /// Starts a command.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let child = command.spawn();
        let child = child.with_context(|| format!("{command:?} can't be run"))?;
        Ok(Self(child))
    }

    /// The process, to wait for it or to read its output.
    pub const fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// If it has ended and been waited for.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.0.id()).context("no such process number")?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("{signal} to process {pid}"))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
