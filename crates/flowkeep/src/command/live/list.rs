//! `flowkeep list` of a live tracker.

use std::process::ExitCode;

use super::{failure, open};
use crate::command::arguments;
use crate::command::sink::Sink;

pub(in crate::command) fn list(arguments: &arguments::List, mut sink: Sink) -> ExitCode {
    let pinned = match open(&arguments.location.folder) {
        Ok(pinned) => pinned,
        Err(error) => return failure(&error),
    };
    let (filter, summarize) = (sink.filter.clone(), sink.summarizes());
    let summary = pinned.for_each(&filter, arguments.expired, summarize, |connection| {
        sink.connection(connection);
    });
    sink.finish(&summary, None)
}
