//! A connection as a record tells it, whoever wrote the record.

use std::fmt;
use std::net::IpAddr;

use anyhow::{Context, Result};

/// An address and a port; port 0 where the protocol has none.
pub(super) type End = (IpAddr, u16);

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// IP protocol number; None if the record has no column for it.
    pub(super) protocol: Option<u8>,
    pub(super) originator: End,
    pub(super) responder: End,
    pub(super) sent: Counts,
    pub(super) received: Counts,
    /// The record says that the connection is one inside a tunnel.
    pub(super) tunnelled: bool,
}

/// Packets and bytes of one direction; None where the record does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) packets: Option<u64>,
    pub(super) bytes: Option<u64>,
}

/// What a record's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// IP packets, as their headers state them.
    Packets,
    /// Whole Ethernet frames, padding included.
    Frames,
}

/// The connections that somebody recorded, and how.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) rows: Vec<Record>,
    /// What their bytes are.
    pub(super) bytes: Bytes,
    /// Protocols whose ports are not told, or are something else that stands in their place: of
    /// ICMP one has the type, another 0, and ours is an echo's identifier.
    pub(super) portless: &'static [u8],
}

impl Record {
    /// A record of these ends, with nothing counted.
    pub(super) fn new(protocol: Option<u8>, originator: End, responder: End) -> Self {
        Self {
            protocol,
            originator,
            responder,
            sent: Counts::default(),
            received: Counts::default(),
            tunnelled: false,
        }
    }

    /// With port 0 on both sides if it is of one of these protocols.
    pub(super) fn without_ports_of(mut self, portless: &[u8]) -> Self {
        if self.protocol.is_some_and(|own| portless.contains(&own)) {
            self.originator.1 = 0;
            self.responder.1 = 0;
        }
        self
    }

    /// With the other side as originator.
    pub(super) fn reversed(&self) -> Self {
        Self {
            originator: self.responder,
            responder: self.originator,
            sent: self.received,
            received: self.sent,
            ..self.clone()
        }
    }
}

impl Counts {
    pub(super) const fn new(packets: u64, bytes: u64) -> Self {
        Self {
            packets: Some(packets),
            bytes: Some(bytes),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Some(protocol) => match NAMES.iter().find(|(_, number)| *number == protocol) {
                Some((name, _)) => write!(f, "{name} ")?,
                None => write!(f, "{protocol} ")?,
            },
            None => write!(f, "? ")?,
        }
        let (originator, originator_port) = self.originator;
        let (responder, responder_port) = self.responder;
        write!(
            f,
            "{originator} {originator_port} > {responder} {responder_port} sent {} received {}",
            self.sent, self.received
        )
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |n| n.to_string());
        write!(f, "{}/{}", shown(self.packets), shown(self.bytes))
    }
}

pub(super) const ICMP: u8 = 1;
pub(super) const ICMPV6: u8 = 58;
pub(super) const SCTP: u8 = 132;

/// Names that the records use, in lower case; other protocols stand there as numbers.
const NAMES: &[(&str, u8)] = &[
    ("icmp", ICMP),
    ("igmp", 2),
    ("ipip", 4),
    ("tcp", 6),
    ("udp", 17),
    ("ipv6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmpv6", ICMPV6),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("sctp", SCTP),
];

/// The number of a protocol's name, or of a number.
///
/// # Errors
/// If it is neither.
pub(super) fn protocol(name: &str) -> Result<u8> {
    let lower = name.to_ascii_lowercase();
    match NAMES.iter().find(|(known, _)| *known == lower) {
        Some((_, number)) => Ok(*number),
        None => lower
            .parse()
            .with_context(|| format!("'{name}' is no protocol known here")),
    }
}
