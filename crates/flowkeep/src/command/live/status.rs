//! The line that tells how a tracker is doing.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use flowkeep::live::{Carried, Rates, Totals};
use flowkeep::output::table::StatusLine;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// On a terminal one line that stays up to date, else a line an interval.
pub(super) struct Status {
    line: Line,
    interval: Duration,
    due: Instant,
    before: Option<(Totals, Option<Carried>)>,
}

enum Line {
    Terminal(ProgressBar),
    Pipe,
    Quiet,
}

impl Status {
    pub(super) fn new(interval: Option<Duration>, quiet: bool) -> Self {
        let (line, usual) = if quiet {
            (Line::Quiet, Duration::MAX)
        } else if io::stdout().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
            let style = ProgressStyle::with_template("{wide_msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
            (
                Line::Terminal(bar.with_style(style)),
                Duration::from_secs(1),
            )
        } else {
            (Line::Pipe, Duration::from_secs(10))
        };
        Self {
            line,
            interval: interval.unwrap_or(usual),
            due: Instant::now(),
            before: None,
        }
    }

    /// Says something that stays, unless nothing is to be said.
    pub(super) fn say(&self, message: &str) {
        match &self.line {
            Line::Terminal(bar) => bar.suspend(|| print(&message)),
            Line::Pipe => print(&message),
            Line::Quiet => {}
        }
    }

    /// Says something on standard error.
    pub(super) fn warn(&self, message: &str) {
        match &self.line {
            Line::Terminal(bar) => bar.suspend(|| eprintln!("flowkeep: {message}")),
            Line::Pipe | Line::Quiet => eprintln!("flowkeep: {message}"),
        }
    }

    /// Whether it is time for another look at the table.
    pub(super) fn is_due(&self) -> bool {
        !matches!(self.line, Line::Quiet) && Instant::now() >= self.due
    }

    /// Shows how things are now, after a look that took so long, with what the interfaces of these
    /// names have carried.
    pub(super) fn update(
        &mut self,
        now: Totals,
        carried: Option<Carried>,
        names: &str,
        took: Duration,
    ) {
        // Large tables are looked at less often: it shall not take more than a fiftieth of a
        // processor.
        self.due = Instant::now() + self.interval.max(took * 50);
        let before = self.before.as_ref();
        let earlier = before.and_then(|(_, carried)| carried.as_ref());
        let text = StatusLine {
            totals: &now,
            rates: before.map(|(before, _)| Rates::between(before, &now)),
            packets: earlier
                .zip(carried.as_ref())
                .and_then(|(earlier, later)| Carried::rate(earlier, later)),
            interfaces: names,
        };
        match &self.line {
            Line::Terminal(bar) => bar.set_message(text.to_string()),
            Line::Pipe => print(&text),
            Line::Quiet => {}
        }
        self.before = Some((now, carried));
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        if let Line::Terminal(bar) = &self.line {
            bar.abandon();
        }
    }
}

/// Whoever read our lines may have gone: tracking goes on.
fn print(line: &dyn fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}
