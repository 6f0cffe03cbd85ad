//! What `cargo xtask bench kernel` measures Flowkeep's programs against: the classic design of a
//! connection tracker in the kernel, as Cilium 1.8 has it, written anew from the description of
//! its behaviour.
//!
//! A hash map of the kernel that forgets the least used (LRU), keyed by the tuple; a look-up of
//! the reverse tuple, then one of the packet's own; a second entry for ICMP errors about each
//! connection. TCP has a map of its own, everything else another. IPv4 only: the other family has
//! maps and code of its own, which this one does not pay for.
//!
//! With it come an empty program, one that only touches memory, and one that makes each packet of a test run one of another
//! connection.
#![no_std]
#![no_main]
#![allow(internal_features, reason = "atomic additions are intrinsics")]
#![feature(core_intrinsics)]

mod drive;
mod entry;
mod maps;
mod packet;
mod track;

use aya_ebpf::bindings::TC_ACT_UNSPEC;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;

/// Some helpers are for programs under the GPL.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Packets that arrive.
#[classifier]
pub fn ref_ingress(context: TcContext) -> i32 {
    track::track::<true>(context.skb.skb);
    TC_ACT_UNSPEC
}

/// Packets that leave.
#[classifier]
pub fn ref_egress(context: TcContext) -> i32 {
    track::track::<false>(context.skb.skb);
    TC_ACT_UNSPEC
}

/// What every program costs.
#[classifier]
pub fn empty(_: TcContext) -> i32 {
    TC_ACT_UNSPEC
}

/// What memory costs: reads one line of a record at random, and counts on the next one.
#[classifier]
pub fn touch(context: TcContext) -> i32 {
    drive::touch(&context);
    TC_ACT_UNSPEC
}

/// Makes the packet one of the next connection, and hands it to the program that is measured.
#[classifier]
pub fn drive(context: TcContext) -> i32 {
    drive::drive(context)
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program that could come here.
    loop {}
}
