//! nDPI's flows, as `ndpiReader` lists them.

use std::net::IpAddr;

use anyhow::{Context, Result};

use super::record::{Bytes, Counts, End, ICMP, ICMPV6, Record, Records, protocol};

/// Reads the flows. A flow's line is like
/// `1  TCP 192.0.2.1:1000 <-> 192.0.2.2:80 [proto: ...]...[7 pkts/485 bytes <-> 3 pkts/180 bytes]`,
/// with `->` for one that goes one way.
///
/// # Errors
/// If a flow's line is not like that.
pub(super) fn read(text: &str) -> Result<Records> {
    let mut rows = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let Some(flow) = flow(line) else {
            continue;
        };
        let row = row(&flow).with_context(|| format!("line {number}"))?;
        rows.push(row);
    }
    Ok(Records {
        rows,
        bytes: Bytes::Frames,
        portless: &[ICMP, ICMPV6],
    })
}

/// The parts of a flow's line.
struct Flow<'a> {
    protocol: &'a str,
    originator: &'a str,
    responder: &'a str,
    counts: &'a str,
}

/// The parts of a line that has an arrow where a flow's line has one.
fn flow(line: &str) -> Option<Flow<'_>> {
    let mut words = line.split_whitespace().skip(1);
    let (protocol, originator) = (words.next()?, words.next()?);
    if !matches!(words.next()?, "->" | "<->") {
        return None;
    }
    Some(Flow {
        protocol,
        originator,
        responder: words.next()?,
        counts: line.split('[').find(|part| part.contains(" pkts/"))?,
    })
}

fn row(flow: &Flow<'_>) -> Result<Record> {
    let Flow {
        originator,
        responder,
        counts,
        ..
    } = flow;
    let mut record = Record::new(
        Some(protocol(flow.protocol)?),
        end(originator)?,
        end(responder)?,
    );
    let mut numbers = counts
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(str::parse);
    let mut direction = || -> Result<Counts> {
        let mut number = || {
            numbers
                .next()
                .context("four counts are expected")?
                .context("count")
        };
        Ok(Counts::new(number()?, number()?))
    };
    record.sent = direction()?;
    record.received = direction()?;
    Ok(record)
}

/// `192.0.2.1:80`, `[2001:db8::1]:80`, or without a port.
fn end(text: &str) -> Result<End> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((address, 0));
    }
    let (address, port) = text
        .rsplit_once(':')
        .with_context(|| format!("'{text}' is no end"))?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let address = address
        .parse()
        .with_context(|| format!("'{text}' is no end"))?;
    Ok((address, port.parse()?))
}
