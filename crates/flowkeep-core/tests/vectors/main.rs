//! Holds the tracker to the recorded cases, bit for bit.
//!
//! `cargo test --release -p flowkeep-core --test vectors` replays the sets in `tests/data`;
//! `FLOWKEEP_VECTORS=DIR` replays every `*.jsonl.gz` of that folder instead. Every field of every
//! step is compared, with every table in full after each; a field, operation or option that the
//! harness does not know is a failure. The files' format is described in `docs/vectors.md`.

mod harness;
mod host;
mod map;
#[path = "../common/memory.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test crate that includes this uses a part of it"
)]
mod memory;
mod tables;

use std::path::Path;

use flowkeep_core::cilium::{Cilium18, Cilium119};
use flowkeep_core::table::{HostBounds, KernelBounds, SLOTS};
use harness::{Meta, Scenario, Version, play, replay};
use host::Host;
use map::MapTable;
use memory::plain_table;
use tables::Inspected;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    if !play(&folder, run) {
        std::process::exit(1);
    }
}

/// Replays a scenario over every table. All have to agree with the recording.
fn run(meta: &Meta, case: &Scenario) -> Result<(), String> {
    over("the hash map", meta, case, MapTable::default())?;
    // Full of all that a scenario can store at once, on few sets and on many.
    let crowded = (2 * case.most_entries()).div_ceil(SLOTS).max(1);
    over(
        "our table, crowded",
        meta,
        case,
        plain_table::<HostBounds>(crowded, case.start),
    )?;
    over(
        "our table",
        meta,
        case,
        plain_table::<HostBounds>(4 * crowded + 1, case.start),
    )?;
    over(
        "our table with the kernel's bounds",
        meta,
        case,
        plain_table::<KernelBounds>(crowded, case.start),
    )
}

fn over(name: &str, meta: &Meta, case: &Scenario, table: impl Inspected) -> Result<(), String> {
    match meta.version {
        Version::Y2020 => replay(meta, case, &mut Host::<Cilium18, _>::new(table)),
        Version::Y2026 => replay(meta, case, &mut Host::<Cilium119, _>::new(table)),
    }
    .map_err(|difference| format!("over {name}: {difference}"))
}
