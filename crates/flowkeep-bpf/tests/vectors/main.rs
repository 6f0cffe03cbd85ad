//! Holds the core in the kernel to the recorded cases, bit for bit.
//!
//! `cargo test -p flowkeep-bpf --test vectors` plays every scenario by test runs of programs, under
//! Cilium's rules of the file's version, in a crowded and in a roomy table, and compares as the
//! core's own test of this name does: every field after every step.
//! `FLOWKEEP_VECTORS=DIR` plays the files of that folder instead.
//!
//! Needs CAP_BPF and CAP_NET_ADMIN; without them it says that it was skipped.

#[path = "../../../../ebpf/vectors/src/call.rs"]
mod call;
#[path = "../../../flowkeep-core/tests/vectors/harness/mod.rs"]
mod harness;
mod kernel;
mod otherwise;
mod packet;

use std::collections::HashMap;
use std::path::Path;

use flowkeep_core::table::SLOTS;
use flowkeep_lab::can_load;
use harness::{Meta, Scenario, Version, play, replay};
use kernel::Programs;
use otherwise::Otherwise;

fn main() {
    if !can_load() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flowkeep-core/tests/data");
    let (mut loaded, mut otherwise) = (Loaded::default(), Otherwise::default());
    let all_passed = play(&folder, |meta, case| {
        otherwise.begin();
        // Full of all that a scenario can store at once, on few sets and on many.
        let crowded = (2 * case.most_entries()).div_ceil(SLOTS).max(1);
        loaded.replay(meta, case, crowded, &mut otherwise)?;
        loaded.replay(meta, case, 4 * crowded, &mut otherwise)
    });
    print!("{otherwise}");
    if !all_passed {
        std::process::exit(1);
    }
}

/// The programs that were loaded, by whose rules they have and how many buckets.
#[derive(Default)]
struct Loaded(HashMap<(Version, u32), Programs>);

impl Loaded {
    /// Plays a scenario in a table of that many buckets, or a few more.
    fn replay(
        &mut self,
        meta: &Meta,
        case: &Scenario,
        buckets: usize,
        otherwise: &mut Otherwise,
    ) -> Result<(), String> {
        // To load takes longer than most scenarios.
        let buckets = buckets.next_power_of_two() as u32;
        let version = meta.version;
        let programs = self
            .0
            .entry((version, buckets))
            .or_insert_with(|| Programs::load(version, buckets));
        replay(meta, case, &mut programs.driver(otherwise))
            .map_err(|difference| format!("in {buckets} buckets: {difference}"))
    }
}
