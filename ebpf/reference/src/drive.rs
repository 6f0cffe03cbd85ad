//! Test runs show a program the same packet again and again. This one stands before it and makes
//! each packet one of another connection.

use core::intrinsics::AtomicOrdering::Relaxed;
use core::intrinsics::atomic_xadd;

use aya_ebpf::bindings::TC_ACT_SHOT;
use aya_ebpf::programs::TcContext;

use crate::maps::{COURSE, MEASURED, PACKETS, RECORDS, TOUCHED};

/// A packet's addresses and ports, as they lie in an IPv4 TCP packet: source first.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Ends {
    addresses: u64,
    ports: u32,
    /// A whole number of words.
    padding: u32,
}

/// The packets of a run: those from `first` to before `end`, over and over.
#[repr(C)]
pub(crate) struct Course {
    next: u32,
    first: u32,
    end: u32,
    settled: u32,
}

/// Where the addresses lie behind an Ethernet header, and the ports behind an IPv4 header without
/// options.
const ADDRESSES: usize = 14 + 12;
const PORTS: usize = 14 + 20;

#[inline(always)]
pub(crate) fn drive(context: TcContext) -> i32 {
    if next(&context).is_some() {
        // SAFETY: nothing here waits to be dropped.
        unsafe { MEASURED.tail_call(&context, 0) };
    }
    // What nobody measures returns this.
    TC_ACT_SHOT
}

#[inline(always)]
fn next(context: &TcContext) -> Option<()> {
    // SAFETY: the map's only element, which nobody else uses during a run.
    let course = unsafe { &mut *COURSE.get_ptr_mut(0)? };
    let at = course.next;
    let following = at + 1;
    course.next = if following == course.end {
        course.first
    } else {
        following
    };
    let ends = PACKETS.get(at)?;
    let (start, end) = (context.data(), context.data_end());
    if start + PORTS + 4 > end {
        return None;
    }
    // SAFETY: between the packet's start and end.
    unsafe {
        ((start + ADDRESSES) as *mut u64).write_unaligned(ends.addresses);
        ((start + PORTS) as *mut u32).write_unaligned(ends.ports);
    }
    // An atomic instruction: what was written is in the cache, as a packet that a device brought
    // would be, and nothing of this packet overlaps with the one before it, as in a host between
    // whose packets lies the rest of the network stack. Everybody who is measured pays for it.
    // SAFETY: as above.
    unsafe { atomic_xadd::<u32, u32, { Relaxed }>(&raw mut course.settled, 1) };
    Some(())
}

/// Touches the record that the packet's addresses choose: the same one in both directions, as a
/// tracker would.
#[inline(always)]
pub(crate) fn touch(context: &TcContext) -> Option<()> {
    let (start, end) = (context.data(), context.data_end());
    if start + PORTS + 4 > end {
        return None;
    }
    // SAFETY: between the packet's start and end.
    let chosen = unsafe {
        ((start + ADDRESSES) as *const u32).read_unaligned()
            ^ ((start + ADDRESSES + 4) as *const u32).read_unaligned()
    };
    let index = (u64::from(chosen) * u64::from(RECORDS.load())) >> 32;
    let record = TOUCHED.get_ptr_mut(index as u32)?.cast::<u64>();
    // SAFETY: an element has sixteen words; the first eight are its first line.
    unsafe {
        let first = record.read_volatile();
        atomic_xadd::<u64, u64, { Relaxed }>(record.add(8), first | 1);
    }
    Some(())
}
