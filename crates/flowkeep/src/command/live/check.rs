//! `flowkeep check`.

use std::io;
use std::process::ExitCode;

use flowkeep::live::check;
use flowkeep::output::{json, table};

use crate::command::arguments;
use crate::command::exit_code;

pub(in crate::command) fn run(arguments: &arguments::Check) -> ExitCode {
    let findings = check(&arguments.location.folder);
    let written = match arguments.output {
        arguments::CheckFormat::Table => table::findings(&findings, &mut io::stdout().lock()),
        arguments::CheckFormat::Json => json::findings(&findings, &mut io::stdout().lock()),
    };
    match exit_code(written) {
        ExitCode::SUCCESS
            if findings
                .iter()
                .any(|found| found.needed && found.present != Some(true)) =>
        {
            ExitCode::from(3)
        }
        code => code,
    }
}
