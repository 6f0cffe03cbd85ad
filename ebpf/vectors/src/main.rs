//! Every operation of the core as a program for the Linux kernel, under the rules that the object
//! is built for: what the recorded scenarios are played with by test runs. It is for tests alone,
//! and has to load on the machine that they run on.
//!
//! Table, clock and fragments are the very modules of the programs that are shipped.
#![no_std]
#![no_main]
#![allow(internal_features, reason = "`word` needs the intrinsics")]
#![feature(asm_experimental_arch, core_intrinsics)]

macro_rules! shared {
    ($($path:literal $module:ident),* $(,)?) => {$(
        #[path = $path]
        #[allow(dead_code, reason = "shared with the programs that are shipped")]
        mod $module;
    )*};
}

shared! {
    "../../src/bytes.rs" bytes,
    "../../src/clock.rs" clock,
    "../../src/fragments.rs" fragments,
    "../../src/maps.rs" maps,
    "../../src/memory.rs" memory,
    "../../src/outcome.rs" outcome,
    "../../src/per_cpu.rs" per_cpu,
    "../../src/planned.rs" planned,
    "../../src/rules.rs" rules,
    "../../src/scratch.rs" scratch,
    "../../src/watch.rs" watch,
    "../../src/word.rs" word,
}

mod call;
mod create;
mod handle;
mod look_up;
mod single;
mod table;
mod work;

use aya_ebpf::bindings::TC_ACT_UNSPEC;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use flowkeep_core::tracker::Direction;

use crate::outcome::Outcome;

/// Whether the programs are those that tests load, which do more in a step: see [`planned`].
const IS_FOR_TESTS: bool = true;

/// Some helpers are for programs under the GPL.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Looks up the packet.
#[classifier]
pub fn lookup(context: TcContext) -> i32 {
    answer(|| look_up::look_up(context.skb.skb))
}

/// Creates an entry. The packet is of no matter.
#[classifier]
pub fn create(_: TcContext) -> i32 {
    answer(create::create)
}

/// Does something with a single entry. The packet is of no matter.
#[classifier]
pub fn single(_: TcContext) -> i32 {
    answer(single::single)
}

/// Answers the call with what comes of `play`.
#[inline(always)]
fn answer(play: impl FnOnce() -> Outcome) -> i32 {
    if let Some((_, work)) = work::call() {
        work.now = clock::now();
    }
    let outcome = play();
    if let Some((call, _)) = work::call()
        && outcome != Outcome::DONE
    {
        call.failed = outcome.error().map_or(0, |error| 1 + u64::from(error));
    }
    TC_ACT_UNSPEC
}

const fn direction(number: u64) -> Direction {
    match number {
        call::direction::EGRESS => Direction::Egress,
        call::direction::INGRESS => Direction::Ingress,
        _ => Direction::Service,
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program that could come here.
    loop {}
}
