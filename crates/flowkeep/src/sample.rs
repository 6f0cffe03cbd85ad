//! A connection for tests.

use crate::connection::{Connection, ConnectionState, Timestamp, Traffic};

/// TCP from 192.0.2.1:40000 to 198.51.100.2:443, answered, 1.25 s long.
pub(crate) fn sample() -> Connection {
    Connection {
        protocol: 6,
        originator: ([192, 0, 2, 1], 40_000).into(),
        responder: ([198, 51, 100, 2], 443).into(),
        state: ConnectionState::Answered,
        expired: false,
        originator_flags: 0x1a,
        responder_flags: 0x12,
        sent: Traffic {
            packets: 3,
            bytes: 400,
        },
        received: Traffic {
            packets: 2,
            bytes: 2_048,
        },
        start: Timestamp(1_600_000_000_000_000_001),
        end: Timestamp(1_600_000_001_250_000_001),
        icmp_errors: Vec::new(),
    }
}
