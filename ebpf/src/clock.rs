//! The time.

use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_coarse_ns};
use flowkeep_abi::TICKS_PER_SECOND;
use flowkeep_core::table::Word as _;
use flowkeep_core::tracker::Instant;

use crate::maps::{CLOCK, CLOCK_IS_SET, JIFFY};
use crate::memory::Maps;
use crate::word::Word;

/// How far the clock is ahead of what the jiffies amount to, in nanoseconds.
static AHEAD: Word = Word::new(0);
/// The second that the clock last showed when somebody looked for it.
static SECOND: Word = Word::new(0);

/// By how many jiffies the clock may be wrong before it is set again: it is read while it is
/// updated.
const TOLERANCE: u64 = 2;

/// The time: the kernel's boot clock as of its last tick, some milliseconds ago.
///
/// Reading the hardware's clock would take as long as half a look-up, a helper's call and a
/// division half as long as that. The verifier makes one load of the jiffies, and they go up with
/// the monotonic clock. That is looked at once a second, in case that a tick was lost.
#[inline(always)]
pub(crate) fn now() -> Instant {
    if CLOCK_IS_SET.load() != 0 {
        return at(CLOCK.get(0).copied().unwrap_or(0));
    }
    let ticks = jiffies().wrapping_add(AHEAD.load());
    let second = SECOND.load();
    if ticks.wrapping_sub(second.wrapping_mul(TICKS_PER_SECOND)) < TICKS_PER_SECOND {
        return Instant {
            seconds: second as u32,
            ticks,
        };
    }
    at(set_clock())
}

#[inline(always)]
fn at(ticks: u64) -> Instant {
    Instant {
        seconds: (ticks / TICKS_PER_SECOND) as u32,
        ticks,
    }
}

/// The nanoseconds that the jiffies amount to.
#[inline(always)]
fn jiffies() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_jiffies64() }.wrapping_mul(JIFFY.load())
}

/// Compares the clock with the kernel's, sets it if it is wrong, and returns what it shows. A global
/// function of BPF: see [`step`](crate::outcome::step).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn set_clock() -> u64 {
    let Some(maps) = Maps::<false>::new() else {
        return 0;
    };
    // SAFETY: a helper without arguments, and a field of a valid reference, which user space
    // changes.
    let boot =
        unsafe { bpf_ktime_get_coarse_ns() + (&raw const maps.config.suspended).read_volatile() };
    let jiffies = jiffies();
    let mut ticks = jiffies.wrapping_add(AHEAD.load());
    let tolerance = TOLERANCE * JIFFY.load();
    if boot.wrapping_sub(ticks).wrapping_add(tolerance) > 2 * tolerance {
        AHEAD.store(boot.wrapping_sub(jiffies));
        ticks = boot;
    }
    SECOND.store(ticks / TICKS_PER_SECOND);
    ticks
}
