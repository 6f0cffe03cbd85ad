//! Between our types and the files' JSON.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use flowkeep_core::cilium::State;
use flowkeep_core::entry::{Entry, EntryFlags};
use flowkeep_core::tuple::{Address, Family, Flags, Tuple};
use serde_json::{Value, json};

use super::format::{Fields, Version};

/// The name of the table in which the specification keeps a tuple.
pub(crate) fn table_of(tuple: &Tuple) -> &'static str {
    match (tuple.protocol(), tuple.family()) {
        (6, Family::V4) => "tcp4",
        (6, Family::V6) => "tcp6",
        (_, Family::V4) => "any4",
        (_, Family::V6) => "any6",
    }
}

pub(crate) fn tuple(tuple: &Tuple) -> Value {
    let family = tuple.family();
    json!([
        tuple.destination().to_ip(family),
        tuple.source().to_ip(family),
        tuple.destination_port(),
        tuple.source_port(),
        tuple.protocol(),
        tuple.flags().specified(),
    ])
}

pub(crate) fn parse_tuple(value: &Value, family: u8) -> Tuple {
    let (destination, source, destination_port, source_port, protocol, flags): (
        IpAddr,
        IpAddr,
        u16,
        u16,
        u8,
        u8,
    ) = serde_json::from_value(value.clone()).expect("a tuple is six values");
    let ipv6 = if family == 6 { Flags::IPV6 } else { Flags::OUT };
    Tuple::new(
        destination.into(),
        source.into(),
        destination_port,
        source_port,
        protocol,
        Flags(flags).union(ipv6),
    )
}

pub(crate) fn entry(entry: &Entry, key: &Tuple, version: Version) -> Value {
    let entry_flags = entry.progress.entry_flags;
    let bit = |mark| u8::from(entry_flags.contains(mark));
    let progress = &entry.progress;
    let common = json!({
        "lifetime": progress.lifetime,
        "rx_closing": bit(EntryFlags::RX_CLOSING),
        "tx_closing": bit(EntryFlags::TX_CLOSING),
        "lb_loopback": bit(EntryFlags::LOOPBACK),
        "seen_non_syn": bit(EntryFlags::SEEN_NON_SYN),
        "node_port": bit(EntryFlags::NODE_PORT),
        "proxy_redirect": bit(EntryFlags::PROXY_REDIRECT),
        "rev_nat_index": entry.rev_nat_index,
        "tx_flags_seen": progress.tx_flags,
        "rx_flags_seen": progress.rx_flags,
        "src_sec_id": entry.source_identity,
        "last_tx_report": progress.last_tx_report,
        "last_rx_report": progress.last_rx_report,
    });
    let of_version = match version {
        Version::Y2020 => json!({
            "rx_packets": entry.rx.packets,
            "rx_bytes": entry.rx.bytes,
            "tx_packets": entry.tx.packets,
            "tx_bytes": entry.tx.bytes,
            "nat46": 0,
            "dsr": bit(EntryFlags::DSR),
            "ifindex": entry.nat_port,
        }),
        Version::Y2026 => {
            let mut fields = json!({
                "packets": entry.rx.packets + entry.tx.packets,
                "bytes": entry.rx.bytes + entry.tx.bytes,
                "dsr_internal": bit(EntryFlags::DSR),
                "from_l7lb": bit(EntryFlags::FROM_L7LB),
                "from_tunnel": bit(EntryFlags::FROM_TUNNEL),
                "nat_port": entry.nat_port,
            });
            // The two share their storage: the key tells which it is.
            if key.flags().contains(Flags::SERVICE) {
                fields["backend_id"] = json!(entry.backend());
            } else {
                fields["nat_addr"] = json!(entry.nat_address.to_ip(Family::V6));
            }
            fields
        }
    };
    let (Value::Object(mut all), Value::Object(more)) = (common, of_version) else {
        unreachable!("both are objects")
    };
    all.extend(more);
    Value::Object(all)
}

pub(crate) fn state(state: &State, version: Version) -> Value {
    let bit = u8::from;
    match version {
        Version::Y2020 => json!({
            "rev_nat_index": state.rev_nat_index,
            "loopback": bit(state.loopback),
            "node_port": bit(state.node_port),
            "proxy_redirect": bit(state.proxy_redirect),
            "dsr": bit(state.dsr),
            "addr": state.address,
            "svc_addr": state.service_address,
            "src_sec_id": state.source_identity,
            "ifindex": state.ifindex,
            "backend_id": state.backend,
        }),
        Version::Y2026 => json!({
            "nat_addr": state.nat_address.to_ip(Family::V6),
            "nat_port": state.nat_port,
            "rev_nat_index": state.rev_nat_index,
            "loopback": bit(state.loopback),
            "node_port": bit(state.node_port),
            "dsr_internal": bit(state.dsr),
            "syn": bit(state.syn),
            "proxy_redirect": bit(state.proxy_redirect),
            "from_l7lb": bit(state.from_l7lb),
            "from_tunnel": bit(state.from_tunnel),
            "closing": bit(state.closing),
            "src_sec_id": state.source_identity,
            "backend_id": state.backend,
        }),
    }
}

pub(crate) fn parse_state(fields: &Fields, version: Version) -> Result<State, String> {
    let mut state = State::default();
    for (name, value) in fields {
        let wrong = || format!("state field {name}: {value}");
        let number = || value.as_u64().ok_or_else(wrong);
        let bit = || match value.as_u64() {
            Some(bit @ 0..=1) => Ok(bit == 1),
            _ => Err(wrong()),
        };
        let u16 = || u16::try_from(number()?).map_err(|_| wrong());
        let u32 = || u32::try_from(number()?).map_err(|_| wrong());
        let ipv4 = || -> Result<Ipv4Addr, String> {
            serde_json::from_value(value.clone()).map_err(|_| wrong())
        };
        match (name.as_str(), version) {
            ("rev_nat_index", _) => state.rev_nat_index = u16()?,
            ("loopback", _) => state.loopback = bit()?,
            ("node_port", _) => state.node_port = bit()?,
            ("proxy_redirect", _) => state.proxy_redirect = bit()?,
            ("src_sec_id", _) => state.source_identity = u32()?,
            ("backend_id", Version::Y2020) => state.backend = u32::from(u16()?),
            ("backend_id", Version::Y2026) => state.backend = u32()?,
            ("dsr", Version::Y2020) | ("dsr_internal", Version::Y2026) => state.dsr = bit()?,
            ("addr", Version::Y2020) => state.address = ipv4()?,
            ("svc_addr", Version::Y2020) => state.service_address = ipv4()?,
            ("ifindex", Version::Y2020) => state.ifindex = u16()?,
            ("nat_addr", Version::Y2026) => {
                let address: Ipv6Addr =
                    serde_json::from_value(value.clone()).map_err(|_| wrong())?;
                state.nat_address = Address::from_octets(address.octets());
            }
            ("nat_port", Version::Y2026) => state.nat_port = u16()?,
            ("syn", Version::Y2026) => state.syn = bit()?,
            ("from_l7lb", Version::Y2026) => state.from_l7lb = bit()?,
            ("from_tunnel", Version::Y2026) => state.from_tunnel = bit()?,
            ("closing", Version::Y2026) => state.closing = bit()?,
            _ => return Err(format!("an unknown state field: {name}")),
        }
    }
    Ok(state)
}
