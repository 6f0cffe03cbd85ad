//! The differences that are known, each with its reason: `explained.csv`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::compare::{Difference, Kind};

/// Differences of one capture that have one reason.
#[derive(Debug, Deserialize)]
pub(super) struct Explained {
    /// The capture's file name.
    pub(super) capture: String,
    /// A name of [`Kind`].
    pub(super) kind: String,
    /// How many connections.
    pub(super) count: usize,
    /// Why; for people.
    pub(super) reason: String,
}

/// Reads the list.
///
/// # Errors
/// If a row lacks a column or its kind is none.
pub(super) fn read() -> Result<Vec<Explained>> {
    let rows: Vec<Explained> = csv::Reader::from_reader(&include_bytes!("explained.csv")[..])
        .into_deserialize()
        .collect::<Result<_, _>>()
        .context("in explained.csv")?;
    for row in &rows {
        let known = Kind::ALL.iter().any(|kind| kind.name() == row.kind);
        anyhow::ensure!(known, "explained.csv: there is no kind '{}'", row.kind);
        anyhow::ensure!(
            !row.reason.is_empty(),
            "explained.csv: no reason for {} {}",
            row.capture,
            row.kind
        );
    }
    Ok(rows)
}

/// What of the differences is not as the list has it: each kind with how many there are and how
/// many are explained.
pub(super) fn unexplained(
    capture: &str,
    differences: &[Difference],
    list: &[Explained],
) -> Vec<(Kind, usize, usize)> {
    let mut counts: BTreeMap<Kind, (usize, usize)> = BTreeMap::new();
    for difference in differences {
        counts.entry(difference.kind).or_default().0 += 1;
    }
    for row in list.iter().filter(|row| row.capture == capture) {
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == row.kind) {
            counts.entry(kind).or_default().1 += row.count;
        }
    }
    counts
        .into_iter()
        .filter(|(_, (found, explained))| found != explained)
        .map(|(kind, (found, explained))| (kind, found, explained))
        .collect()
}
