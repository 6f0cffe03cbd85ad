//! `flowkeep watch`.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use flowkeep::connection::Event;
use flowkeep::filter::Filter;
use flowkeep::live::{Error, Folder, Packet, PacketFile, Watcher};
use flowkeep::output::{Content, Count, Output};

use super::run::{SWEEP_BUDGET, TICK};
use super::signals::Signals;
use super::{failure, no_signals};
use crate::command::sink::output;
use crate::command::{arguments, exit_code};

pub(in crate::command) fn watch(arguments: &arguments::Watch) -> ExitCode {
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return no_signals(&error),
    };
    let folder = Folder::at(&arguments.location.folder);
    let mut watcher = match folder.and_then(|folder| Watcher::start(&folder)) {
        Ok(watcher) => watcher,
        Err(error) => return failure(&error),
    };
    let mut screen = match Screen::new(arguments) {
        Ok(screen) => screen,
        Err(code) => return code,
    };
    let end = follow(&mut watcher, &mut screen, &signals);
    // Events that are sent from now on are not missed.
    let missed = Missed {
        dropped: watcher.lost(),
        lapsed: watcher.lapsed(),
    };
    drop(watcher);
    match end {
        Ok(Ok(())) => screen.end(&missed),
        Ok(Err(error)) => {
            screen.written = Err(error);
            screen.end(&missed)
        }
        Err(error) => {
            screen.end(&missed);
            failure(&error)
        }
    }
}

/// Shows events until there is a reason to end.
fn follow(
    watcher: &mut Watcher,
    screen: &mut Screen,
    signals: &Signals,
) -> Result<io::Result<()>, Error> {
    let mut tick = Instant::now();
    while !screen.is_done() {
        match signals.wait_for(&[watcher.as_fd()], tick) {
            Ok(false) => {}
            Ok(true) => break,
            Err(error) => return Ok(Err(error)),
        }
        watcher.read(|event, packet| screen.event(event, packet));
        if Instant::now() >= tick {
            watcher.sweep(SWEEP_BUDGET, |event| screen.event(event, None));
            screen.dropped(watcher.lost()?);
            watcher.check_alive()?;
            tick = Instant::now() + TICK;
        }
        screen.flush();
    }
    Ok(Ok(()))
}

/// Events that were not shown although they happened.
struct Missed {
    /// How many the kernel has dropped.
    dropped: Result<u64, Error>,
    /// For how long it has sent none.
    lapsed: Duration,
}

/// Where events are written.
struct Screen {
    output: Box<dyn Output>,
    file: Option<PacketFile>,
    filter: Filter,
    kinds: Vec<flowkeep::connection::EventKind>,
    /// Events until the end.
    left: u64,
    shown: u64,
    /// Dropped events that were reported.
    dropped: u64,
    written: io::Result<()>,
}

impl Screen {
    fn new(arguments: &arguments::Watch) -> Result<Self, ExitCode> {
        let file = arguments.write.as_ref().map(|path| {
            PacketFile::create(path).map_err(|error| {
                eprintln!("flowkeep: {}: cannot write: {error}", path.display());
                ExitCode::FAILURE
            })
        });
        let output = output(arguments.output, Content::Events, arguments.color, false);
        Ok(Self {
            output: output.map_err(|error| exit_code(Err(error)))?,
            file: file.transpose()?,
            filter: arguments.filters.filter(),
            kinds: arguments.event.clone(),
            left: arguments.count.unwrap_or(u64::MAX),
            shown: 0,
            dropped: 0,
            written: Ok(()),
        })
    }

    /// Whether no further event is to be shown, or can be.
    const fn is_done(&self) -> bool {
        self.left == 0 || self.written.is_err()
    }

    fn event(&mut self, event: &Event, packet: Option<&Packet>) {
        let wanted = (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.filter.matches(&event.connection);
        if !wanted || self.is_done() {
            return;
        }
        self.written = self.output.event(event);
        if let (Some(file), Some(packet)) = (&mut self.file, packet)
            && self.written.is_ok()
        {
            self.written = file.packet(event, packet);
        }
        self.left -= 1;
        self.shown += 1;
    }

    fn flush(&mut self) {
        if self.written.is_ok() {
            self.written = self.output.flush();
        }
        if let Some(file) = &mut self.file
            && self.written.is_ok()
        {
            self.written = file.flush();
        }
    }

    /// Reports the events that were dropped since the last report.
    fn dropped(&mut self, dropped: u64) {
        let new = dropped.saturating_sub(self.dropped);
        if new != 0 {
            self.flush();
            // Standard error may be closed.
            let _ = writeln!(
                io::stderr(),
                "flowkeep: {} events dropped: they arrive faster than they are read",
                Count(new)
            );
        }
        self.dropped = dropped;
    }

    fn end(mut self, missed: &Missed) -> ExitCode {
        self.flush();
        if let Ok(dropped) = missed.dropped {
            self.dropped(dropped);
        }
        if let Some(message) = conclusion(self.shown, missed) {
            let _ = writeln!(io::stderr(), "flowkeep: {message}");
        }
        match exit_code(self.written.and_then(|()| self.output.finish(None))) {
            // Events may be missing.
            ExitCode::SUCCESS if missed.dropped.is_err() => ExitCode::FAILURE,
            code => code,
        }
    }
}

/// What is printed at the end; nothing if all events were shown.
fn conclusion(shown: u64, missed: &Missed) -> Option<String> {
    let shown = Count(shown);
    let lapsed = missed.lapsed.as_secs();
    let lapsed = (!missed.lapsed.is_zero()).then(|| {
        format!(
            "none were sent for {lapsed} s, while flowkeep was stopped or the machine was suspended"
        )
    });
    match (&missed.dropped, lapsed) {
        (Ok(0), None) => None,
        (Ok(0), Some(lapsed)) => Some(format!("{shown} events shown; {lapsed}")),
        (Ok(dropped), None) => Some(format!("{shown} events shown, {} dropped", Count(*dropped))),
        (Ok(dropped), Some(lapsed)) => Some(format!(
            "{shown} events shown, {} dropped; {lapsed}",
            Count(*dropped)
        )),
        (Err(error), _) => Some(format!(
            "{shown} events shown; how many were dropped is unknown: {error}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_not_taken_for_none() {
        let said = |shown, dropped, seconds| {
            let lapsed = Duration::from_secs(seconds);
            conclusion(shown, &Missed { dropped, lapsed })
        };
        assert_eq!(said(1_234, Ok(0), 0), None);
        let some = said(1_234, Ok(5_678), 0);
        assert_eq!(some.as_deref(), Some("1,234 events shown, 5,678 dropped"));
        let stopped = said(3, Ok(1), 35).unwrap_or_default();
        assert!(stopped.starts_with("3 events shown, 1 dropped; none were sent for 35 s, "));
        let folder = "/sys/fs/bpf/flowkeep".into();
        let unknown = said(3, Err(Error::Ended { folder }), 0);
        let expected = "3 events shown; how many were dropped is unknown: \
                        the tracker in /sys/fs/bpf/flowkeep has ended";
        assert_eq!(unknown.as_deref(), Some(expected));
    }
}
