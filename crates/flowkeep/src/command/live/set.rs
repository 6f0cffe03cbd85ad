//! `flowkeep set`.

use std::process::ExitCode;

use super::{failure, open};
use crate::command::{arguments, say};

pub(in crate::command) fn set(arguments: &arguments::Set) -> ExitCode {
    let changed = open(&arguments.location.folder)
        .and_then(|pinned| pinned.change(|settings| arguments.timeouts.apply(settings)));
    let settings = match changed {
        Ok(settings) => settings,
        Err(error) => return failure(&error),
    };
    let mut lines = [
        ("timeout-tcp", settings.tcp),
        ("timeout-syn", settings.syn),
        ("timeout-close", settings.close),
        ("timeout-other", settings.non_tcp),
        ("report-interval", settings.report_interval),
    ]
    .map(|(name, value)| format!("{name:<16} {value} s"))
    .to_vec();
    lines.push(format!("{:<16} {}", "accounting", settings.accounting));
    say(&lines.join("\n"))
}
