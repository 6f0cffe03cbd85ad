//! What the tests share.

/// Whether the process may load programs: CAP_NET_ADMIN and CAP_BPF among its effective
/// capabilities.
pub(crate) fn privileged() -> bool {
    const NEEDED: u64 = 1 << 12 | 1 << 39;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|capabilities| capabilities & NEEDED == NEEDED)
}
