//! Events for whoever watches.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::{bpf_ringbuf_output, bpf_skb_load_bytes};
use flowkeep_abi::{Event, MOST_CAPTURED, RECORD_WORDS, kind, reason};
use flowkeep_core::rules;
use flowkeep_core::table::{EvictReason, Evicted, EvictionObserver, Word};
use flowkeep_core::tracker::Change;
use flowkeep_core::tuple::Flags;

use crate::maps::{EVENTS, LOST, MESSAGE, RECORDS};
use crate::outcome::{Outcome, step};
use crate::per_cpu;
use crate::rules::Rules;
use crate::scratch::{NO_RECORD, NOT_EVICTED, Scratch};

/// An event, and what follows it.
#[repr(C)]
pub(crate) struct Message {
    event: Event,
    bytes: [u8; MOST_CAPTURED],
}

/// A record's words that are its tuple's.
const TUPLE: core::ops::Range<usize> = 1..6;

/// Remembers what is evicted, if somebody watches.
pub(crate) struct Observer {
    pub(crate) watched: bool,
}

impl EvictionObserver for Observer {
    #[inline(always)]
    fn on_evict<W: Word>(&self, why: EvictReason, evicted: &Evicted<'_, W>) {
        if !self.watched {
            return;
        }
        // Entries for ICMP errors are nobody's connection.
        let for_errors = <Rules as rules::Rules>::RELATED_ENTRY
            && evicted.tuple().flags().contains(Flags::RELATED);
        let Some(scratch) = Scratch::get().filter(|_| !for_errors) else {
            return;
        };
        // SAFETY: a record is so many words.
        let words = unsafe { &*core::ptr::from_ref(evicted.record()).cast::<[W; RECORD_WORDS]>() };
        for (to, from) in scratch.evicted.iter_mut().zip(words) {
            *to = from.load();
        }
        // The slot is claimed already.
        scratch.evicted[0] = evicted.state();
        let reason = match why {
            EvictReason::Overwritten => reason::OVERWRITTEN,
            EvictReason::Expired => reason::EXPIRED,
            EvictReason::Closed => reason::CLOSED,
            EvictReason::Unassured => reason::UNASSURED,
        };
        scratch.evict_reason = 1 + u32::from(reason);
    }
}

/// The number of a change.
pub(crate) const fn number(change: Change) -> u8 {
    match change {
        Change::New => kind::NEW,
        Change::Reply => kind::REPLY,
        Change::Related => kind::RELATED,
        Change::Report => kind::REPORT,
        Change::Closing => kind::CLOSING,
        Change::Reopened => kind::REOPENED,
    }
}

/// Reports the entry that made room, if one did, and then the packet at hand.
#[inline(always)]
pub(crate) fn emit(skb: *mut __sk_buff, scratch: &mut Scratch) {
    emit_evicted(skb, scratch);
    send(skb, 0);
}

/// Reports the entry that made room, if one did.
#[inline(always)]
pub(crate) fn emit_evicted(skb: *mut __sk_buff, scratch: &mut Scratch) {
    if scratch.evict_reason != NOT_EVICTED {
        send(skb, 1);
        scratch.evict_reason = NOT_EVICTED;
    }
}

step! {
    /// Sends an event: about the entry that made room, or about the packet.
    fn send(skb: *mut __sk_buff, evicted: u32) -> Outcome {
        let (Some(scratch), Some(message)) = (Scratch::get(), MESSAGE.get_ptr_mut(0)) else {
            return Outcome::DONE;
        };
        let message = message.cast::<Message>();
        // SAFETY: an element is as large and as aligned as a message, any bytes are one, and nobody
        // else uses this processor's.
        let Message { event, bytes } = unsafe { &mut *message };
        let packet = scratch.event;
        if evicted != 0 {
            event.record = scratch.evicted;
            (event.kind, event.reason) = (kind::EVICTED, scratch.evict_reason.wrapping_sub(1) as u8);
        } else {
            record(&mut event.record, packet.record, scratch);
            (event.kind, event.reason) = (packet.kind, packet.reason);
        }
        event.time = scratch.now.ticks;
        event.packet = scratch.packet.tuple;
        event.length = scratch.length;
        event.packets = scratch.packets as u32;
        event.hook = packet.hook;
        event.ethernet = u8::from(packet.ethernet);
        event.status = packet.status;
        event.reopened = u8::from(packet.reopened);
        event.tcp_flags = scratch.packet.tcp_flags;
        [event.icmp_type, event.icmp_code] = scratch.packet.icmp;
        // SAFETY: the kernel passes a valid context.
        unsafe {
            event.whole = (*skb).len;
            event.ifindex = (*skb).ifindex;
        }
        let captured = capture(skb, bytes, packet.bytes.min(event.whole));
        event.captured = captured;
        let length = size_of::<Event>() as u64 + u64::from(captured);
        let map = (&raw const EVENTS).cast_mut().cast();
        // SAFETY: a map is its definition's address to programs; the message is at least that long.
        let failed = unsafe { bpf_ringbuf_output(map, message.cast(), length, 0) };
        if failed != 0 {
            per_cpu::increment(&LOST, 0);
        }
        Outcome::DONE
    }
}

/// Copies the words of a record, if it is still that of the packet's connection: else there is
/// only its tuple.
#[inline(always)]
fn record(words: &mut [u64; RECORD_WORDS], index: u32, scratch: &Scratch) {
    let tuple = scratch.tuple.words();
    *words = [0; RECORD_WORDS];
    words[TUPLE].copy_from_slice(&tuple);
    if index == NO_RECORD {
        return;
    }
    let Some(record) = RECORDS.get_ptr(index) else {
        return;
    };
    // SAFETY: an element of the map, which lives as long as the program runs. Others may change
    // its words meanwhile, each of which is single.
    let found = unsafe { record.read_volatile() };
    let mut differing = 0;
    for (here, there) in tuple.iter().zip(&found[TUPLE]) {
        differing |= here ^ there;
    }
    if differing == 0 {
        *words = found;
    }
}

/// Copies the first bytes of a packet. Returns how many.
#[inline(always)]
fn capture(skb: *mut __sk_buff, bytes: &mut [u8; MOST_CAPTURED], wanted: u32) -> u32 {
    let wanted = wanted.min(MOST_CAPTURED as u32);
    if wanted == 0 {
        return 0;
    }
    // Between 1 and MOST_CAPTURED for the verifier to see: on Linux 6.1 it does not learn of a
    // number from what was asked of a copy.
    const { assert!(MOST_CAPTURED == 256) };
    let wanted = (crate::word::Word::opaque(u64::from(wanted) - 1) & 0xff) as u32 + 1;
    // SAFETY: there is room for so many bytes, which the helper writes, or fails.
    let failed = unsafe { bpf_skb_load_bytes(skb.cast(), 0, bytes.as_mut_ptr().cast(), wanted) };
    if failed == 0 { wanted } else { 0 }
}
