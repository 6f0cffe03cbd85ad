//! `flowkeep delete` and `flowkeep flush`.

use std::process::ExitCode;

use clap::error::ErrorKind;
use flowkeep::output::Count;

use super::{failure, open};
use crate::command::sink::wrong;
use crate::command::{arguments, say};

pub(in crate::command) fn delete(arguments: &arguments::Delete) -> ExitCode {
    let filter = arguments.filters.filter();
    if filter.is_empty() {
        wrong(
            "delete",
            ErrorKind::MissingRequiredArgument,
            "no filter is given; 'flowkeep flush' deletes all connections",
        );
    }
    match open(&arguments.location.folder) {
        Ok(pinned) => deleted(pinned.delete(&filter)),
        Err(error) => failure(&error),
    }
}

pub(in crate::command) fn flush(arguments: &arguments::Flush) -> ExitCode {
    match open(&arguments.location.folder) {
        Ok(pinned) => deleted(pinned.flush()),
        Err(error) => failure(&error),
    }
}

fn deleted(count: u64) -> ExitCode {
    let connections = if count == 1 {
        "connection"
    } else {
        "connections"
    };
    say(&format_args!("deleted {} {connections}", Count(count)))
}
