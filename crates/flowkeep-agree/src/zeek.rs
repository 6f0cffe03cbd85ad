//! Zeek's connections: conn.log, whole or cut to some columns.

use std::net::IpAddr;

use anyhow::{Context, Result};

use super::record::{Bytes, Counts, ICMP, ICMPV6, Record, Records, SCTP};

/// Reads the rows of a conn.log. Columns go by the header: the one of `#fields`, or the first
/// line where only columns were kept.
///
/// # Errors
/// If there is no header or a row has no addresses.
pub(super) fn read(text: &str) -> Result<Records> {
    let mut columns: Option<Vec<&str>> = None;
    let mut rows = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        if let Some(fields) = line.strip_prefix("#fields\t") {
            columns = Some(fields.split('\t').collect());
        } else if line.starts_with('#') || line.is_empty() {
            continue;
        } else if let Some(columns) = &columns {
            let values: Vec<&str> = line.split('\t').collect();
            let row = row(columns, &values).with_context(|| format!("line {number}"))?;
            rows.push(row);
        } else {
            columns = Some(line.split('\t').collect());
        }
    }
    columns.context("there is no header")?;
    Ok(Records {
        rows,
        bytes: Bytes::Packets,
        // SCTP is no protocol of its own to Zeek.
        portless: &[ICMP, ICMPV6, SCTP],
    })
}

fn row(columns: &[&str], values: &[&str]) -> Result<Record> {
    let value = |name: &str| {
        let at = columns.iter().position(|column| *column == name)?;
        // What is unset.
        values.get(at).copied().filter(|value| *value != "-")
    };
    let address = |name: &str| -> Result<IpAddr> {
        let value = value(name).with_context(|| format!("no {name}"))?;
        value
            .parse()
            .with_context(|| format!("{name} is '{value}'"))
    };
    let number = |name: &str| -> Result<Option<u64>> {
        let parse = |value: &str| {
            value
                .parse()
                .with_context(|| format!("{name} is '{value}'"))
        };
        value(name).map(parse).transpose()
    };
    let port = |name: &str| -> Result<u16> {
        let port = number(name)?.with_context(|| format!("no {name}"))?;
        Ok(u16::try_from(port)?)
    };
    let protocol = number("ip_proto")?.map(u8::try_from).transpose()?;
    let mut record = Record::new(
        protocol,
        (address("id.orig_h")?, port("id.orig_p")?),
        (address("id.resp_h")?, port("id.resp_p")?),
    );
    record.sent = Counts {
        packets: number("orig_pkts")?,
        bytes: number("orig_ip_bytes")?,
    };
    record.received = Counts {
        packets: number("resp_pkts")?,
        bytes: number("resp_ip_bytes")?,
    };
    record.tunnelled = value("tunnel_parents").is_some();
    Ok(record)
}
