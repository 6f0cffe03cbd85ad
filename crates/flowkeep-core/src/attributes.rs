//! Attributes that differ between the kernel's programs and everything else.
//!
//! Functions of BPF take five arguments and share 512 bytes of stack, and the verifier walks
//! through a function once for every call. What the programs have to inline for that reason would
//! often be slower inlined on a host, or only larger.

/// A function that is inlined in the kernel's programs, and left to the compiler on a host.
macro_rules! inline_in_kernel {
    ($($function:tt)*) => {
        #[cfg_attr(target_arch = "bpf", inline(always))]
        #[cfg_attr(not(target_arch = "bpf"), inline)]
        $($function)*
    };
}

/// A function that is inlined in the kernel's programs, and on a host stays out of the way of what
/// is common: measured, its registers and its stack cost every packet there.
macro_rules! apart_on_host {
    ($($function:tt)*) => {
        #[cfg_attr(target_arch = "bpf", inline(always))]
        #[cfg_attr(not(target_arch = "bpf"), inline(never))]
        $($function)*
    };
}

pub(crate) use {apart_on_host, inline_in_kernel};
