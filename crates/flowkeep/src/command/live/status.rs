//! The status line of a running tracker.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use flowkeep::live::{InterfaceCounters, Rates, Totals};
use flowkeep::output::table::StatusLine;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// One line that is updated on a terminal, or one line every interval.
pub(super) struct Status {
    line: Line,
    interval: Duration,
    due: Instant,
    before: Option<(Totals, Option<InterfaceCounters>)>,
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

    /// Prints a message that stays, unless only errors are printed.
    pub(super) fn say(&self, message: &str) {
        match &self.line {
            Line::Terminal(bar) => bar.suspend(|| print(&message)),
            Line::Pipe => print(&message),
            Line::Quiet => {}
        }
    }

    /// Prints a message to standard error.
    pub(super) fn warn(&self, message: &str) {
        match &self.line {
            Line::Terminal(bar) => bar.suspend(|| eprintln!("flowkeep: {message}")),
            Line::Pipe | Line::Quiet => eprintln!("flowkeep: {message}"),
        }
    }

    /// Whether it is time for an update.
    pub(super) fn is_due(&self) -> bool {
        !matches!(self.line, Line::Quiet) && Instant::now() >= self.due
    }

    /// Updates the line with what was read of the table, which took `took`, and with the counters of
    /// the interfaces that have these names.
    pub(super) fn update(
        &mut self,
        now: Totals,
        counters: Option<InterfaceCounters>,
        names: &str,
        took: Duration,
    ) {
        // Reading a table takes a fiftieth of a processor at most, so large ones are read less often.
        self.due = Instant::now() + self.interval.max(took * 50);
        let before = self.before.as_ref();
        let earlier = before.and_then(|(_, counters)| counters.as_ref());
        let text = StatusLine {
            totals: &now,
            rates: before.map(|(before, _)| Rates::between(before, &now)),
            packets: earlier
                .zip(counters.as_ref())
                .and_then(|(earlier, later)| InterfaceCounters::rate(earlier, later)),
            interfaces: names,
        };
        match &self.line {
            Line::Terminal(bar) => bar.set_message(text.to_string()),
            Line::Pipe => print(&text),
            Line::Quiet => {}
        }
        self.before = Some((now, counters));
    }

    /// Ends the line.
    pub(super) fn end(&self) {
        if let Line::Terminal(bar) = &self.line {
            bar.abandon();
        }
    }
}

/// Tracking goes on if nobody reads the lines any more.
fn print(line: &dyn fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}
