//! `flowkeep stats`.

use std::io;
use std::process::ExitCode;
use std::time::Instant;

use anstream::AutoStream;
use flowkeep::live::{Error, Pinned, Rates, Statistics, Totals};
use flowkeep::output::{json, prometheus, table};

use super::signals::Signals;
use super::{failure, no_signals, open};
use crate::command::arguments::{self, StatsFormat};
use crate::command::{exit_code, say};

pub(in crate::command) fn stats(arguments: &arguments::Stats) -> ExitCode {
    let pinned = match open(&arguments.location.folder) {
        Ok(pinned) => pinned,
        Err(error) => return failure(&error),
    };
    let mut before = None;
    let shown = show(&pinned, arguments.output, &mut before);
    let Some(interval) = arguments.interval else {
        return shown.unwrap_or_else(|error| failure(&error));
    };
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return no_signals(&error),
    };
    let mut next = Instant::now();
    loop {
        next += interval;
        match signals.wait(next) {
            Ok(false) => {}
            Ok(true) => return ExitCode::SUCCESS,
            Err(error) => return no_signals(&error),
        }
        if arguments.output == StatsFormat::Table && say(&"") != ExitCode::SUCCESS {
            return ExitCode::FAILURE;
        }
        let shown = pinned
            .check_alive()
            .and_then(|()| show(&pinned, arguments.output, &mut before));
        match shown {
            Ok(ExitCode::SUCCESS) => {}
            Ok(code) => return code,
            Err(error) => return failure(&error),
        }
    }
}

/// Writes statistics as of now.
fn show(
    pinned: &Pinned,
    format: StatsFormat,
    before: &mut Option<Totals>,
) -> Result<ExitCode, Error> {
    let totals = pinned.totals()?;
    let interfaces = pinned.interfaces();
    let statistics = Statistics {
        interfaces: &interfaces,
        totals: &totals,
        rates: before
            .as_ref()
            .map(|before| Rates::between(before, &totals)),
    };
    let mut out = io::stdout().lock();
    let color = AutoStream::choice(&out) != anstream::ColorChoice::Never;
    let written = match format {
        StatsFormat::Table => table::statistics(&statistics, &mut out, color),
        StatsFormat::Json => json::statistics(&statistics, &mut out),
        StatsFormat::Prometheus => prometheus::statistics(&statistics, &mut out),
    };
    *before = Some(totals);
    Ok(exit_code(written))
}
