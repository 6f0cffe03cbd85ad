//! `flowkeep attach` and `flowkeep detach`.

use std::process::ExitCode;

use flowkeep::live::{Folder, detach as unpin};

use super::run::{describe, start};
use super::signals::Signals;
use super::{failure, no_signals};
use crate::command::{arguments, say};

pub(in crate::command) fn attach(arguments: &arguments::Attach) -> ExitCode {
    // A signal is not handled before all programs are attached: with half of them, half of the
    // packets would be tracked.
    let _held = match Signals::new() {
        Ok(held) => held,
        Err(error) => return no_signals(&error),
    };
    match start(&arguments.target, &arguments.timeouts, true) {
        Ok(tracker) => say(&describe(&tracker, &arguments.target)),
        Err(error) => failure(&error),
    }
}

pub(in crate::command) fn detach(arguments: &arguments::Detach) -> ExitCode {
    // As above.
    let _held = match Signals::new() {
        Ok(held) => held,
        Err(error) => return no_signals(&error),
    };
    let names = (!arguments.all).then_some(arguments.interface.as_slice());
    let detached = Folder::at(&arguments.location.folder).and_then(|folder| unpin(&folder, names));
    match detached {
        Ok(names) if names.is_empty() => say(&"removed the table; no interface was tracked"),
        Ok(names) => say(&format_args!("no longer tracking {}", names.join(", "))),
        Err(error) => failure(&error),
    }
}
