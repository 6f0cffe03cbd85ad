//! The time.

use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use flowkeep_abi::{Config, TICKS_PER_SECOND};
use flowkeep_core::tracker::Instant;

use crate::maps::{CLOCK, CLOCK_IS_SET};

/// The time: the kernel's boot clock as of its last tick, some milliseconds ago. It is made of the
/// monotonic one and of what user space says of suspends: reading the hardware's clock would cost
/// as much as half a look-up.
#[inline(always)]
pub(crate) fn now(config: &Config) -> Instant {
    let ticks = if CLOCK_IS_SET.load() == 0 {
        // SAFETY: a helper without arguments, and a field of a valid reference, which user space
        // changes.
        unsafe { bpf_ktime_get_coarse_ns() + (&raw const config.suspended).read_volatile() }
    } else {
        CLOCK.get(0).copied().unwrap_or(0)
    };
    Instant {
        seconds: (ticks / TICKS_PER_SECOND) as u32,
        ticks,
    }
}
