//! The results, for people and for machines.

use std::fmt;

use serde::Serialize;

use super::Took;
use super::scene::Tracking;
use crate::statistics::Spread;

/// What Flowkeep may add at most, of what nf_conntrack adds.
const WANTED: f64 = 1.0 / 3.0;

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    rounds: u16,
    rows: Vec<Row>,
    /// What Flowkeep adds to a packet by what nf_conntrack adds, of the medians.
    stream_share: f64,
    /// The same of requests and responses.
    trips_share: f64,
    /// The same of a connection.
    connection_share: f64,
    wanted: f64,
}

/// What one tracker takes.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) tracking: Tracking,
    /// A packet of a stream, data or acknowledgment.
    pub(super) stream: Cost,
    /// A packet of requests and responses.
    pub(super) trips: Cost,
    pub(super) connection: Cost,
}

/// What a packet or a connection costs, with all that two hosts do to it.
#[derive(Debug, Serialize)]
pub(super) struct Cost {
    /// Processor time, nanoseconds.
    cpu_ns: Spread,
    /// More of it than untracked, within each round.
    added_ns: Spread,
    per_second: Spread,
}

impl Cost {
    /// Of the rounds of one, beside those of one who is untracked.
    pub(super) fn new(rounds: &[Took], free: &[Took]) -> Self {
        let added = |(one, other): (&Took, &Took)| one.cpu_ns - other.cpu_ns;
        Self {
            cpu_ns: Spread::of(rounds.iter().map(|took| took.cpu_ns)),
            added_ns: Spread::of(rounds.iter().zip(free).map(added)),
            per_second: Spread::of(rounds.iter().map(|took| 1e9 / took.wall_ns)),
        }
    }
}

impl Report {
    pub(super) fn new(rounds: u16, rows: Vec<Row>) -> Self {
        let share = |added: fn(&Row) -> &Cost| {
            let of = |tracking| {
                let row = rows.iter().find(|row| row.tracking == tracking);
                row.map_or(f64::NAN, |row| added(row).added_ns.median)
            };
            of(Tracking::Flowkeep) / of(Tracking::NfConntrack)
        };
        Self {
            rounds,
            stream_share: share(|row| &row.stream),
            trips_share: share(|row| &row.trips),
            connection_share: share(|row| &row.connection),
            wanted: WANTED,
            rows,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Between two namespaces, on one processor; {} rounds, median (min to max)\n",
            self.rounds
        )?;
        for (what, cost) in [
            (
                "packet of a stream",
                (|row| &row.stream) as fn(&Row) -> &Cost,
            ),
            ("request or response", |row| &row.trips),
            ("short connection", |row| &row.connection),
        ] {
            writeln!(
                f,
                "  A {what}, tracked by: processor time, more than by nothing (ns), thousands a second"
            )?;
            for row in &self.rows {
                let Cost {
                    cpu_ns,
                    added_ns,
                    per_second,
                } = cost(row);
                let (name, rate) = (row.tracking.name(), per_second.median / 1e3);
                let (cpu, added) = (format!("{cpu_ns:.0}"), format!("{added_ns:.0}"));
                writeln!(f, "  {name:13} {cpu:26} {added:26} {rate:6.1}")?;
            }
            writeln!(f)?;
        }
        for (what, share) in [
            ("a packet of a stream", self.stream_share),
            ("a request or response", self.trips_share),
            ("a connection", self.connection_share),
        ] {
            let met = if share <= WANTED { "met" } else { "missed" };
            writeln!(
                f,
                "  flowkeep adds {share:.2} of what nf_conntrack adds to {what} (wanted: {WANTED:.2} at most): {met}"
            )?;
        }
        Ok(())
    }
}
