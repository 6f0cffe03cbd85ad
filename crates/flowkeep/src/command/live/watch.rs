//! `flowkeep watch`.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Instant;

use flowkeep::connection::Event;
use flowkeep::filter::Filter;
use flowkeep::live::{Error, Folder, Packet, PacketFile, Watcher};
use flowkeep::output::{Content, Count, Output};

use super::run::{SWEEP_FOR, TICK};
use super::signals::Signals;
use super::{failure, no_signals};
use crate::command::sink::output;
use crate::command::{arguments, exit_code};

pub(in crate::command) fn watch(arguments: &arguments::Watch) -> ExitCode {
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return no_signals(&error),
    };
    let folder = Folder::at(&arguments.place.folder);
    let mut watcher = match folder.and_then(|folder| Watcher::start(&folder)) {
        Ok(watcher) => watcher,
        Err(error) => return failure(&error),
    };
    let mut screen = match Screen::new(arguments) {
        Ok(screen) => screen,
        Err(code) => return code,
    };
    let end = follow(&mut watcher, &mut screen, &signals);
    // Before the last words: what comes from now on is nobody's loss.
    let lost = watcher.lost();
    drop(watcher);
    match end {
        Ok(Ok(())) => screen.end(&lost),
        Ok(Err(error)) => {
            screen.written = Err(error);
            screen.end(&lost)
        }
        Err(error) => {
            screen.end(&lost);
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
            watcher.sweep(SWEEP_FOR, |event| screen.event(event, None));
            screen.lost(watcher.lost()?);
            watcher.lives()?;
            tick = Instant::now() + TICK;
        }
        screen.flush();
    }
    Ok(Ok(()))
}

/// Where events go.
struct Screen {
    output: Box<dyn Output>,
    file: Option<PacketFile>,
    filter: Filter,
    kinds: Vec<flowkeep::connection::EventKind>,
    /// Events that are still to be shown.
    left: u64,
    shown: u64,
    /// Events that were lost as far as was told.
    lost: u64,
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
            lost: 0,
            written: Ok(()),
        })
    }

    /// Whether all was shown that is to be, or can be.
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

    /// Tells of events that were lost since it was last told.
    fn lost(&mut self, lost: u64) {
        let new = lost.saturating_sub(self.lost);
        if new != 0 {
            self.flush();
            // Nobody may be there to read it.
            let _ = writeln!(
                io::stderr(),
                "flowkeep: {} events lost: they come faster than they are read",
                Count(new)
            );
        }
        self.lost = lost;
    }

    fn end(mut self, lost: &Result<u64, Error>) -> ExitCode {
        self.flush();
        if let Ok(lost) = lost {
            self.lost(*lost);
        }
        if let Some(words) = last_words(self.shown, lost) {
            let _ = writeln!(io::stderr(), "flowkeep: {words}");
        }
        match exit_code(self.written.and_then(|()| self.output.finish(None))) {
            // What was shown may not be all.
            ExitCode::SUCCESS if lost.is_err() => ExitCode::FAILURE,
            code => code,
        }
    }
}

/// What there is to say at the end: nothing if all events were shown.
fn last_words(shown: u64, lost: &Result<u64, Error>) -> Option<String> {
    let shown = Count(shown);
    match lost {
        Ok(0) => None,
        Ok(lost) => Some(format!("{shown} events shown, {} lost", Count(*lost))),
        Err(error) => Some(format!(
            "{shown} events shown; whether any were lost is not known: {error}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_said_to_be_none() {
        assert_eq!(last_words(1_234, &Ok(0)), None);
        let some = last_words(1_234, &Ok(5_678));
        assert_eq!(some.as_deref(), Some("1,234 events shown, 5,678 lost"));
        let folder = "/sys/fs/bpf/flowkeep".into();
        let unknown = last_words(3, &Err(Error::Ended { folder }));
        let expected = "3 events shown; whether any were lost is not known: \
                        the tracker in /sys/fs/bpf/flowkeep has ended";
        assert_eq!(unknown.as_deref(), Some(expected));
    }
}
