//! A word that a test can look at and change behind the table's back.
//!
//! The fields of heads, records and headers are the table's own. But each of their words is made
//! by `Default`, in the order of the fields, and these words leave a second handle to themselves
//! when they are made.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowkeep_core::entry::Entry;
use flowkeep_core::table::{
    Bounds, BucketTable, EvictionObserver, Found, Handle, Memory, Record, SLOTS, Seed, Table, Word,
};
use flowkeep_core::tuple::Tuple;

use super::memory::Owned;

thread_local! {
    static MADE: RefCell<Vec<Arc<AtomicU64>>> = const { RefCell::new(Vec::new()) };
    static RELAXED: Cell<u64> = const { Cell::new(0) };
}

/// A word whose other handle is among those that [`peeked`] returns.
#[derive(Debug)]
pub struct Peek(Arc<AtomicU64>);

impl Default for Peek {
    fn default() -> Self {
        let word = Arc::new(AtomicU64::new(0));
        MADE.with_borrow_mut(|made| made.push(Arc::clone(&word)));
        Self(word)
    }
}

/// What `make` makes, and the words that were made in it, in the order of the fields.
pub fn peeked<T>(make: impl FnOnce() -> T) -> (T, Vec<Arc<AtomicU64>>) {
    MADE.take();
    let made = make();
    (made, MADE.take())
}

/// How often a lock was waited for on this thread since the last call.
pub fn relaxed() -> u64 {
    RELAXED.take()
}

impl Word for Peek {
    fn load(&self) -> u64 {
        Word::load(&*self.0)
    }

    fn load_acquire(&self) -> u64 {
        self.0.load_acquire()
    }

    fn store(&self, value: u64) {
        Word::store(&*self.0, value);
    }

    fn store_release(&self, value: u64) {
        self.0.store_release(value);
    }

    fn exchange(&self, current: u64, new: u64) -> bool {
        self.0.exchange(current, new)
    }

    fn add(&self, value: u64) {
        self.0.add(value);
    }

    fn flip(&self, bits: u64) {
        self.0.flip(bits);
    }

    fn fetch_add(&self, value: u64) -> u64 {
        Word::fetch_add(&*self.0, value)
    }

    fn fetch_or(&self, bits: u64) -> u64 {
        Word::fetch_or(&*self.0, bits)
    }

    fn mask(&self, bits: u64) {
        self.0.mask(bits);
    }

    fn fence_acquire() {
        AtomicU64::fence_acquire();
    }

    fn fence_release() {
        AtomicU64::fence_release();
    }

    fn relax() {
        RELAXED.set(RELAXED.get() + 1);
    }
}

/// The words of a table, set by set.
pub struct Words {
    bucket_headers: Vec<Arc<AtomicU64>>,
    records: Vec<Arc<AtomicU64>>,
}

const BUCKET_HEADER_WORDS: usize = 8;
const TAG_WORDS: usize = 6;

impl Words {
    pub fn all(&self) -> impl Iterator<Item = &AtomicU64> {
        self.bucket_headers
            .iter()
            .chain(&self.records)
            .map(|word| &**word)
    }

    /// The lock of a set: bit 0, and a time above it.
    pub fn lock(&self, bucket: usize) -> &AtomicU64 {
        &self.bucket_headers[bucket * BUCKET_HEADER_WORDS + TAG_WORDS]
    }

    pub fn displaced(&self, bucket: usize) -> &AtomicU64 {
        &self.bucket_headers[bucket * BUCKET_HEADER_WORDS + TAG_WORDS + 1]
    }

    fn tag(&self, index: u32) -> u8 {
        let (bucket, slot) = (index as usize / SLOTS, index as usize % SLOTS);
        let word =
            self.bucket_headers[bucket * BUCKET_HEADER_WORDS + slot / 8].load(Ordering::Relaxed);
        word.to_le_bytes()[slot % 8]
    }
}

/// Memory that can be looked into.
pub fn memory<const SHARED: bool, B: Bounds>(
    buckets: usize,
    seed: u64,
) -> (Owned<Peek, SHARED, B>, Words) {
    let (memory, mut words) = peeked(|| Owned::<Peek, SHARED, B>::new(buckets, seed));
    let records = words.split_off(buckets * BUCKET_HEADER_WORDS);
    assert_eq!(
        records.len(),
        memory.records.len() * size_of::<Record<u64>>() / 8
    );
    let words = Words {
        bucket_headers: words,
        records,
    };
    (memory, words)
}

/// The slot of its first set that a tuple takes if it can: see [`sets_of`].
pub fn slot_of(seed: &Seed, tuple: &Tuple) -> usize {
    let bits = (seed.hash(tuple) >> 32) as u16;
    (usize::from(bits) * SLOTS) >> 16
}

/// The set that a tuple is looked for in first, its other one, and its tag: what
/// [`BucketPair::new`](flowkeep_core::table::BucketPair::new) makes of its hash.
pub fn sets_of(seed: &Seed, buckets: u32, tuple: &Tuple) -> (u32, u32, u8) {
    let hash = seed.hash(tuple);
    let scaled = |half: u64| ((half * u64::from(buckets)) >> 32) as u32;
    (
        scaled(hash & u64::from(u32::MAX)),
        scaled(hash >> 32),
        (hash as u8).max(1),
    )
}

/// What is in a table, in the order of its slots.
pub fn contents<M: Memory, O: EvictionObserver>(
    table: &BucketTable<M, O>,
) -> Vec<(u32, Tuple, Entry)> {
    table
        .iter()
        .map(|(handle, tuple, entry)| (handle.index(), tuple, entry))
        .collect()
}

/// Checks that a glance finds an entry only as a probe does.
pub fn check_glance<M: Memory, O: EvictionObserver>(table: &BucketTable<M, O>, tuple: &Tuple) {
    let hash = table.hash(tuple);
    let seen = |found: Found<Handle<'_, M::Word>>| (found.handle.index(), found.is_first);
    for other in [tuple.reversed(), tuple.swapped()] {
        for [first, second] in [[&other, tuple], [tuple, &other]] {
            let glance = table.probe_home(hash, first, second).map(seen);
            let probe = table.probe(hash, first, second).map(seen);
            assert!(glance.is_none() || glance == probe, "{glance:?} {probe:?}");
        }
    }
}

/// Checks what holds of every table that nobody is changing: tags, locks and counts of displaced
/// entries are those of its contents, no tuple is there twice, every one is found, and at a glance
/// nothing else is.
pub fn check<M: Memory, O: EvictionObserver>(table: &BucketTable<M, O>, words: &Words) {
    let (seed, buckets) = (table.memory().seed(), table.memory().buckets());
    let contents = contents(table);
    let mut displaced = vec![0; buckets as usize];
    let mut tags = vec![0; buckets as usize * SLOTS];
    let mut seen = HashSet::new();
    for &(index, tuple, _) in &contents {
        assert!(seen.insert(tuple), "stored twice: {tuple:?}");
        let (first, second, tag) = sets_of(seed, buckets, &tuple);
        let bucket = index / SLOTS as u32;
        assert!(
            bucket == first || bucket == second,
            "in a bucket not its own"
        );
        displaced[first as usize] += u64::from(bucket != first);
        tags[index as usize] = tag;
        let found = table.find(table.hash(&tuple), &tuple);
        assert_eq!(found.map(|handle| handle.index()), Some(index));
        check_glance(table, &tuple);
    }
    for (bucket, displaced) in displaced.into_iter().enumerate() {
        let counted = words.displaced(bucket).load(Ordering::Relaxed);
        assert_eq!(counted, displaced, "displaced ones of bucket {bucket}");
        let locked = words.lock(bucket).load(Ordering::Relaxed) & 1;
        assert_eq!(locked, 0, "bucket {bucket} was left locked");
    }
    for (index, tag) in tags.into_iter().enumerate() {
        assert_eq!(words.tag(index as u32), tag, "tag of handle {index}");
    }
}
