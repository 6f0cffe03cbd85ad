//! The results, for people and for machines.

use std::fmt;

use serde::Serialize;

use crate::statistics::Spread;

/// What is wanted of a million connections, in milliseconds.
const FILTERED: f64 = 50.0;
const COUNTED: f64 = 30.0;

/// What was measured. Times are milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) connections: u32,
    pub(super) rounds: u32,
    /// Listing the connections of one address.
    pub(super) filtered: Spread,
    /// Counting all by state.
    pub(super) counted: Spread,
    /// Whole commands.
    pub(super) others: Vec<Listing>,
}

/// What a command takes that looks at every connection.
#[derive(Debug, Serialize)]
pub(super) struct Listing {
    pub(super) what: &'static str,
    pub(super) connections: u32,
    pub(super) ms: Spread,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} connections in the kernel's table, mapped; {} rounds, median (min to max), ms\n",
            self.connections, self.rounds
        )?;
        for (what, ms, wanted) in [
            ("those of one address listed", self.filtered, FILTERED),
            ("all counted by state", self.counted, COUNTED),
        ] {
            let met = if ms.median <= wanted { "met" } else { "missed" };
            writeln!(f, "  {what:48} {ms:.1}, wanted {wanted}: {met}")?;
        }
        writeln!(f, "\nWhole commands, their output thrown away\n")?;
        for Listing {
            what,
            connections,
            ms,
        } in &self.others
        {
            let each = ms.median * 1e6 / f64::from(*connections);
            writeln!(
                f,
                "  {what:48} {connections:>8}  {ms:.0} ms, {each:.0} ns each"
            )?;
        }
        Ok(())
    }
}
