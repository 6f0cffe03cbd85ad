//! A packet's bytes: straight from its first buffer, or copied by the kernel from wherever they
//! are.

use core::arch::asm;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::bpf_skb_load_bytes;
use flowkeep_core::packet::Bytes;

/// The packet's first buffer.
#[derive(Clone, Copy)]
pub(crate) struct Linear {
    loaded: Loaded,
    data: usize,
    end: usize,
}

/// Largest offset at which the verifier follows a packet pointer, with room for what is read.
const LAST: usize = 0xff00;

impl Linear {
    #[inline(always)]
    pub(crate) fn new(loaded: Loaded) -> Self {
        let skb = loaded.skb;
        // SAFETY: the kernel passes a valid context.
        let (data, end) = unsafe { ((*skb).data as usize, (*skb).data_end as usize) };
        Self { loaded, data, end }
    }

    /// Whether the first buffer has less than all of the packet.
    #[inline(always)]
    pub(crate) fn is_partial(&self) -> bool {
        // SAFETY: the kernel passes a valid context.
        let length = unsafe { (*self.loaded.skb).len } as usize;
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

impl Bytes for Linear {
    #[inline(always)]
    fn offset(at: usize) -> usize {
        unknown(at)
    }

    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        if N == 1 {
            // Compilers turn `at + 1 > end` into `at >= end`, which verifiers do not understand.
            return self.loaded.read(at);
        }
        if at > LAST {
            return None;
        }
        let start = self.data + at;
        if start + N > self.end {
            return None;
        }
        // SAFETY: between the buffer's start and end.
        Some(unsafe { (start as *const [u8; N]).read() })
    }
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
    pub(crate) fn new(skb: *mut __sk_buff, buffer: *mut Piece) -> Self {
        Self { skb, buffer }
    }
}

impl Bytes for Loaded {
    #[inline(always)]
    fn offset(at: usize) -> usize {
        unknown(at)
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
