//! What can be set: timeouts, reporting, accounting, which protocols are tracked. Data, where
//! [`rules`](crate::rules) are types.

/// Settings of a tracker. Times are whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// TCP, once a packet without SYN was seen.
    pub tcp: u32,
    /// Everything that is not TCP.
    pub non_tcp: u32,
    /// TCP of a service, once a packet without SYN was seen.
    pub service_tcp: u32,
    /// Everything of a service that is not TCP.
    pub service_non_tcp: u32,
    /// TCP while only packets with SYN were seen.
    pub syn: u32,
    /// A connection that is closing in both directions.
    pub close: u32,
    /// How long a closed service entry keeps its backend before a SYN may choose another.
    pub close_rebalance: u32,
    /// A connection reports again when more than this has passed since its last report.
    pub report_interval: u32,
    /// TCP flags that are remembered and whose first appearance is reported.
    pub report_flags: u8,
    /// Bytes of a packet that are worth reporting: its headers.
    pub report_headers: u32,
    /// Bytes of a packet that are worth reporting: all of it, for DNS under Cilium 1.8's rules.
    pub report_all: u32,
    /// Count packets and bytes.
    pub accounting: bool,
    /// Track SCTP by its ports; else it counts as another protocol.
    pub sctp: bool,
    /// Track protocols without ports by their addresses alone; else they are an error.
    pub other_protocols: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tcp: 21_600,
            non_tcp: 60,
            service_tcp: 21_600,
            service_non_tcp: 60,
            syn: 60,
            close: 10,
            close_rebalance: 30,
            report_interval: 5,
            report_flags: 0xff,
            report_headers: 128,
            report_all: 1500,
            accounting: true,
            sctp: true,
            other_protocols: true,
        }
    }
}
