//! `flowkeep check`.

use std::io::{self, Write};
use std::process::ExitCode;

use flowkeep::live::{Finding, check};

use crate::command::arguments;
use crate::command::exit_code;

pub(in crate::command) fn run(arguments: &arguments::Check) -> ExitCode {
    let findings = check(&arguments.place.folder);
    let written = match arguments.output {
        arguments::Report::Table => table(&findings),
        arguments::Report::Json => json(&findings),
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

fn table(findings: &[Finding]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for finding in findings {
        let verdict = match finding.present {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        };
        writeln!(out, "{:<16} {verdict:<4} {}", finding.name, finding.found)?;
        if finding.present == Some(false) {
            writeln!(out, "{:<16} {:<4} -> {}", "", "", finding.remedy)?;
        }
    }
    out.flush()
}

fn json(findings: &[Finding]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, findings)?;
    writeln!(out)?;
    out.flush()
}
