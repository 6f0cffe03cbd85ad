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
        Ok(Ok(())) => screen.end(lost.unwrap_or(0)),
        Ok(Err(error)) => {
            screen.written = Err(error);
            screen.end(lost.unwrap_or(0))
        }
        Err(error) => {
            screen.end(lost.unwrap_or(0));
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

    fn end(mut self, lost: u64) -> ExitCode {
        self.flush();
        self.lost(lost);
        if lost != 0 {
            let _ = writeln!(
                io::stderr(),
                "flowkeep: {} events shown, {} lost",
                Count(self.shown),
                Count(lost)
            );
        }
        exit_code(self.written.and_then(|()| self.output.finish(None)))
    }
}
