//! Arkime's sessions, as its tests list them.

use std::net::IpAddr;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::record::{Bytes, Counts, ICMP, ICMPV6, Record, Records};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    ip_protocol: u8,
    source: Side,
    destination: Side,
}

#[derive(Deserialize)]
struct Side {
    ip: Option<IpAddr>,
    #[serde(default)]
    port: u16,
    packets: u64,
    bytes: u64,
}

/// Reads the sessions. Those without addresses (ARP and the like) are no connections of IP, and
/// those without packets are what is left in Arkime when more is expected of a session that has
/// been written.
///
/// # Errors
/// If it is not a list of sessions.
pub(super) fn read(text: &str) -> Result<Records> {
    let sessions: Vec<Session> = serde_json::from_str(text).context("not a list of sessions")?;
    let rows = sessions.iter().filter_map(|session| {
        let Session {
            ip_protocol,
            source,
            destination,
        } = session;
        let mut record = Record::new(
            Some(*ip_protocol),
            (source.ip?, source.port),
            (destination.ip?, destination.port),
        );
        record.sent = Counts::new(source.packets, source.bytes);
        record.received = Counts::new(destination.packets, destination.bytes);
        (source.packets + destination.packets != 0).then_some(record)
    });
    Ok(Records {
        rows: rows.collect(),
        bytes: Bytes::Frames,
        portless: &[ICMP, ICMPV6],
    })
}
