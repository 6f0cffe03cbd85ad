//! `flowkeep run`.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use flowkeep::live::{Error, Folder, Mode, Options, Tracker};
use flowkeep::output::{Bytes, Count};
use flowkeep_core::rules::RuleSet;

use super::signals::Signals;
use super::status::Status;
use super::{failure, no_signals};
use crate::command::arguments::{self, Target, Timeouts};

/// Time between two checks for removed interfaces and expired connections.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// How long removing expired connections may take each time: a hundredth of a processor.
pub(super) const SWEEP_BUDGET: Duration = Duration::from_millis(10);

pub(in crate::command) fn run(arguments: &arguments::Run) -> ExitCode {
    // From here on a signal detaches what is attached.
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return no_signals(&error),
    };
    let mut tracker = match start(&arguments.target, &arguments.timeouts, arguments.pin) {
        Ok(tracker) => tracker,
        Err(error) => return failure(&error),
    };
    let mut status = Status::new(arguments.interval, arguments.quiet);
    status.say(&describe(&tracker, &arguments.target));
    loop {
        if status.is_due() {
            let start = Instant::now();
            match tracker.totals() {
                Ok(totals) => {
                    let names = names(&tracker);
                    status.update(
                        totals,
                        tracker.interface_counters(),
                        &names,
                        start.elapsed(),
                    );
                }
                Err(error) => {
                    status.end();
                    return failure(&error);
                }
            }
        }
        for interface in tracker.take_removed() {
            status.warn(&format!(
                "{} was removed, and is no longer tracked",
                interface.name()
            ));
        }
        if tracker.interfaces().is_empty() {
            status.end();
            eprintln!("flowkeep: no interface is left to track");
            if let Err(error) = tracker.end() {
                return failure(&error);
            }
            return ExitCode::FAILURE;
        }
        if !arguments.no_sweep {
            tracker.sweep(SWEEP_BUDGET);
        }
        match signals.wait(Instant::now() + TICK) {
            Ok(false) => {}
            Ok(true) => break,
            Err(error) => {
                status.end();
                return no_signals(&error);
            }
        }
    }
    status.end();
    match tracker.end() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}

/// Starts a tracker.
pub(super) fn start(target: &Target, timeouts: &Timeouts, pin: bool) -> Result<Tracker, Error> {
    let options = Options {
        folder: Folder::at(&target.location.folder)?,
        interfaces: target.interface.clone(),
        mode: mode(target),
        pin,
        connections: target.connections,
        rules: target.rules.map(Into::into),
    };
    patiently(&options, || {
        Tracker::start(&options, |settings| timeouts.apply(settings))
    })
}

/// Runs `start`, which takes long for a large table, and prints why if it does.
fn patiently<T>(options: &Options, start: impl FnOnce() -> T) -> T {
    /// Smaller tables are created before a message could be read.
    const LARGE: u64 = 1 << 30;
    const PATIENCE: Duration = Duration::from_secs(1);
    if options.table_bytes() < LARGE {
        return start();
    }
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if is_done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let (connections, bytes) = (options.connections(), options.table_bytes());
                // Standard error may be closed.
                let _ = writeln!(
                    io::stderr(),
                    "flowkeep: creating a table for {} connections: the kernel clears {} of \
                     memory, which takes a while",
                    Count(connections.into()),
                    Bytes(bytes)
                );
            }
        });
        let started = start();
        drop(done);
        started
    })
}

const fn mode(target: &Target) -> Mode {
    if target.forward {
        Mode::Gateway
    } else {
        Mode::Host
    }
}

/// What is tracked, in a sentence.
pub(super) fn describe(tracker: &Tracker, target: &Target) -> String {
    let tracked = format!("tracking {} {}", names(tracker), mode(target));
    match tracker.rules() {
        RuleSet::Default => tracked,
        rules => format!("{tracked}, by the rules of {}", rules.name()),
    }
}

/// The names of the interfaces.
fn names(tracker: &Tracker) -> String {
    let interfaces = tracker.interfaces().iter();
    let names: Vec<&str> = interfaces.map(|found| found.name()).collect();
    names.join(", ")
}
