//! `flowkeep list` of a live tracker.

use std::process::ExitCode;

use super::{failure, open};
use crate::command::arguments;
use crate::command::sink::Sink;

pub(in crate::command) fn list(arguments: &arguments::List, mut sink: Sink) -> ExitCode {
    let pinned = match open(&arguments.place.folder) {
        Ok(pinned) => pinned,
        Err(error) => return failure(&error),
    };
    let (filter, summarise) = (sink.filter.clone(), sink.summarises());
    let summary = pinned.for_each(&filter, arguments.expired, summarise, |connection| {
        sink.connection(connection);
    });
    sink.finish(&summary, None)
}
