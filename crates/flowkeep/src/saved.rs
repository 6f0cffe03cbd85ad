//! Tables in files: a replay writes them, `flowkeep list --table` reads them.
//!
//! After the table, which is that of [`Region`], a file has the ICMP errors about its connections, as
//! JSON. Entries do not hold them, but a connection that an ICMP error refused must be listed as
//! refused.

use std::net::IpAddr;
use std::path::Path;

use flowkeep_core::entry::Entry;
use flowkeep_core::table::{BucketTable, LayoutError, SLOTS, Seed, Table};
use flowkeep_core::tracker::Instant;
use flowkeep_core::tuple::Tuple;
use serde::{Deserialize, Serialize};

use crate::connection::{
    self, Connection, IcmpError, IcmpErrors, SECOND, Summary, TableClock, Timestamp, View,
};
use crate::filter::Filter;
use crate::memory::{MemoryError, Region};

/// How full a saved table is. It does not grow.
const FILL: f64 = 0.7;

/// Writes a table with these entries to a file, replacing an existing one. Their times are in
/// nanoseconds since the Unix epoch.
///
/// # Errors
/// [`MemoryError::Refused`] and [`MemoryError::File`].
pub(crate) fn save<I>(
    path: &Path,
    seed: &Seed,
    icmp_errors: &IcmpErrors,
    entries: impl Fn() -> I,
) -> Result<(), MemoryError>
where
    I: Iterator<Item = (Tuple, Entry)>,
{
    let count = entries().count();
    // A float's conversion saturates.
    let mut buckets = ((count as f64 / FILL / SLOTS as f64).ceil() as u32).max(1);
    loop {
        let table = BucketTable::new(Region::<false>::anonymous(buckets, SECOND, seed)?);
        let refused = entries().any(|(tuple, entry)| {
            // At second 0 nothing has expired, so nothing is evicted.
            table
                .insert(table.hash(&tuple), &tuple, &entry, Instant::default())
                .is_err()
        });
        if !refused && table.iter().count() == count {
            return table.memory().save(path, &appendix(icmp_errors));
        }
        buckets = buckets.saturating_mul(2);
    }
}

/// An ICMP error as it is saved.
#[derive(Serialize, Deserialize)]
struct Saved {
    tuple: [u64; 5],
    created: u64,
    time: u64,
    sender: IpAddr,
    icmp_type: u8,
    code: u8,
}

fn appendix(icmp_errors: &IcmpErrors) -> Vec<u8> {
    let all = icmp_errors.iter().flat_map(|(tuple, created, errors)| {
        errors.iter().map(move |error| Saved {
            tuple: tuple.words(),
            created,
            time: error.time.0,
            sender: error.sender,
            icmp_type: error.icmp_type,
            code: error.code,
        })
    });
    let mut text = serde_json::to_vec(&all.collect::<Vec<_>>()).unwrap_or_default();
    text.resize(text.len().next_multiple_of(size_of::<u64>()), b' ');
    text
}

/// The inverse of [`appendix`]; `None` if it is none.
fn read(appendix: &[u8]) -> Option<IcmpErrors> {
    let mut errors = IcmpErrors::default();
    if appendix.is_empty() {
        return Some(errors);
    }
    let saved: Vec<Saved> = serde_json::from_slice(appendix).ok()?;
    for error in saved {
        let tuple = Tuple::from_words(error.tuple);
        let icmp_error = IcmpError {
            time: Timestamp(error.time),
            sender: error.sender,
            icmp_type: error.icmp_type,
            code: error.code,
        };
        errors.add(&tuple, error.created, icmp_error);
    }
    Some(errors)
}

/// A table that was saved to a file.
#[derive(Debug)]
pub struct SavedTable {
    table: BucketTable<Region<false>>,
    icmp_errors: IcmpErrors,
}

impl SavedTable {
    /// Opens a saved table.
    ///
    /// # Errors
    /// [`MemoryError::File`] if the file can't be read, [`MemoryError::Layout`] if it is not a
    /// table of this program's layout version.
    pub fn open(path: &Path) -> Result<Self, MemoryError> {
        let table = BucketTable::new(Region::open(path)?);
        let icmp_errors = read(&table.memory().appendix());
        Ok(Self {
            table,
            icmp_errors: icmp_errors.ok_or_else(|| MemoryError::Layout {
                path: path.to_owned(),
                source: LayoutError::Corrupt,
            })?,
        })
    }

    /// How many entries the table can hold.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.table.capacity()
    }

    /// Calls `each` for every connection that matches the filter, in the order of their starts. The
    /// summary counts all.
    pub fn for_each(&self, filter: &Filter, each: impl FnMut(&Connection)) -> Summary {
        let view = View {
            clock: TableClock {
                tick_zero: Timestamp(0),
                ticks_per_second: self.table.memory().header().ticks_per_second(),
                second: (0, Timestamp(0)),
            },
            // What had expired was not saved.
            now: 0,
            expired: true,
            icmp_refuses: true,
        };
        connection::for_each(&self.table, &view, &self.icmp_errors, filter, true, each)
    }
}

#[cfg(test)]
mod tests {
    use flowkeep_core::packet::LinkType;

    use super::*;
    use crate::connection::ConnectionState;
    use crate::replay::{Options, Replay};

    /// UDP of no payload from a port of 192.0.2.1 to port 53 of 192.0.2.2.
    fn packet(port: u16) -> [u8; 28] {
        let [high, low] = port.to_be_bytes();
        [
            0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, high, low, 0, 53,
            0, 8, 0, 0,
        ]
    }

    #[test]
    fn a_saved_table_has_what_was_in_it() {
        let path = std::env::temp_dir().join(format!("flowkeep-saved-{}", std::process::id()));
        let mut replay = Replay::new(Options::default()).expect("memory");
        for port in 1..=3000 {
            let time = Timestamp(SECOND + u64::from(port));
            replay.packet(LinkType::RawIp, time, 28, &packet(port), &mut |_| {});
        }
        // The last one is refused, twice.
        let mut error = vec![
            0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1, 3, 3, 0, 0, 0, 0,
            0, 0,
        ];
        error.extend(packet(3000));
        for _ in 0..2 {
            let time = Timestamp(SECOND + 4000);
            replay.packet(LinkType::RawIp, time, 56, &error, &mut |_| {});
        }
        replay.flush(&mut |_| {});
        replay.save(&path).expect("a temporary file can be written");
        let saved = SavedTable::open(&path).expect("it was just saved");
        let (mut listed, mut replayed) = (Vec::new(), Vec::new());
        let summary = saved.for_each(&Filter::default(), |connection| {
            listed.push(connection.clone())
        });
        replay.finish(&mut |_| {}, &mut |connection| {
            replayed.push(connection.clone())
        });
        std::fs::remove_file(&path).expect("it was there");
        assert_eq!(summary.connections, 3000);
        let refused = summary
            .by_protocol_and_state
            .get(&(17, ConnectionState::Refused));
        assert_eq!(refused, Some(&1));
        assert_eq!(listed.last().map(|last| last.icmp_errors.len()), Some(2));
        assert_eq!(listed, replayed);
    }

    #[test]
    fn other_files_are_not_opened() {
        let path = std::env::temp_dir().join(format!("flowkeep-refused-{}", std::process::id()));
        let said = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("a temporary file can be written");
            SavedTable::open(&path)
                .expect_err("not a table")
                .to_string()
        };
        let seed = Seed::from_u64(1);
        let table = Region::<false>::anonymous(2, SECOND, &seed).expect("memory");
        table
            .save(&path, &[])
            .expect("a temporary file can be written");
        let good = std::fs::read(&path).expect("it was just saved");
        let name = path.display();
        assert_eq!(said(b""), format!("{name}: not a Flowkeep table"));
        assert_eq!(said(&[0; 8192]), format!("{name}: not a Flowkeep table"));
        let cut = said(&good[..good.len() - 1]);
        assert_eq!(cut, format!("{name}: the table is cut short"));
        let mut other = good.clone();
        other[8] = 77;
        assert!(said(&other).contains("layout version 77"));
        let appended = [&good[..], b"no JSON "].concat();
        assert!(said(&appended).contains("corrupt"));
        let mut corrupt = good;
        corrupt[16..24].fill(0xff);
        assert!(said(&corrupt).contains("corrupt"));
        std::fs::remove_file(&path).expect("it was there");
    }
}
