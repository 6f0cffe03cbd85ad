//! The way of connections and events to the output: through the filter, and the largest ones.

use std::io::{self, BufWriter, StdoutLock};
use std::process::ExitCode;
use std::time::Duration;

use anstream::AutoStream;
use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory};
use flowkeep::connection::{Connection, Event, Summary};
use flowkeep::filter::Filter;
use flowkeep::output::{Content, Csv, Ending, Json, Ndjson, Output, Table};
use flowkeep::top::Top;

use super::arguments::{Arguments, Format, Listing};
use super::exit_code;

/// Writes connections and events, and remembers the first failure.
pub(super) struct Sink {
    pub(super) output: Box<dyn Output>,
    pub(super) content: Content,
    pub(super) filter: Filter,
    pub(super) top: Option<Top>,
    /// Flush after each event, for a reader that waits for it.
    pub(super) live: bool,
    summarize: bool,
    /// The format can hold a summary in addition to its content.
    has_summary: bool,
    pub(super) shown: u64,
    pub(super) written: io::Result<()>,
}

impl Sink {
    /// The sink for the arguments of a command. Exits as clap does if they conflict.
    pub(super) fn new(
        command: &str,
        listing: &Listing,
        events: bool,
        live: bool,
    ) -> io::Result<Self> {
        if listing.summary && listing.output == Format::Csv {
            let message = "CSV cannot hold a summary; use --output json or ndjson";
            wrong(command, ErrorKind::ArgumentConflict, message);
        }
        let content = match (events, listing.summary) {
            (true, _) => Content::Events,
            (_, true) => Content::Summary,
            _ => Content::Connections,
        };
        Ok(Self {
            output: output(
                listing.output,
                content,
                listing.color,
                listing.top.is_none(),
            )?,
            content,
            filter: listing.filters.filter(),
            top: listing.top.map(|n| Top::new(n, listing.by.into())),
            live,
            summarize: !listing.no_summary,
            has_summary: matches!(listing.output, Format::Table | Format::Json),
            shown: 0,
            written: Ok(()),
        })
    }

    /// Writes what is left: the largest connections, if only those are shown, and the summary.
    pub(super) fn finish(mut self, summary: &Summary, elapsed: Option<Duration>) -> ExitCode {
        self.flush_top();
        let ending = Ending {
            summary,
            shown: self.shown,
            elapsed,
        };
        let ending = self.summarize.then_some(&ending);
        exit_code(self.written.and_then(|()| self.output.finish(ending)))
    }

    /// Whether a summary is written.
    pub(super) fn summarizes(&self) -> bool {
        self.content == Content::Summary || self.summarize && self.has_summary
    }

    pub(super) fn event(&mut self, event: &Event) {
        if self.content == Content::Events && self.filter.matches(&event.connection) {
            self.write(|output| output.event(event));
            if self.live && self.written.is_ok() {
                self.written = self.output.flush();
            }
        }
    }

    pub(super) fn connection(&mut self, connection: &Connection) {
        if self.content == Content::Connections && self.filter.matches(connection) {
            match &mut self.top {
                Some(top) => top.offer(connection),
                None => self.write(|output| output.connection(connection)),
            }
        }
    }

    /// Writes the largest connections, if only those are shown. All connections are known.
    fn flush_top(&mut self) {
        for connection in self.top.take().into_iter().flat_map(Top::into_sorted) {
            self.write(|output| output.connection(&connection));
        }
    }

    fn write(&mut self, write: impl FnOnce(&mut dyn Output) -> io::Result<()>) {
        if self.written.is_ok() {
            self.written = write(&mut *self.output);
            self.shown += 1;
        }
    }
}

/// Exits as clap does when arguments are wrong.
pub(super) fn wrong(command: &str, kind: ErrorKind, message: &str) -> ! {
    let mut all = Arguments::command();
    all.build();
    match all.find_subcommand_mut(command) {
        Some(command) => command.error(kind, message).exit(),
        None => all.error(kind, message).exit(),
    }
}

/// The output in a format to standard output. A table is sorted by starts if `sort`.
pub(super) fn output(
    format: Format,
    content: Content,
    color: ColorChoice,
    sort: bool,
) -> io::Result<Box<dyn Output>> {
    let stdout: BufWriter<StdoutLock<'static>> =
        BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    Ok(match format {
        Format::Table => {
            let color = match color {
                ColorChoice::Always => true,
                ColorChoice::Never => false,
                ColorChoice::Auto => {
                    AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
                }
            };
            Box::new(Table::new(stdout, content, color, sort))
        }
        Format::Json => Box::new(Json::new(stdout, content)),
        Format::Ndjson => Box::new(Ndjson::new(stdout, content)),
        Format::Csv => Box::new(Csv::new(stdout, content)?),
    })
}
