//! `flowkeep replay`.

use std::cell::RefCell;
use std::io::{self, BufWriter, IsTerminal, StdoutLock};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anstream::AutoStream;
use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory};
use flowkeep::capture::{Error, Reader};
use flowkeep::output::{Content, Csv, Json, Ndjson, Output, Report, Table};
use flowkeep::replay::{Options, Replay};
use flowkeep::top::Top;

use super::arguments::{self, Arguments, Format};
use super::exit_code;
use super::progress::Progress;
use super::sink::Sink;

/// Packets between two looks at the progress.
const PACKETS_PER_UPDATE: u64 = 16_384;

pub(super) fn run(arguments: &arguments::Replay) -> ExitCode {
    if arguments.summary && arguments.output == Format::Csv {
        conflict("csv has no place for a summary: take --output json or ndjson");
    }
    let content = match (arguments.events, arguments.summary) {
        (true, _) => Content::Events,
        (_, true) => Content::Summary,
        _ => Content::Connections,
    };
    let output = match output(arguments, content) {
        Ok(output) => output,
        Err(error) => return exit_code(Err(error)),
    };
    let sink = RefCell::new(Sink {
        output,
        content,
        filter: arguments.filters.filter(),
        top: arguments.top.map(|n| Top::new(n, arguments.by.into())),
        live: arguments.files.iter().any(|file| file == Path::new("-")),
        shown: 0,
        written: Ok(()),
    });

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
    // Events on a terminal would tear the bar.
    let bar = !(arguments.events && io::stdout().is_terminal());
    let mut progress = Progress::new(&arguments.files, bar);
    let mut whole = true;
    let start = Instant::now();
    for file in &arguments.files {
        match read(file, &mut replay, &sink, &mut progress) {
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
    let elapsed = start.elapsed();
    progress.clear();

    let summary = replay.finish(
        &mut |event| sink.borrow_mut().event(&event),
        &mut |connection| sink.borrow_mut().connection(connection),
    );
    let mut sink = sink.into_inner();
    sink.flush_top();
    let report = Report {
        summary: &summary,
        shown: sink.shown,
        elapsed,
    };
    let report = (!arguments.no_summary).then_some(&report);
    let written = sink.written.and_then(|()| sink.output.finish(report));
    match exit_code(written) {
        ExitCode::SUCCESS if !whole => ExitCode::FAILURE,
        code => code,
    }
}

/// Ends the program as clap does when arguments conflict.
fn conflict(message: &str) -> ! {
    let mut command = Arguments::command();
    command.build();
    match command.find_subcommand_mut("replay") {
        Some(replay) => replay.error(ErrorKind::ArgumentConflict, message).exit(),
        None => command.error(ErrorKind::ArgumentConflict, message).exit(),
    }
}

/// Replays one capture. False if some of its packets could not be read.
fn read(
    file: &Path,
    replay: &mut Replay,
    sink: &RefCell<Sink>,
    progress: &mut Progress,
) -> Result<bool, Error> {
    let mut reader = Reader::open(file)?;
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

fn output(arguments: &arguments::Replay, content: Content) -> io::Result<Box<dyn Output>> {
    let stdout: BufWriter<StdoutLock<'static>> =
        BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    Ok(match arguments.output {
        Format::Table => {
            let color = match arguments.color {
                ColorChoice::Always => true,
                ColorChoice::Never => false,
                ColorChoice::Auto => {
                    AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
                }
            };
            Box::new(Table::new(stdout, content, color, arguments.top.is_none()))
        }
        Format::Json => Box::new(Json::new(stdout, content)?),
        Format::Ndjson => Box::new(Ndjson::new(stdout, content)),
        Format::Csv => Box::new(Csv::new(stdout, content)?),
    })
}
