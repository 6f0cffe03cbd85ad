//! Flowkeep in the Linux kernel, as a library for tc programs: a thin room around `flowkeep-core`.
//!
//! A program calls [`track`] or [`track_if`] with its packet. All programs of one object share the
//! maps, which `flowkeep-bpf` sets up when it loads the object.
#![no_std]
#![allow(internal_features, reason = "`word` needs the intrinsics")]
#![feature(asm_experimental_arch, core_intrinsics)]

mod bytes;
mod clock;
mod fast_path;
mod fragments;
mod maps;
mod memory;
mod outcome;
mod parse;
mod per_cpu;
mod planned;
mod rules;
mod scratch;
mod track;
mod watch;
mod word;

/// Whether the programs are those that tests load, which do more in a step: see [`planned`].
const IS_FOR_TESTS: bool = false;

pub use flowkeep_abi::hook;
pub use flowkeep_core::tracker::Origin;
pub use track::{Judgement, track, track_if};

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program that could come here.
    loop {}
}
