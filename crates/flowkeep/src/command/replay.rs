//! `flowkeep replay`.

use std::cell::RefCell;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::error::ErrorKind;
use flowkeep::capture::{Error, Reader};
use flowkeep::replay::{Options, Replay};

use super::arguments;
use super::exit_code;
use super::progress::Progress;
use super::sink::{Sink, wrong};

/// Packets between two looks at the progress.
const PACKETS_PER_UPDATE: u64 = 16_384;

pub(super) fn run(arguments: &arguments::Replay) -> ExitCode {
    let live = arguments.events && arguments.files.iter().any(|file| file == Path::new("-"));
    if let Some(capture) = overwritten(arguments) {
        let message = format!("--save would overwrite the capture {}", capture.display());
        wrong("replay", ErrorKind::ArgumentConflict, &message);
    }
    let sink = match Sink::new("replay", &arguments.listing, arguments.events, live) {
        Ok(sink) => RefCell::new(sink),
        Err(error) => return exit_code(Err(error)),
    };
    let options = Options {
        rules: arguments.rules.into(),
        local: arguments.local.clone(),
        connections: arguments.connections,
        events: arguments.events,
    };
    let mut replay = match Replay::new(options) {
        Ok(replay) => replay,
        Err(error) => {
            eprintln!("flowkeep: {error}; ask for fewer with --connections");
            return ExitCode::FAILURE;
        }
    };
    // Events would be written over the bar.
    let bar = !(arguments.events && io::stdout().is_terminal());
    let mut progress = Progress::new(&arguments.files, bar);
    let mut whole = true;
    let start = Instant::now();
    for file in &arguments.files {
        match read(file, arguments.events, &mut replay, &sink, &mut progress) {
            Ok(read) => whole &= read,
            Err(error) => {
                progress.say(&error);
                whole = false;
            }
        }
        if sink.borrow().written.is_err() {
            break;
        }
    }
    progress.clear();
    if let Some(path) = &arguments.save {
        replay.flush(&mut |event| sink.borrow_mut().event(&event));
        if let Err(error) = replay.save(path) {
            eprintln!("flowkeep: the table could not be saved: {error}");
            whole = false;
        }
    }
    let summary = replay.finish(
        &mut |event| sink.borrow_mut().event(&event),
        &mut |connection| sink.borrow_mut().connection(connection),
    );
    match sink.into_inner().finish(&summary, Some(start.elapsed())) {
        ExitCode::SUCCESS if !whole => ExitCode::FAILURE,
        code => code,
    }
}

/// The capture that `--save` would overwrite, by whatever name, if there is one.
fn overwritten(arguments: &arguments::Replay) -> Option<&Path> {
    let table = fs::canonicalize(arguments.save.as_ref()?).ok()?;
    let is_table = |file: &Path| fs::canonicalize(file).is_ok_and(|file| file == table);
    let mut files = arguments.files.iter().map(PathBuf::as_path);
    files.find(|file| is_table(file))
}

/// Replays one capture. Returns false if some of its packets could not be read.
fn read(
    file: &Path,
    events: bool,
    replay: &mut Replay,
    sink: &RefCell<Sink>,
    progress: &mut Progress,
) -> Result<bool, Error> {
    let live = sink.borrow().live;
    // The file must not stay mapped while the reader of the events is slow.
    let mut reader = if events {
        Reader::open(file)?
    } else {
        Reader::open_in_place(file)?
    };
    let watch = reader.progress();
    let mut packets = 0_u64;
    let end = loop {
        match reader.next_frame() {
            Ok(Some(frame)) => replay.packet(
                frame.link,
                frame.time,
                frame.wire_length,
                frame.data,
                &mut |event| sink.borrow_mut().event(&event),
            ),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        if live {
            replay.flush(&mut |event| sink.borrow_mut().event(&event));
        }
        packets += 1;
        if packets.is_multiple_of(PACKETS_PER_UPDATE) {
            progress.update(&watch);
        }
        if sink.borrow().written.is_err() {
            break Ok(());
        }
    };
    progress.next_file(&watch);
    let mut whole = true;
    for notice in reader.notices() {
        progress.say(notice);
        whole &= !notice.oddity.loses_packets();
    }
    end.map(|()| whole)
}
