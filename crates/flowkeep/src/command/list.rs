//! `flowkeep list`.

use std::process::ExitCode;

use flowkeep::saved::SavedTable;

use super::arguments;
use super::exit_code;
use super::sink::Sink;

pub(super) fn run(arguments: &arguments::List) -> ExitCode {
    let mut sink = match Sink::new("list", &arguments.listing, false, false) {
        Ok(sink) => sink,
        Err(error) => return exit_code(Err(error)),
    };
    let table = match SavedTable::open(&arguments.table) {
        Ok(table) => table,
        Err(error) => {
            eprintln!("flowkeep: {error}");
            return ExitCode::FAILURE;
        }
    };
    let summary = table.for_each(|connection| sink.connection(connection));
    sink.finish(&summary, None)
}
