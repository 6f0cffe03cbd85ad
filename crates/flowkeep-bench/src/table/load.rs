//! How full a table gets before it refuses the first connection.

use anyhow::Result;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::Table;
use serde::Serialize;

use super::input::{Random, answered, at, key};
use super::ours::{sets_for, table};
use crate::statistics::Spread;

/// The outcome for one size.
#[derive(Debug, Serialize)]
pub(super) struct Load {
    pub(super) slots: u64,
    pub(super) tables: u32,
    /// Per cent of the slots.
    pub(super) filled: Spread,
    pub(super) wanted: f64,
}

/// Fills `tables` tables, each with a seed and tuples of its own, with answered connections, which
/// nothing evicts.
pub(super) fn run(slots: u32, tables: u32, random: &mut Random) -> Result<Load> {
    eprintln!("load: {slots} slots, {tables} tables");
    let entry = answered(&Settings::default());
    let mut filled = Vec::new();
    let mut capacity = 0;
    for _ in 0..tables {
        let table = table::<false>(sets_for(slots), random)?;
        capacity = table.capacity();
        let mut stored = 0_u64;
        loop {
            let key = key(random.tuple());
            if table.insert(table.hash(&key), &key, &entry, at(0)).is_err() {
                break;
            }
            stored += 1;
        }
        filled.push(100.0 * stored as f64 / capacity as f64);
    }
    Ok(Load {
        slots: capacity,
        tables,
        filled: Spread::of(filled),
        wanted: 92.0,
    })
}
