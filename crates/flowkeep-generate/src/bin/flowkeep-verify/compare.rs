//! Two tables of connections, row by row.

use std::collections::HashMap;
use std::fmt;
use std::io::Read;
use std::net::IpAddr;

use anyhow::{Context, Result};

use flowkeep_generate::truth::Row;

/// How the connections that were found compare with the true ones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    /// True connections.
    connections: usize,
    /// Those that were found with all their counts right.
    exact: usize,
    /// The others, in the truth's order, then what was found beyond the truth.
    pub(super) differences: Vec<Difference>,
}

/// What is wrong with one connection. Rows are as they were read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// It was not found.
    Missing(Row),
    /// Its counts differ.
    Differs {
        /// What is true.
        truth: Row,
        /// What was found.
        found: Row,
    },
    /// It was found, but never was: a part of one, or one the wrong way round.
    Extra(Row),
}

/// Compares two CSV files with headers: the truth, and what `flowkeep replay --output csv` writes.
/// Columns go by name; those that the truth does not have are ignored.
///
/// # Errors
/// If one cannot be read or lacks a column.
pub(super) fn compare(truth: impl Read, found: impl Read) -> Result<Comparison> {
    let mut by_key: HashMap<Key, Vec<Row>> = HashMap::new();
    let mut order = Vec::new();
    for row in rows(found) {
        let row = row.context("in flowkeep's output")?;
        let key = key(&row);
        order.push(key.clone());
        by_key.entry(key).or_default().push(row);
    }
    let mut comparison = Comparison::default();
    for truth in rows(truth) {
        let truth = truth.context("in the truth")?;
        comparison.connections += 1;
        // Of several the first one, as the others come out as extra.
        let found = by_key
            .get_mut(&key(&truth))
            .filter(|found| !found.is_empty());
        match found.map(|found| found.remove(0)) {
            Some(found) if counts(&found) == counts(&truth) => comparison.exact += 1,
            Some(found) => comparison
                .differences
                .push(Difference::Differs { truth, found }),
            None => comparison.differences.push(Difference::Missing(truth)),
        }
    }
    let extra = order.iter().filter_map(|key| by_key.remove(key)).flatten();
    comparison.differences.extend(extra.map(Difference::Extra));
    Ok(comparison)
}

impl Comparison {
    /// True if nothing differs.
    pub(super) const fn is_exact(&self) -> bool {
        self.differences.is_empty()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connections {} exact {}", self.connections, self.exact)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(row) => write!(f, "missing: {} {}", Ends(row), Counts(row)),
            Self::Extra(row) => write!(f, "extra: {} {}", Ends(row), Counts(row)),
            Self::Differs { truth, found } => write!(
                f,
                "differs: {} {}, found {}",
                Ends(truth),
                Counts(truth),
                Counts(found)
            ),
        }
    }
}

struct Ends<'a>(&'a Row);

impl fmt::Display for Ends<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row {
            protocol,
            originator,
            originator_port,
            responder,
            responder_port,
            kind,
            ..
        } = self.0;
        write!(
            f,
            "{protocol} {originator} {originator_port} > {responder} {responder_port}"
        )?;
        if kind.is_empty() {
            Ok(())
        } else {
            write!(f, " ({kind})")
        }
    }
}

struct Counts<'a>(&'a Row);

impl fmt::Display for Counts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (packets_sent, bytes_sent, packets_received, bytes_received, icmp_errors) =
            counts(self.0);
        write!(
            f,
            "sent {packets_sent}/{bytes_sent} received {packets_received}/{bytes_received} \
             errors {icmp_errors}"
        )
    }
}

type Key = (String, IpAddr, u16, IpAddr, u16);

fn key(row: &Row) -> Key {
    let Row {
        originator,
        originator_port,
        responder,
        responder_port,
        ..
    } = *row;
    (
        row.protocol.clone(),
        originator,
        originator_port,
        responder,
        responder_port,
    )
}

const fn counts(row: &Row) -> (u64, u64, u64, u64, u64) {
    let Row {
        packets_sent,
        bytes_sent,
        packets_received,
        bytes_received,
        icmp_errors,
        ..
    } = *row;
    (
        packets_sent,
        bytes_sent,
        packets_received,
        bytes_received,
        icmp_errors,
    )
}

fn rows(table: impl Read) -> impl Iterator<Item = Result<Row, csv::Error>> {
    csv::Reader::from_reader(table).into_deserialize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: &str = "\
protocol,originator,originator_port,responder,responder_port,packets_sent,bytes_sent,\
packets_received,bytes_received,icmp_errors,kind
tcp,10.0.0.1,40000,192.0.2.1,443,5,500,4,400,0,tcp
udp,2001:db8::1,40001,2001:db8::2,53,1,60,1,90,0,udp-answered
icmp,10.0.0.1,7,192.0.2.9,0,3,252,0,0,2,ping-error
";

    /// The columns as flowkeep has them.
    const HEADER: &str = "\
protocol,originator,originator_port,responder,responder_port,state,expired,packets_sent,\
bytes_sent,packets_received,bytes_received,icmp_errors,start,end,duration
";
    const TCP: &str = "tcp,10.0.0.1,40000,192.0.2.1,443,closed,false,5,500,4,400,0,1,2,1\n";
    const UDP: &str = "udp,2001:db8::1,40001,2001:db8::2,53,answered,true,1,60,1,90,0,1,2,1\n";
    const ICMP: &str = "icmp,10.0.0.1,7,192.0.2.9,0,refused,true,3,252,0,0,2,1,2,1\n";

    fn with(found: &[&str]) -> Comparison {
        let found = HEADER.to_owned() + &found.concat();
        compare(TRUTH.as_bytes(), found.as_bytes()).expect("both are tables")
    }

    fn shown(comparison: &Comparison) -> Vec<String> {
        comparison
            .differences
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn order_does_not_matter() {
        let comparison = with(&[ICMP, TCP, UDP]);
        assert!(comparison.is_exact());
        assert_eq!(comparison.to_string(), "connections 3 exact 3");
    }

    #[test]
    fn every_count_matters() {
        for (right, wrong) in [
            (",5,500,", ",6,500,"),
            (",5,500,", ",5,501,"),
            (",4,400,", ",3,400,"),
            (",4,400,", ",4,40,"),
            (",400,0,", ",400,1,"),
        ] {
            assert_ne!(TCP.replace(right, wrong), TCP);
            let comparison = with(&[&TCP.replace(right, wrong), UDP, ICMP]);
            assert_eq!(comparison.to_string(), "connections 3 exact 2");
            assert!(matches!(
                comparison.differences[..],
                [Difference::Differs { .. }]
            ));
        }
        let comparison = with(&[&TCP.replace(",5,500,", ",6,560,"), UDP, ICMP]);
        assert_eq!(
            shown(&comparison),
            ["differs: tcp 10.0.0.1 40000 > 192.0.2.1 443 (tcp) \
              sent 5/500 received 4/400 errors 0, found sent 6/560 received 4/400 errors 0"]
        );
    }

    #[test]
    fn missing_split_and_reversed_connections_are_told() {
        let reversed = "udp,2001:db8::2,53,2001:db8::1,40001,answered,true,1,90,1,60,0,1,2,1\n";
        let comparison = with(&[TCP, TCP, reversed]);
        assert_eq!(comparison.to_string(), "connections 3 exact 1");
        assert_eq!(
            shown(&comparison),
            [
                "missing: udp 2001:db8::1 40001 > 2001:db8::2 53 (udp-answered) \
                 sent 1/60 received 1/90 errors 0",
                "missing: icmp 10.0.0.1 7 > 192.0.2.9 0 (ping-error) \
                 sent 3/252 received 0/0 errors 2",
                "extra: tcp 10.0.0.1 40000 > 192.0.2.1 443 sent 5/500 received 4/400 errors 0",
                "extra: udp 2001:db8::2 53 > 2001:db8::1 40001 sent 1/90 received 1/60 errors 0",
            ]
        );
    }

    #[test]
    fn a_table_without_a_column_is_an_error() {
        let found = HEADER.replace("icmp_errors", "other") + TCP;
        let error = compare(TRUTH.as_bytes(), found.as_bytes()).expect_err("a column is missing");
        assert!(format!("{error:#}").contains("icmp_errors"), "{error:#}");
    }
}
