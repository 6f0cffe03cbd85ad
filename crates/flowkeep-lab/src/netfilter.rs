//! The kernel's connection tracker, for comparison.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, bail};
use netlink_packet_core::{
    NLA_TYPE_MASK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload, Nla,
    NlasIterator,
};
use netlink_packet_netfilter::conntrack::{
    ConntrackAttribute, ConntrackMessage, IPTuple, ProtoTuple, Tuple,
};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr as NetlinkAddress};

use crate::Host;

/// Packets and bytes of one direction. A packet's bytes are those of its IP packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A connection of either tracker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// IP protocol number.
    pub protocol: u8,
    /// The side that sent first. The port is 0 if the protocol has none; for an ICMP echo it is the
    /// identifier.
    pub originator: SocketAddr,
    /// The other side. The port is 0 if the protocol has none.
    pub responder: SocketAddr,
    /// What the originator sent.
    pub sent: Traffic,
    /// What the responder sent.
    pub received: Traffic,
}

/// On one line, so that lists can be read.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            protocol,
            originator,
            responder,
            sent,
            received,
        } = self;
        write!(
            f,
            "{protocol} {originator} > {responder}: {} packets, {} bytes < {} packets, {} bytes",
            sent.packets, sent.bytes, received.packets, received.bytes
        )
    }
}

/// The kernel's connection tracker on a host, with accounting, and with timeouts longer than any test.
#[derive(Debug)]
pub struct Netfilter {
    requests: Socket,
    events: Socket,
    /// The connections that it has removed.
    forgotten: Vec<Connection>,
}

/// The multicast group for removed connections (linux/netfilter/nfnetlink.h).
const NFNLGRP_CONNTRACK_DESTROY: u32 = 3;

impl Netfilter {
    /// Starts the kernel's tracker on a host. It runs as long as the host exists.
    ///
    /// # Errors
    /// Without `nft` of nftables, or if the kernel has no connection tracker.
    pub fn watch(host: &Host) -> Result<Self> {
        // Any rule that matches a connection's state starts it.
        host.ruleset("table inet lab { chain arriving { type filter hook input priority 0; ct state new counter; }; }")?;
        for (key, value) in [
            ("acct", "1"),
            ("icmp_timeout", "600"),
            ("icmpv6_timeout", "600"),
            ("udp_timeout", "600"),
            ("generic_timeout", "600"),
            ("tcp_timeout_syn_sent", "600"),
            ("tcp_timeout_close", "600"),
            ("tcp_timeout_close_wait", "600"),
            ("tcp_timeout_last_ack", "600"),
            ("tcp_timeout_time_wait", "600"),
        ] {
            host.set(&format!("netfilter/nf_conntrack_{key}"), value)?;
        }
        let socket = |group: Option<u32>| {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            socket.bind_auto()?;
            if let Some(group) = group {
                socket.add_membership(group)?;
                socket.set_non_blocking(true)?;
            }
            io::Result::Ok(socket)
        };
        let (requests, events) = host
            .enter(|| io::Result::Ok((socket(None)?, socket(Some(NFNLGRP_CONNTRACK_DESTROY))?)))
            .context("no netlink socket")?;
        Ok(Self {
            requests,
            events,
            forgotten: Vec::new(),
        })
    }

    /// Every connection since [`Self::watch`], sorted, including those that the kernel has removed, in
    /// their last state.
    ///
    /// # Errors
    /// If netlink returns no answer, or an invalid one.
    pub fn connections(&mut self) -> Result<Vec<Connection>> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let every = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, 0);
        let request = NetfilterMessage::new(every, ConntrackMessage::Get(Vec::new()));
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(request));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.requests
            .send_to(&bytes, &NetlinkAddress::new(0, 0), 0)?;

        let mut connections = Vec::new();
        while receive(&self.requests, &mut connections)? {}
        // After the dump, so that a connection that is removed meanwhile is listed twice, not never.
        loop {
            match receive(&self.events, &mut self.forgotten) {
                Ok(_) => {}
                Err(error) if would_block(&error) => break,
                Err(error) => return Err(error),
            }
        }
        connections.extend(&self.forgotten);
        connections.sort_unstable();
        Ok(connections)
    }
}

fn would_block(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Reads a datagram of messages. Returns false after the last message of a dump.
fn receive(socket: &Socket, connections: &mut Vec<Connection>) -> Result<bool> {
    let (datagram, _) = socket.recv_from_full()?;
    let mut rest = datagram.as_slice();
    while !rest.is_empty() {
        let message = NetlinkMessage::<NetfilterMessage>::deserialize(rest)?;
        let length = (message.header.length as usize).next_multiple_of(4);
        rest = rest.get(length..).unwrap_or_default();
        match message.payload {
            NetlinkPayload::Done(_) => return Ok(false),
            NetlinkPayload::Error(error) => bail!("netlink: {}", error.to_io()),
            NetlinkPayload::InnerMessage(message) => {
                if let NetfilterMessageInner::Conntrack(
                    ConntrackMessage::New(attributes) | ConntrackMessage::Delete(attributes),
                ) = message.inner
                {
                    connections.push(connection(&attributes)?);
                }
            }
            _ => {}
        }
    }
    Ok(true)
}

/// From linux/netfilter/nfnetlink_conntrack.h.
const CTA_COUNTERS_ORIG: u16 = 9;
const CTA_COUNTERS_REPLY: u16 = 10;
const CTA_COUNTERS_PACKETS: u16 = 1;
const CTA_COUNTERS_BYTES: u16 = 2;
const CTA_PROTO_ICMP_ID: u16 = 4;
const CTA_PROTO_ICMPV6_ID: u16 = 7;

fn connection(attributes: &[ConntrackAttribute]) -> Result<Connection> {
    let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let mut connection = Connection {
        protocol: 0,
        originator: nowhere,
        responder: nowhere,
        sent: Traffic::default(),
        received: Traffic::default(),
    };
    for attribute in attributes {
        match attribute {
            ConntrackAttribute::CtaTupleOrig(parts) => {
                for part in parts {
                    original(part, &mut connection)?;
                }
            }
            ConntrackAttribute::Other(nla) if kind(nla) == CTA_COUNTERS_ORIG => {
                connection.sent = traffic(&value(nla))?;
            }
            ConntrackAttribute::Other(nla) if kind(nla) == CTA_COUNTERS_REPLY => {
                connection.received = traffic(&value(nla))?;
            }
            _ => {}
        }
    }
    Ok(connection)
}

/// Reads a part of the tuple of the originator's packets.
fn original(part: &Tuple, connection: &mut Connection) -> Result<()> {
    match part {
        Tuple::Ip(addresses) => {
            for address in addresses {
                match address {
                    IPTuple::SourceAddress(ip) => connection.originator.set_ip(*ip),
                    IPTuple::DestinationAddress(ip) => connection.responder.set_ip(*ip),
                    _ => {}
                }
            }
        }
        Tuple::Proto(fields) => {
            for field in fields {
                match field {
                    ProtoTuple::Protocol(protocol) => connection.protocol = (*protocol).into(),
                    ProtoTuple::SourcePort(port) => connection.originator.set_port(*port),
                    ProtoTuple::DestinationPort(port) => connection.responder.set_port(*port),
                    ProtoTuple::Other(nla)
                        if matches!(kind(nla), CTA_PROTO_ICMP_ID | CTA_PROTO_ICMPV6_ID) =>
                    {
                        let id = value(nla);
                        let id = id.first_chunk().context("an identifier of no bytes")?;
                        connection.originator.set_port(u16::from_be_bytes(*id));
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn traffic(nested: &[u8]) -> Result<Traffic> {
    let mut traffic = Traffic::default();
    for nla in NlasIterator::new(nested) {
        let nla = nla?;
        let number = || {
            let bytes = nla.value().first_chunk().context("a counter of no bytes")?;
            anyhow::Ok(u64::from_be_bytes(*bytes))
        };
        match nla.kind() {
            CTA_COUNTERS_PACKETS => traffic.packets = number()?,
            CTA_COUNTERS_BYTES => traffic.bytes = number()?,
            _ => {}
        }
    }
    Ok(traffic)
}

/// The kind, without the flag for nested attributes.
fn kind(nla: &impl Nla) -> u16 {
    nla.kind() & NLA_TYPE_MASK
}

fn value(nla: &impl Nla) -> Vec<u8> {
    let mut value = vec![0; nla.value_len()];
    nla.emit_value(&mut value);
    value
}
