//! The rule sets of Cilium.

use crate::rules::Rules;

/// The behaviour of Cilium 1.8.2 (July 2020).
#[derive(Clone, Copy, Debug, Default)]
pub struct Cilium18;

impl Rules for Cilium18 {
    const REOPENED_IS_NEW: bool = false;
    const REOPEN_NEEDS_PLAIN_SYN: bool = false;
    const REOPEN_FORGETS: bool = false;
    const RST_CLOSES_BOTH: bool = false;
    const SERVICE_CLOSES_BOTH: bool = false;
    const REBALANCE: bool = false;
    const COUNT_SERVICE: bool = false;
    const COUNT_FIRST_ALWAYS: bool = true;
    const BACKEND_IN_RX_BYTES: bool = true;
    const SERVICE_KEEPS_LITTLE: bool = false;
    const STATE_FILLED_LAST: bool = false;
    const LOOPBACK_ENTRY: bool = true;
    const RELATED_ENTRY_FIRST: bool = false;
    const DNS_REPORTED_IN_FULL: bool = true;
    const ICMP_NEEDS_CODE: bool = false;
    const FRAGMENTS_AS_WHOLE: bool = true;
    const IPV6_FRAGMENTS: bool = false;
    const AH_LENGTH_BY_NEXT_HEADER: bool = true;
    const OTHER_PROTOCOLS: bool = false;
}

/// The behaviour of Cilium 1.19 (2026).
#[derive(Clone, Copy, Debug, Default)]
pub struct Cilium119;

impl Rules for Cilium119 {}
