//! What the kernel supports, found out by trying.

use std::io::ErrorKind;

use aya::maps::{Array, MapError, MapType};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType};
use flowkeep_core::settings::Settings;
use flowkeep_core::table::Seed;

use crate::{Device, Error, Hook, Kernel, Options};

/// Whether the kernel has ring buffers (5.8).
///
/// # Errors
/// [`Error::Load`] without the privilege.
pub fn ring_buffer() -> Result<bool, Error> {
    aya::sys::is_map_supported(MapType::RingBuf).map_err(Error::load)
}

/// Whether the kernel has arrays that programs may map into their memory (5.5).
///
/// # Errors
/// [`Error::Load`] without the privilege.
pub fn mapped_array() -> Result<bool, Error> {
    // BPF_F_MMAPABLE of linux/bpf.h. A kernel without it reports an invalid argument.
    const MAPPABLE: u32 = 1 << 10;
    match Array::<_, u64>::create(1, MAPPABLE) {
        Ok(_) => Ok(true),
        Err(MapError::CreateError { io_error, .. })
            if io_error.kind() == ErrorKind::InvalidInput =>
        {
            Ok(false)
        }
        Err(error) => Err(Error::load(error)),
    }
}

/// Whether the kernel attaches programs by tcx links (6.6).
///
/// # Errors
/// [`Error::Load`] without the privilege.
pub fn tcx() -> Result<bool, Error> {
    match SchedClassifier::query_tcx("lo", TcAttachType::Ingress) {
        Ok(_) => Ok(true),
        // Kernels before 6.6 report an invalid argument.
        Err(ProgramError::SyscallError(error))
            if error.io_error.kind() == ErrorKind::InvalidInput =>
        {
            Ok(false)
        }
        Err(error) => Err(Error::load(error)),
    }
}

/// Loads and verifies every program, over a table of one bucket, and drops it.
///
/// # Errors
/// [`Error::Load`] if the kernel refuses one of them.
pub fn programs() -> Result<(), Error> {
    let options = Options::new(Settings::default(), 1, Seed::from_u64(1));
    let mut kernel = Kernel::load(&options)?;
    for hook in Hook::ALL {
        for device in [Device::Ethernet, Device::Ip] {
            kernel.program(hook, device)?;
        }
    }
    Ok(())
}
