//! The results, for people and for machines.

use std::fmt;

use serde::Serialize;

use crate::veth::scene::Tracking;

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) slots: u32,
    pub(super) seconds: u64,
    pub(super) rows: Vec<Row>,
}

/// What became of one tracker's connections.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) tracking: Tracking,
    /// Connections that are open all the time.
    pub(super) idle: u32,
    /// Of these, how many were known before the flood.
    pub(super) known_before: usize,
    pub(super) syns: u64,
    pub(super) syns_per_second: f64,
    /// Connections that were created meanwhile, of ours: the others do not count it.
    pub(super) created: Option<u64>,
    /// Of those known before, how many are unknown after it.
    pub(super) lost: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} seconds of SYNs against a table of {}\n",
            self.seconds, self.slots
        )?;
        for row in &self.rows {
            writeln!(
                f,
                "  {:12} {} of {} idle connections known; after {:.1} million SYNs \
                 ({:.0} thousand a second) {} of them lost",
                row.tracking.name(),
                row.known_before,
                row.idle,
                row.syns as f64 / 1e6,
                row.syns_per_second / 1e3,
                row.lost
            )?;
            if let Some(created) = row.created {
                writeln!(
                    f,
                    "               {created} connections of the flood created"
                )?;
            }
        }
        Ok(())
    }
}
