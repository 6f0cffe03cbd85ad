//! A firewall for a host, as tc programs: what the host sends passes, and what arrives passes only
//! if it is part of a known connection or begins one to the SSH server.
//!
//! The names of the programs are those that `flowkeep-bpf` attaches. `cargo xtask bpf` builds them.
#![no_std]
#![no_main]

use aya_ebpf::bindings::{__sk_buff, TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use flowkeep_ebpf::{Judgement, Origin, hook, track, track_if};

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

const SSH: u16 = 22;
const TCP: u8 = 6;

/// What leaves, with an Ethernet header.
#[classifier]
pub fn egress_ether(context: TcContext) -> i32 {
    track::<true, { hook::EGRESS }>(context.skb.skb);
    TC_ACT_UNSPEC
}

/// What leaves, without a link header.
#[classifier]
pub fn egress_ip(context: TcContext) -> i32 {
    track::<false, { hook::EGRESS }>(context.skb.skb);
    TC_ACT_UNSPEC
}

/// What arrives, with an Ethernet header.
#[classifier]
pub fn ingress_ether(context: TcContext) -> i32 {
    filter::<true>(context.skb.skb)
}

/// What arrives, without a link header.
#[classifier]
pub fn ingress_ip(context: TcContext) -> i32 {
    filter::<false>(context.skb.skb)
}

#[inline(always)]
fn filter<const ETHERNET: bool>(skb: *mut __sk_buff) -> i32 {
    let admits = |new: &Origin| {
        let tuple = new.tuple();
        !new.is_reply() && tuple.protocol() == TCP && tuple.destination_port() == SSH
    };
    match track_if::<ETHERNET, { hook::INGRESS }>(skb, admits) {
        Judgement::Known | Judgement::New => TC_ACT_UNSPEC,
        // ARP and the like.
        Judgement::Untracked(Judgement::NOT_IP) => TC_ACT_UNSPEC,
        Judgement::NotAdmitted | Judgement::Untracked(_) => TC_ACT_SHOT,
    }
}
