//! `flowkeep list`.

use std::path::Path;
use std::process::ExitCode;

use flowkeep::saved::SavedTable;

use super::arguments;
use super::exit_code;
use super::sink::Sink;

pub(super) fn run(arguments: &arguments::List) -> ExitCode {
    let sink = match Sink::new("list", &arguments.listing, false, false) {
        Ok(sink) => sink,
        Err(error) => return exit_code(Err(error)),
    };
    match &arguments.table {
        Some(path) => saved(path, sink),
        #[cfg(target_os = "linux")]
        None => super::live::list(arguments, sink),
        #[cfg(not(target_os = "linux"))]
        None => unreachable!("the argument is required where there is no other table"),
    }
}

fn saved(path: &Path, mut sink: Sink) -> ExitCode {
    let table = match SavedTable::open(path) {
        Ok(table) => table,
        Err(error) => {
            eprintln!("flowkeep: {error}");
            return ExitCode::FAILURE;
        }
    };
    let filter = sink.filter.clone();
    let summary = table.for_each(&filter, |connection| sink.connection(connection));
    sink.finish(&summary, None)
}
