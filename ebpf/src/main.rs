//! Flowkeep's programs for the Linux kernel: a thin room around `flowkeep-core`.
//!
//! Each is attached to one direction of an interface, with an Ethernet header or without, and
//! leaves every packet to whoever comes next, as it is.
#![no_std]
#![no_main]
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

use aya_ebpf::bindings::TC_ACT_UNSPEC;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use flowkeep_abi::hook;

/// Whether the programs are those that tests load, which do more in a step: see [`planned`].
const IS_FOR_TESTS: bool = false;

/// Helpers and memory of some kernels are for programs under the GPL.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// A host's packets that arrive, with an Ethernet header.
#[classifier]
pub fn ingress_ether(context: TcContext) -> i32 {
    track::track::<true, { hook::INGRESS }>(context.skb.skb);
    TC_ACT_UNSPEC
}

/// A host's packets that arrive, without a link header.
#[classifier]
pub fn ingress_ip(context: TcContext) -> i32 {
    track::track::<false, { hook::INGRESS }>(context.skb.skb);
    TC_ACT_UNSPEC
}

/// A host's packets that leave, with an Ethernet header.
#[classifier]
pub fn egress_ether(context: TcContext) -> i32 {
    track::track::<true, { hook::EGRESS }>(context.skb.skb);
    TC_ACT_UNSPEC
}

/// A host's packets that leave, without a link header.
#[classifier]
pub fn egress_ip(context: TcContext) -> i32 {
    track::track::<false, { hook::EGRESS }>(context.skb.skb);
    TC_ACT_UNSPEC
}

/// A gateway's packets, with an Ethernet header.
#[classifier]
pub fn forward_ether(context: TcContext) -> i32 {
    track::track::<true, { hook::FORWARD }>(context.skb.skb);
    TC_ACT_UNSPEC
}

/// A gateway's packets, without a link header.
#[classifier]
pub fn forward_ip(context: TcContext) -> i32 {
    track::track::<false, { hook::FORWARD }>(context.skb.skb);
    TC_ACT_UNSPEC
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program that could come here.
    loop {}
}
