//! Flowkeep's connections: what `flowkeep replay --output csv` writes.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use flowkeep_generate::truth::Row;

use super::record::{Counts, Record, protocol};

/// Replays a capture with `program`.
///
/// # Errors
/// If the program fails, with what it says, or if what it writes is not what is expected.
pub(super) fn replay(program: &Path, capture: &Path) -> Result<Vec<Record>> {
    let output = Command::new(program)
        .arg("replay")
        .arg(capture)
        .args(["--output", "csv"])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("flowkeep: {}: {}", output.status, said.trim());
    }
    csv::Reader::from_reader(&output.stdout[..])
        .into_deserialize()
        .map(|row| record(&row.context("in flowkeep's output")?))
        .collect()
}

fn record(row: &Row) -> Result<Record> {
    let mut record = Record::new(
        Some(protocol(&row.protocol)?),
        (row.originator, row.originator_port),
        (row.responder, row.responder_port),
    );
    record.sent = Counts::new(row.packets_sent, row.bytes_sent);
    record.received = Counts::new(row.packets_received, row.bytes_received);
    Ok(record)
}
