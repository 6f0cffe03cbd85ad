//! A packet's bytes: straight from its first buffer, or copied by the kernel from wherever they
//! are.

use core::arch::asm;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::bpf_skb_load_bytes;
use flowkeep_core::packet::Bytes;

/// The packet's first buffer.
#[derive(Clone, Copy)]
pub(crate) struct Linear {
    skb: *mut __sk_buff,
    data: usize,
    end: usize,
}

/// Largest offset at which the verifier follows a packet pointer, with room for what is read.
const LAST: usize = 0xff00;

impl Linear {
    #[inline(always)]
    pub(crate) fn new(skb: *mut __sk_buff) -> Self {
        // SAFETY: the kernel passes a valid context.
        let (data, end) = unsafe { ((*skb).data as usize, (*skb).data_end as usize) };
        Self { skb, data, end }
    }

    /// The address of the byte at offset `at`, if there are `length` bytes. More than one.
    #[inline(always)]
    fn start(&self, at: usize, length: usize) -> Option<usize> {
        // Each read checks for itself: of what is known from another, the verifier knows nothing
        // where it is by another register.
        let at = forgotten(at);
        if at > LAST {
            return None;
        }
        let start = self.data + at;
        (start + length <= self.end).then_some(start)
    }

    /// Whose buffer it is.
    #[inline(always)]
    pub(crate) const fn skb(&self) -> *mut __sk_buff {
        self.skb
    }

    /// Whether the first buffer has less than all of the packet.
    #[inline(always)]
    pub(crate) fn is_partial(&self) -> bool {
        // SAFETY: the kernel passes a valid context.
        let length = unsafe { (*self.skb).len } as usize;
        self.end - self.data < length
    }
}

/// Two exchanges of bytes, of whose outcome the verifier knows nothing but that it has 16 bits.
#[inline(always)]
fn unknown(mut at: usize) -> usize {
    // SAFETY: instructions on a register.
    unsafe {
        asm!(
            "{0} = be16 {0}",
            "{0} = be16 {0}",
            "{0} &= 0xffff",
            inout(reg) at,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    at
}

/// Whether a packet was merged, or is still to be cut (GRO, GSO).
#[inline(always)]
fn is_offloaded(skb: *mut __sk_buff) -> bool {
    // SAFETY: the kernel passes a valid context.
    unsafe { (*skb).gso_size != 0 }
}

impl Bytes for Linear {
    #[inline(always)]
    fn offset(at: usize) -> usize {
        unknown(at)
    }

    #[inline(always)]
    fn is_offloaded(&self) -> bool {
        is_offloaded(self.skb)
    }

    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        if N == 1 {
            // Compilers turn `at + 1 > end` into `at >= end`, which verifiers do not understand.
            let mut byte = [0; N];
            // SAFETY: the helper writes `N` bytes, or fails.
            let failed = unsafe {
                bpf_skb_load_bytes(self.skb.cast(), at as u32, byte.as_mut_ptr().cast(), 1)
            };
            return (failed == 0).then_some(byte);
        }
        // SAFETY: between the buffer's start and end.
        self.start(at, N)
            .map(|start| unsafe { (start as *const [u8; N]).read() })
    }

    #[inline(always)]
    fn words<const N: usize>(&self, at: usize) -> Option<[u32; N]> {
        // SAFETY: between the buffer's start and end.
        self.start(at, 4 * N)
            .map(|start| unsafe { (start as *const [u32; N]).read_unaligned() })
    }
}

/// The same number, of which the compiler knows nothing.
#[inline(always)]
fn forgotten(mut number: usize) -> usize {
    // SAFETY: an instruction on a register.
    unsafe { asm!("{0} = {0}", inout(reg) number, options(pure, nomem, nostack, preserves_flags)) };
    number
}

/// The packet, copied a piece at a time to a buffer in a map: on the stack the verifier would
/// refuse to have its fields read, whose offsets are odd.
#[derive(Clone, Copy)]
pub(crate) struct Loaded {
    skb: *mut __sk_buff,
    buffer: *mut Piece,
}

/// The largest piece that is read at a time: an IPv6 header.
pub(crate) type Piece = [u8; 40];

impl Loaded {
    #[inline(always)]
    pub(crate) const fn new(skb: *mut __sk_buff, buffer: *mut Piece) -> Self {
        Self { skb, buffer }
    }
}

impl Bytes for Loaded {
    #[inline(always)]
    fn offset(at: usize) -> usize {
        unknown(at)
    }

    #[inline(always)]
    fn is_offloaded(&self) -> bool {
        is_offloaded(self.skb)
    }

    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        const { assert!(N <= size_of::<Piece>()) };
        // SAFETY: the buffer has room for `N` bytes, which the helper writes, or fails.
        unsafe {
            let failed =
                bpf_skb_load_bytes(self.skb.cast(), at as u32, self.buffer.cast(), N as u32);
            (failed == 0).then(|| self.buffer.cast::<[u8; N]>().read())
        }
    }
}
