//! Holds the core in the kernel to the recorded cases, bit for bit.
//!
//! `cargo test -p flowkeep-bpf --test vectors` plays every scenario by test runs of programs, under
//! Cilium's rules of the file's version, in a crowded and in a roomy table, and compares as the
//! core's own test of this name does: every field after every step. Under Flowkeep's own rules, by
//! which nothing is recorded, it plays every scenario beside the core in user space, and compares the
//! two.
//! `FLOWKEEP_VECTORS=DIR` plays the files of that folder instead.
//!
//! Needs CAP_BPF and CAP_NET_ADMIN; without them it says that it was skipped.

mod both;
#[path = "../../../../ebpf/vectors/src/call.rs"]
mod call;
#[path = "../../../flowkeep-core/tests/vectors/harness/mod.rs"]
mod harness;
#[path = "../../../flowkeep-core/tests/vectors/host.rs"]
mod host;
mod kernel;
#[path = "../../../flowkeep-core/tests/vectors/map.rs"]
#[allow(dead_code, reason = "`tables` needs its type")]
mod map;
#[path = "../../../flowkeep-core/tests/common/memory.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "each test crate that includes this uses a part of it"
)]
mod memory;
mod otherwise;
mod packet;
#[path = "../../../flowkeep-core/tests/vectors/tables.rs"]
mod tables;

use std::collections::HashMap;
use std::path::Path;

use both::Both;
use flowkeep_core::rules::RuleSet;
use flowkeep_core::table::SLOTS;
use flowkeep_lab::can_load;
use harness::{Meta, Scenario, Version, follow, play, replay};
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
        loaded.replay(meta, case, 4 * crowded, &mut otherwise)?;
        loaded.compare(meta, case, crowded)
    });
    print!("{otherwise}");
    if !all_passed {
        std::process::exit(1);
    }
}

/// The programs that were loaded, by whose rules they have and how many buckets.
#[derive(Default)]
struct Loaded(HashMap<(RuleSet, u32), Programs>);

impl Loaded {
    /// Plays a scenario in a table of that many buckets, or a few more.
    fn replay(
        &mut self,
        meta: &Meta,
        case: &Scenario,
        buckets: usize,
        otherwise: &mut Otherwise,
    ) -> Result<(), String> {
        let rules = match meta.version {
            Version::Y2020 => RuleSet::Cilium18,
            Version::Y2026 => RuleSet::Cilium119,
        };
        let (programs, buckets) = self.with(rules, buckets);
        replay(meta, case, &mut programs.driver(otherwise))
            .map_err(|difference| format!("in {buckets} buckets: {difference}"))
    }

    /// Plays a scenario under Flowkeep's own rules, in the kernel and beside it.
    fn compare(&mut self, meta: &Meta, case: &Scenario, buckets: usize) -> Result<(), String> {
        let (programs, buckets) = self.with(RuleSet::Default, buckets);
        let mut otherwise = Otherwise::default();
        let mut both = Both::new(programs.driver(&mut otherwise), buckets);
        follow(meta, case, &mut both)?;
        both.result()
            .map_err(|difference| format!("under Flowkeep's rules: {difference}"))
    }

    /// The programs with these rules, and how many buckets they have: that many, or a few more.
    fn with(&mut self, rules: RuleSet, buckets: usize) -> (&mut Programs, u32) {
        // To load takes longer than most scenarios.
        let buckets = buckets.next_power_of_two() as u32;
        let programs = self
            .0
            .entry((rules, buckets))
            .or_insert_with(|| Programs::load(rules, buckets));
        (programs, buckets)
    }
}
