//! `flowkeep attach` and `flowkeep detach`.

use std::process::ExitCode;

use flowkeep::live::{Folder, detach as unpin};

use super::run::{describe, start};
use super::signals::Signals;
use super::{failure, no_signals};
use crate::command::{arguments, say};

pub(in crate::command) fn attach(arguments: &arguments::Attach) -> ExitCode {
    // Whoever interrupts it has to wait: half of the programs would see half of the packets.
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
    let detached = Folder::at(&arguments.place.folder).and_then(|folder| unpin(&folder, names));
    match detached {
        Ok(names) if names.is_empty() => say(&"no interface was tracked; the table is gone"),
        Ok(names) => say(&format_args!("no longer tracking {}", names.join(", "))),
        Err(error) => failure(&error),
    }
}
