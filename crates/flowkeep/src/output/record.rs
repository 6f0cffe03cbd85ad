//! Connections, events and summaries as fields with names, the same in every machine format.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::human::Rfc3339;
use super::{Ending, TCP_FLAGS};
use crate::connection::{Connection, Event, IcmpError, Timestamp};
use crate::protocol::Protocol;

/// A connection. Bytes, packets and ports are integers, times RFC 3339 in UTC, durations seconds.
/// How ICMP errors (`E`) and the duration (`D`) are written depends on the format.
#[derive(Serialize)]
pub(super) struct Record<E, D> {
    #[serde(serialize_with = "text")]
    protocol: Protocol,
    originator: IpAddr,
    /// Of an ICMP echo, its identifier; 0 if there is neither.
    originator_port: u16,
    responder: IpAddr,
    responder_port: u16,
    state: &'static str,
    expired: bool,
    packets_sent: u64,
    bytes_sent: u64,
    packets_received: u64,
    bytes_received: u64,
    icmp_errors: E,
    #[serde(serialize_with = "text")]
    start: Rfc3339,
    #[serde(serialize_with = "text")]
    end: Rfc3339,
    duration: D,
    /// Left out for other protocols than TCP, and by formats of fixed columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    originator_flags: Option<Flags>,
    #[serde(skip_serializing_if = "Option::is_none")]
    responder_flags: Option<Flags>,
}

impl<E, D> Record<E, D> {
    fn new(connection: &Connection, icmp_errors: E, duration: D) -> Self {
        Self {
            protocol: Protocol(connection.protocol),
            originator: connection.originator.ip(),
            originator_port: connection.originator.port(),
            responder: connection.responder.ip(),
            responder_port: connection.responder.port(),
            state: connection.state.name(),
            expired: connection.expired,
            packets_sent: connection.sent.packets,
            bytes_sent: connection.sent.bytes,
            packets_received: connection.received.packets,
            bytes_received: connection.received.bytes,
            icmp_errors,
            start: Rfc3339(connection.start),
            end: Rfc3339(connection.end),
            duration,
            originator_flags: None,
            responder_flags: None,
        }
    }
}

/// A connection with its ICMP errors in full.
pub(super) fn full(connection: &Connection) -> Record<IcmpErrors<'_>, f64> {
    let tcp = Protocol(connection.protocol) == Protocol::TCP;
    let nanoseconds = connection.end.since(connection.start);
    Record {
        originator_flags: tcp.then_some(Flags(connection.originator_flags)),
        responder_flags: tcp.then_some(Flags(connection.responder_flags)),
        ..Record::new(
            connection,
            IcmpErrors(&connection.icmp_errors),
            seconds(nanoseconds),
        )
    }
}

/// A connection in fixed columns: of the ICMP errors, the number.
pub(super) fn flat(connection: &Connection) -> Record<usize, String> {
    let nanoseconds = connection.end.since(connection.start);
    let duration = format!(
        "{}.{:09}",
        nanoseconds / 1_000_000_000,
        nanoseconds % 1_000_000_000
    );
    Record::new(connection, connection.icmp_errors.len(), duration)
}

/// An event, with its connection in full.
pub(super) fn event_record(event: &Event) -> impl Serialize {
    let tcp = Protocol(event.connection.protocol) == Protocol::TCP;
    EventRecord {
        time: time(event.time),
        event: event.kind.name(),
        tcp_flags: tcp.then_some(Flags(event.tcp_flags)),
        connection: full(&event.connection),
    }
}

#[derive(Serialize)]
struct EventRecord<C> {
    time: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp_flags: Option<Flags>,
    connection: C,
}

/// A summary.
pub(super) fn summary_record<'a>(ending: &Ending<'a>) -> impl Serialize + use<'a> {
    let summary = ending.summary;
    SummaryRecord {
        packets: ending.elapsed.map(|_| summary.packets),
        bytes: ending.elapsed.map(|_| summary.bytes),
        first: summary.first.map(time),
        last: summary.last.map(time),
        connections: summary.connections,
        by_protocol_and_state: summary
            .by_protocol_and_state
            .iter()
            .map(|(&(protocol, state), &connections)| Cell {
                protocol: Protocol(protocol).to_string(),
                state: state.name(),
                connections,
            })
            .collect(),
        errors: summary.errors.iter().copied().collect(),
        shown: ending.shown,
        elapsed: (ending.elapsed)
            .map(|elapsed| seconds(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))),
        packets_per_second: ending.rate().map(f64::round),
    }
}

#[derive(Serialize)]
struct SummaryRecord<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    packets: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    first: Option<String>,
    last: Option<String>,
    connections: u64,
    by_protocol_and_state: Vec<Cell>,
    errors: BTreeMap<&'a str, u64>,
    shown: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packets_per_second: Option<f64>,
}

#[derive(Serialize)]
struct Cell {
    protocol: String,
    state: &'static str,
    connections: u64,
}

/// Nanoseconds as seconds; exact to the nanosecond up to 104 days.
pub(super) fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// TCP flags as a list of names.
pub(super) struct Flags(pub(super) u8);

impl Serialize for Flags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let set = TCP_FLAGS.iter().filter(|(bit, ..)| self.0 & bit != 0);
        serializer.collect_seq(set.map(|(_, name, _)| name))
    }
}

/// ICMP errors as a list of objects.
pub(super) struct IcmpErrors<'a>(&'a [IcmpError]);

#[derive(Serialize)]
struct IcmpRecord {
    time: String,
    sender: IpAddr,
    #[serde(rename = "type")]
    icmp_type: u8,
    code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
}

impl Serialize for IcmpErrors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|error| IcmpRecord {
            time: time(error.time),
            sender: error.sender,
            icmp_type: error.icmp_type,
            code: error.code,
            name: error.kind().name(),
        }))
    }
}

/// RFC 3339 with nanoseconds.
pub(super) fn time(time: Timestamp) -> String {
    Rfc3339(time).to_string()
}

fn text<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
