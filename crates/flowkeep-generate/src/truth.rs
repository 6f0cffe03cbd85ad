//! What is true about each connection of a generated capture: a CSV file beside it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One connection, one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, `sctp`, `gre` or `esp`.
    pub protocol: String,
    /// Whoever sent first.
    pub originator: IpAddr,
    /// 0 where the protocol has no ports; of an echo the identifier.
    pub originator_port: u16,
    /// The other side.
    pub responder: IpAddr,
    /// 0 where the protocol has no ports, and of an echo.
    pub responder_port: u16,
    /// IP packets from the originator; each fragment is one.
    pub packets_sent: u64,
    /// Their bytes, IP headers included.
    pub bytes_sent: u64,
    /// IP packets from the responder.
    pub packets_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// ICMP errors that quote a packet of the connection, which are in no other count. One whose
    /// quoted ports were cut off by the snapshot length is not counted: nobody could relate it.
    pub icmp_errors: u64,
    /// What happened, for people; see `Kind`. No tool tells it.
    #[serde(default)]
    pub kind: String,
}
