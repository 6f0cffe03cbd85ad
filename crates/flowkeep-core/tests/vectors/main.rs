//! Holds the tracker to the recorded cases, bit for bit.
//!
//! `cargo test --release -p flowkeep-core --test vectors` replays the sets in `tests/data`;
//! `FLOWKEEP_VECTORS=DIR` replays every `*.jsonl.gz` of that folder instead. Every field of every
//! step is compared, with every table in full after each; a field, operation or option that the
//! harness does not know is a failure. The files' format is described in `docs/vectors.md`.

mod format;
mod map;
#[path = "../common/memory.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test crate that includes this uses a part of it"
)]
mod memory;
mod render;
mod replay;
mod tables;

use std::path::{Path, PathBuf};

use flowkeep_core::cilium::{Cilium18, Cilium119};
use flowkeep_core::table::{HostBounds, KernelBounds, SLOTS};
use format::{Meta, Scenario, Step, Version};
use map::MapTable;
use memory::plain_table;
use tables::Inspected;

fn main() {
    let directory = std::env::var_os("FLOWKEEP_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data"),
        PathBuf::from,
    );
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("a folder that opened can be listed").path())
        .filter(|path| path.to_string_lossy().ends_with(".jsonl.gz"))
        .collect();
    files.sort();
    assert!(
        !files.is_empty(),
        "{}: no *.jsonl.gz there",
        directory.display()
    );

    let (mut scenarios, mut passed, mut shown) = (0, 0, 0);
    for path in &files {
        let mut of_file = (0, 0);
        let (meta, cases) = format::read(path);
        assert_eq!(
            meta.scenarios,
            cases.len(),
            "{}: the meta line counts",
            path.display()
        );
        for case in &cases {
            of_file.0 += 1;
            match run(&meta, case) {
                Ok(()) => of_file.1 += 1,
                Err(difference) => {
                    shown += 1;
                    if shown <= 20 {
                        println!("{} of {}: {difference}", case.name, path.display());
                    }
                }
            }
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        println!("{name}: scenarios {} passed {}", of_file.0, of_file.1);
        scenarios += of_file.0;
        passed += of_file.1;
    }
    println!("scenarios {scenarios} passed {passed}");
    if passed != scenarios {
        std::process::exit(1);
    }
}

/// Replays a scenario over every table. All have to agree with the recording.
fn run(meta: &Meta, case: &Scenario) -> Result<(), String> {
    over("the hash map", meta, case, MapTable::default())?;
    // Full of all that a scenario can store at once, on few sets and on many.
    let entries = 3 * case
        .steps
        .iter()
        .filter(|step| matches!(step, Step::Create(_)))
        .count();
    let crowded = (2 * entries).div_ceil(SLOTS).max(1);
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
        Version::Y2020 => replay::replay::<Cilium18>(meta, case, table),
        Version::Y2026 => replay::replay::<Cilium119>(meta, case, table),
    }
    .map_err(|difference| format!("over {name}: {difference}"))
}
