//! Memory that is not a table is told from memory that is one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowkeep_core::table::{
    BucketHeader, BucketTable, EntryHandle, HEADER_BYTES, Header, LAYOUT_VERSION, LayoutError,
    Record, SLOTS, Seed, Slices, Statistic, Table, table_bytes,
};

use crate::common::peek::{Peek, peeked};
use crate::common::{Worth, at, entry, tuple};

/// Words of a header, in their order.
const VERSION: usize = 1;
const SETS: usize = 2;
const LANES_WORD: usize = 3;
const RECORD_BYTES: usize = 4;
const TICKS: usize = 5;

fn described(buckets: u32) -> (Header<Peek>, Vec<Arc<AtomicU64>>) {
    let (header, words) = peeked(Header::default);
    header.describe(buckets, 1000, &Seed::from_u64(1));
    (header, words)
}

#[test]
fn a_described_header_is_read_back() {
    let (header, _) = described(1366);
    assert_eq!(header.read(), Ok((1366, Seed::from_u64(1))));
    assert_eq!(header.ticks_per_second(), 1000);
    assert_eq!(header.statistic(Statistic::Inserted), 0);
}

#[test]
fn memory_without_the_magic_is_not_a_table() {
    assert_eq!(
        Header::<Peek>::default().read(),
        Err(LayoutError::NotATable)
    );
    for bit in 0..64 {
        let (header, words) = described(1);
        words[0].fetch_xor(1 << bit, Ordering::Relaxed);
        assert_eq!(header.read(), Err(LayoutError::NotATable));
    }
}

#[test]
fn another_version_is_named() {
    for version in [0, LAYOUT_VERSION + 1, u64::MAX] {
        let (header, words) = described(1);
        words[VERSION].store(version, Ordering::Relaxed);
        assert_eq!(header.read(), Err(LayoutError::Version(version)));
    }
}

#[test]
fn a_header_that_contradicts_itself_is_corrupt() {
    let most = u64::from(u32::MAX) / SLOTS as u64;
    for (word, value) in [
        (SETS, 0),
        (SETS, most + 1),
        (SETS, 1 << 32 | 1),
        (LANES_WORD, SLOTS as u64 + 1),
        (RECORD_BYTES, 64),
        (TICKS, 0),
    ] {
        let (header, words) = described(1);
        words[word].store(value, Ordering::Relaxed);
        assert_eq!(header.read(), Err(LayoutError::Corrupt), "word {word}");
    }
    let (header, _) = described(most as u32);
    assert!(header.read().is_ok(), "the largest table that can be");
}

#[test]
fn slices_that_are_too_short_are_refused() {
    let make = |bucket_headers: usize, records: usize| {
        let bucket_headers: Vec<BucketHeader<Peek>> = (0..bucket_headers)
            .map(|_| BucketHeader::default())
            .collect();
        let records: Vec<Record<Peek>> = (0..records).map(|_| Record::default()).collect();
        let (header, _) = described(2);
        Slices::new(&header, &bucket_headers, &records).map(|_| ())
    };
    assert_eq!(make(2, 2 * SLOTS), Ok(()));
    assert_eq!(make(1, 2 * SLOTS), Err(LayoutError::Truncated));
    assert_eq!(make(2, 2 * SLOTS - 1), Err(LayoutError::Truncated));
}

#[test]
fn a_table_in_slices_works_and_counts_in_its_header() {
    let header = Header::<AtomicU64>::default();
    header.describe(2, 1000, &Seed::from_u64(1));
    let bucket_headers: [BucketHeader<AtomicU64>; 3] = Default::default();
    let records: Vec<Record<AtomicU64>> = (0..3 * SLOTS).map(|_| Record::default()).collect();
    let table =
        BucketTable::new(Slices::new(&header, &bucket_headers, &records).expect("it is described"));
    assert_eq!(table.capacity(), 2 * SLOTS as u64, "the header counts");
    for number in 0..60 {
        let tuple = tuple(number);
        table
            .insert(
                table.hash(&tuple),
                &tuple,
                &entry(number, Worth::Answered, 60),
                at(1),
            )
            .expect("there is room");
    }
    assert_eq!(header.statistic(Statistic::Inserted), 60);
    // Whoever opens the same memory sees the same.
    let other =
        BucketTable::new(Slices::new(&header, &bucket_headers, &records).expect("it is described"));
    for number in 0..60 {
        let tuple = tuple(number);
        let found = other.find(other.hash(&tuple), &tuple).expect("stored");
        assert_eq!(found.entry(), Some(entry(number, Worth::Answered, 60)));
    }
}

#[test]
fn the_size_of_a_table_is_that_of_its_parts() {
    for buckets in [1, 2, 1366, 89_478_485_u32] {
        let parts = HEADER_BYTES as u64
            + u64::from(buckets) * 64
            + u64::from(buckets) * SLOTS as u64 * size_of::<Record<u64>>() as u64;
        // Records begin at a multiple of their size.
        assert!((parts..parts + 128).contains(&table_bytes(buckets)));
        assert_eq!(table_bytes(buckets) % 128, 0);
    }
}
