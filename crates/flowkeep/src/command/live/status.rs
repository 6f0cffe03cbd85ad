//! The line that tells how a tracker is doing.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use flowkeep::connection::ConnectionState;
use flowkeep::live::{Carried, Rates, Totals};
use flowkeep::output::Count;
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
        let text = Text {
            now: &now,
            rates: before.map(|(before, _)| Rates::between(before, &now)),
            packets: earlier
                .zip(carried.as_ref())
                .and_then(|(earlier, later)| Carried::rate(earlier, later)),
            names,
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

/// `1,234 connections, 56 new/s, 7,890 packets/s on eth0, table 0.5 % full: 34 unanswered, 1,200
/// answered`. What matters least comes last, where a narrow terminal cuts the line.
struct Text<'a> {
    now: &'a Totals,
    rates: Option<Rates>,
    /// Packets a second, by the interfaces' own count.
    packets: Option<f64>,
    /// The interfaces' names.
    names: &'a str,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = self.now.connections();
        let s = if connections == 1 { "" } else { "s" };
        write!(f, "{} connection{s}", Count(connections))?;
        if let Some(rates) = self.rates {
            write!(f, ", {} new/s", Count(rates.created.round() as u64))?;
        }
        if let Some(packets) = self.packets {
            let (packets, names) = (Count(packets.round() as u64), self.names);
            write!(f, ", {packets} packets/s on {names}")?;
        }
        let full = 100.0 * connections as f64 / self.now.capacity.max(1) as f64;
        write!(f, ", table {full:.1} % full")?;
        for (count, what) in [
            (self.now.evicted(), "evicted"),
            (self.now.refused(), "refused"),
        ] {
            if count != 0 {
                write!(f, ", {} {what}", Count(count))?;
            }
        }
        let states = ConnectionState::ALL.map(|state| (state, self.now.census.count(state)));
        let mut separator = ": ";
        for (state, count) in states.into_iter().filter(|&(_, count)| count != 0) {
            write!(f, "{separator}{} {state}", Count(count))?;
            separator = ", ";
        }
        Ok(())
    }
}
