//! A table of a few slots whose words are the model checker's.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::marker::PhantomData;
use std::sync::Arc;

use flowkeep_core::entry::Entry;
use flowkeep_core::error::Refusal;
use flowkeep_core::table::{
    Bounds, BucketHeader, BucketTable, Handle, HostBounds, Memory, Record, SLOTS, Seed, Statistic,
    Table, Word,
};
use flowkeep_core::tuple::Tuple;
use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use loom::sync::atomic::{AtomicU64, fence};

use crate::common::peek::{check_glance, sets_of, slot_of};
use crate::common::{Worth, at, entry, random_tuple};

/// The time of every insertion.
pub(crate) const NOW: u32 = 1000;
/// The seed of every table's hash.
pub(crate) const SEED: u64 = 1;

thread_local! {
    /// What the next words begin with; after that, 0. The model's threads are all on one.
    static INITIAL: RefCell<VecDeque<u64>> = const { RefCell::new(VecDeque::new()) };
    static MADE: RefCell<Vec<Arc<AtomicU64>>> = const { RefCell::new(Vec::new()) };
}

/// A word of which the model checker knows every store that a load may see.
pub(crate) struct Checked(Arc<AtomicU64>);

impl Default for Checked {
    fn default() -> Self {
        let value = INITIAL.with_borrow_mut(VecDeque::pop_front);
        let word = Arc::new(AtomicU64::new(value.unwrap_or(0)));
        MADE.with_borrow_mut(|made| made.push(Arc::clone(&word)));
        Self(word)
    }
}

impl Word for Checked {
    fn load(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn load_acquire(&self) -> u64 {
        self.0.load(Acquire)
    }

    fn store(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    fn store_release(&self, value: u64) {
        self.0.store(value, Release);
    }

    fn exchange(&self, current: u64, new: u64) -> bool {
        self.0
            .compare_exchange(current, new, AcqRel, Relaxed)
            .is_ok()
    }

    fn add(&self, value: u64) {
        self.0.fetch_add(value, Relaxed);
    }

    fn flip(&self, bits: u64) {
        self.0.fetch_xor(bits, Relaxed);
    }

    fn fetch_add(&self, value: u64) -> u64 {
        self.0.fetch_add(value, Relaxed)
    }

    fn fetch_or(&self, bits: u64) -> u64 {
        self.0.fetch_or(bits, Relaxed)
    }

    fn mask(&self, bits: u64) {
        self.0.fetch_and(bits, Relaxed);
    }

    fn fence_acquire() {
        fence(Acquire);
    }

    fn fence_release() {
        fence(Release);
    }

    fn relax() {
        loom::thread::yield_now();
    }
}

/// Memory of a few slots a set, with the bounds of the kernel's programs or of the host. The others
/// have a tag, as if they were taken, and no record.
pub(crate) struct Small<B: Bounds> {
    seed: Seed,
    slots: usize,
    bucket_headers: Vec<BucketHeader<Checked>>,
    records: Vec<Record<Checked>>,
    /// The words of the heads, once more.
    words: Vec<Vec<Arc<AtomicU64>>>,
    bounds: PhantomData<B>,
}

impl<B: Bounds> Memory for Small<B> {
    type Word = Checked;
    type Bounds = B;

    fn buckets(&self) -> u32 {
        self.bucket_headers.len() as u32
    }

    fn seed(&self) -> &Seed {
        &self.seed
    }

    fn bucket_header(&self, bucket: u32) -> Option<&BucketHeader<Checked>> {
        self.bucket_headers.get(bucket as usize)
    }

    fn record(&self, index: u32) -> Option<&Record<Checked>> {
        let (bucket, slot) = (index as usize / SLOTS, index as usize % SLOTS);
        (slot < self.slots)
            .then(|| self.records.get(bucket * self.slots + slot))
            .flatten()
    }

    fn count(&self, _: Statistic) {}
}

pub(crate) type SmallTable<B = HostBounds> = BucketTable<Small<B>>;

/// Words of a head, behind its tags.
const LOCK: usize = 6;
const DISPLACED: usize = 7;

/// The tag of slots that are not there.
const TAKEN: u8 = 0xff;

/// A table of so many buckets with so many slots each, with the host's bounds.
pub(crate) fn table(buckets: usize, slots: usize) -> Arc<SmallTable> {
    bounded_table(buckets, slots)
}

/// As [`table`], with either bounds.
pub(crate) fn bounded_table<B: Bounds>(buckets: usize, slots: usize) -> Arc<SmallTable<B>> {
    let mut words = Vec::new();
    let bucket_headers = (0..buckets)
        .map(|_| {
            let tags: [u8; SLOTS] =
                std::array::from_fn(|slot| if slot < slots { 0 } else { TAKEN });
            let tags = tags.chunks_exact(8).map(|eight| {
                let reversed = eight.iter().rev();
                reversed.fold(0, |word, &tag| word << 8 | u64::from(tag))
            });
            INITIAL.with_borrow_mut(|initial| initial.extend(tags));
            MADE.take();
            let bucket_header = BucketHeader::default();
            words.push(MADE.take());
            bucket_header
        })
        .collect();
    let records = (0..buckets * slots).map(|_| Record::default()).collect();
    MADE.take();
    Arc::new(BucketTable::new(Small {
        seed: Seed::from_u64(SEED),
        slots,
        bucket_headers,
        records,
        words,
        bounds: PhantomData,
    }))
}

/// Tuples whose first and second sets, of `sets`, are these. All have the same tag, so that
/// nothing but the key tells them apart.
pub(crate) fn tuples(buckets: u32, first: u32, second: u32) -> impl Iterator<Item = Tuple> {
    const TAG: u8 = 7;
    let mut random = fastrand::Rng::with_seed(1);
    let seed = Seed::from_u64(SEED);
    std::iter::repeat_with(move || random_tuple(&mut random))
        .filter(move |tuple| sets_of(&seed, buckets, tuple) == (first, second, TAG))
}

/// A tuple of the only set of a table, which takes its first slot if it can.
pub(crate) fn first_at_home() -> Tuple {
    let at_home = |tuple: &Tuple| slot_of(&Seed::from_u64(SEED), tuple) == 0;
    let tuple = tuples(1, 0, 0).find(at_home);
    tuple.expect("there is no end of them")
}

pub(crate) fn insert<'t, B: Bounds>(
    table: &'t SmallTable<B>,
    tuple: &Tuple,
    number: u32,
    worth: Worth,
    lifetime: u32,
) -> Result<Handle<'t, Checked>, Refusal> {
    let entry = entry(number, worth, lifetime);
    table.insert(table.hash(tuple), tuple, &entry, at(NOW))
}

pub(crate) fn find<'t, B: Bounds>(
    table: &'t SmallTable<B>,
    tuple: &Tuple,
) -> Option<Handle<'t, Checked>> {
    table.find(table.hash(tuple), tuple)
}

/// Whether an entry is the one of that number, but for what others may have advanced or counted.
pub(crate) fn is(found: &Entry, number: u32) -> bool {
    let made = entry(number, Worth::Answered, 0);
    (
        found.source_identity,
        found.rev_nat_index,
        found.nat_port,
        found.nat_address,
        found.created,
    ) == (
        made.source_identity,
        made.rev_nat_index,
        made.nat_port,
        made.nat_address,
        made.created,
    )
}

/// What is in a table that nobody is changing any more, after a check that it is consistent.
pub(crate) fn settled<B: Bounds>(table: &SmallTable<B>) -> Vec<(Tuple, Entry)> {
    let memory = table.memory();
    let (mut displaced, mut used) = (vec![0; memory.bucket_headers.len()], HashSet::new());
    let mut contents: Vec<(Tuple, Entry)> = Vec::new();
    for (handle, tuple, entry) in table.iter() {
        assert!(contents.iter().all(|(other, _)| *other != tuple), "twice");
        let found = find(table, &tuple).map(|found| found.index());
        assert_eq!(found, Some(handle.index()));
        check_glance(table, &tuple);
        let (first, _, _) = sets_of(&memory.seed, memory.buckets(), &tuple);
        displaced[first as usize] += u64::from(handle.index() / SLOTS as u32 != first);
        used.insert(handle.index() as usize);
        contents.push((tuple, entry));
    }
    for (bucket, words) in memory.words.iter().enumerate() {
        for slot in 0..memory.slots {
            let tagged = words[slot / 8].load(Relaxed) >> (slot % 8 * 8) & 0xff != 0;
            assert_eq!(tagged, used.contains(&(bucket * SLOTS + slot)), "tag");
        }
        assert_eq!(words[LOCK].load(Relaxed) & 1, 0, "left locked");
        assert_eq!(
            words[DISPLACED].load(Relaxed),
            displaced[bucket],
            "displaced"
        );
    }
    contents
}
