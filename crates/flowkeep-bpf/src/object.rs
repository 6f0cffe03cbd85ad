//! The objects with the programs, one for each set of rules, as `cargo xtask bpf` built them.

use aya::include_bytes_aligned;
use flowkeep_core::rules::RuleSet;

static DEFAULT: &[u8] = include_bytes_aligned!("../object/flowkeep.o");
static CILIUM_18: &[u8] = include_bytes_aligned!("../object/flowkeep-cilium18.o");
static CILIUM_119: &[u8] = include_bytes_aligned!("../object/flowkeep-cilium119.o");

/// The programs that track by these rules.
pub(crate) fn with(rules: RuleSet) -> &'static [u8] {
    match rules {
        RuleSet::Default => DEFAULT,
        RuleSet::Cilium18 => CILIUM_18,
        RuleSet::Cilium119 => CILIUM_119,
    }
}
