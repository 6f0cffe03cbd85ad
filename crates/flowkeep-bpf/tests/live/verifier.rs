//! What the kernel's verifier makes of the programs.

use anyhow::Result;
use flowkeep_bpf::{Device, Hook, Kernel, Options};
use flowkeep_core::settings::Settings;
use flowkeep_core::table::Seed;
use flowkeep_lab::available;

/// It gives up after a million instructions, each counted as often as it is walked. Kernels differ
/// in how much they must walk.
#[test]
fn every_program_is_verified() -> Result<()> {
    if !available(&[]) {
        return Ok(());
    }
    let options = Options::new(Settings::default(), 64, Seed::from_u64(7));
    let mut kernel = Kernel::load(&options)?;
    for hook in Hook::ALL {
        for device in [Device::Ethernet, Device::Ip] {
            let info = kernel.program(hook, device)?.info()?;
            let (size, walked) = (info.size_translated(), info.verified_instruction_count());
            println!("{hook:?} {device:?}: {size:?} bytes, {walked:?} instructions walked");
        }
    }
    Ok(())
}
