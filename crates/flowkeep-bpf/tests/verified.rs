//! How far the kernel's verifier has to walk through each program: less than a fifth of the
//! million instructions at which it gives up, so that other kernels, which walk otherwise, have
//! room too.
//!
//! Needs CAP_BPF and CAP_NET_ADMIN; without them the test says that it was skipped.

use flowkeep_bpf::{Device, Hook, Kernel, Options};
use flowkeep_core::rules::RuleSet;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::Seed;
use flowkeep_lab::can_load;

const LIMIT: u32 = 200_000;

#[test]
fn the_verifier_has_little_to_walk() {
    if !can_load() {
        return;
    }
    let mut most = 0;
    for rules in RuleSet::ALL {
        let mut options = Options::new(Settings::default(), 1, Seed::from_u64(1));
        options.rules = Some(rules);
        let mut kernel = Kernel::load(&options).unwrap_or_else(|error| panic!("{error}"));
        for hook in Hook::ALL {
            for device in [Device::Ethernet, Device::Ip] {
                let program = kernel.program(hook, device);
                let info = program.unwrap_or_else(|error| panic!("{error}")).info();
                let info = info.unwrap_or_else(|error| panic!("{error}"));
                // Kernels before 5.16 do not say.
                let walked = info.verified_instruction_count().unwrap_or(0);
                println!(
                    "{hook:?} {device:?} by the rules of {}: {walked}",
                    rules.name()
                );
                most = most.max(walked);
            }
        }
    }
    assert!(most < LIMIT, "{most} instructions");
}
