//! The table against a model of it: a map, and what the table promises of who makes room.
//!
//! Which of a tuple's two sets is taken, and when expired entries go, is left to the table: the
//! model learns of both from the handle and the watch, and judges whether it was allowed.

use std::cell::RefCell;
use std::collections::HashMap;

use bolero::{TypeGenerator, ValueGenerator, check, produce};
use flowkeep_core::entry::Entry;
use flowkeep_core::error::Refusal;
use flowkeep_core::table::{
    BucketTable, EntryHandle, EvictLimit, EvictReason, Evicted, EvictionObserver, Found,
    HostBounds, Memory, SLOTS, Table, Word,
};
use flowkeep_core::tracker::Direction;
use flowkeep_core::tuple::Tuple;

use crate::common::memory::Owned;
use crate::common::peek::{Peek, Words, check as check_table, memory, sets_of};
use crate::common::{Worth, at, entry, tuple};

/// One of few connections, so that operations meet.
#[derive(Clone, Copy, Debug, TypeGenerator)]
struct Name {
    connection: u8,
    reversed: bool,
}

impl Name {
    fn tuple(self) -> Tuple {
        let tuple = tuple(self.connection.into());
        if self.reversed {
            tuple.reversed()
        } else {
            tuple
        }
    }
}

#[derive(Clone, Copy, Debug, TypeGenerator)]
enum Operation {
    Insert {
        name: Name,
        worth: u8,
        life: u8,
    },
    /// Inserts many, so that sets fill up.
    Fill {
        from: u8,
        count: u8,
        worth: u8,
        life: u8,
    },
    Probe {
        connection: u8,
        reversed: bool,
    },
    Advance {
        name: Name,
        life: u8,
        entry_flags: u16,
    },
    Count {
        name: Name,
        ingress: bool,
        length: u16,
    },
    Remove {
        name: Name,
    },
    Sweep {
        from: u8,
        budget: u8,
    },
    Step {
        seconds: u8,
    },
}

/// Remembers what was replaced.
#[derive(Default)]
struct Log(RefCell<Vec<(EvictReason, Tuple, Entry)>>);

impl EvictionObserver for Log {
    fn on_evict<W: Word>(&self, why: EvictReason, gone: &Evicted<'_, W>) {
        self.0.borrow_mut().push((why, gone.tuple(), gone.entry()));
    }
}

/// What an entry is worth, least first; `None` if it must stay.
fn loss(entry: &Entry, now: u32) -> Option<(EvictLimit, u32)> {
    let progress = &entry.progress;
    let kind = if progress.expired(now) {
        EvictLimit::Expired
    } else if !progress.alive() {
        EvictLimit::Closed
    } else if !progress.entry_flags.assured() {
        EvictLimit::Unassured
    } else {
        return None;
    };
    Some((kind, progress.lifetime))
}

struct Modelled<const SHARED: bool> {
    table: BucketTable<Owned<Peek, SHARED>, Log>,
    words: Words,
    /// What is stored, and in which set.
    model: HashMap<Tuple, (u32, Entry)>,
    now: u32,
    serial: u32,
}

impl<const SHARED: bool> Modelled<SHARED> {
    fn new(buckets: usize, seed: u64) -> Self {
        let (memory, words) = memory::<SHARED, HostBounds>(buckets, seed);
        Self {
            table: BucketTable::with(memory, Log::default(), EvictLimit::Unassured),
            words,
            model: HashMap::new(),
            now: 1000,
            serial: 0,
        }
    }

    /// The entries in the sets of a tuple, and how many slots these sets have.
    fn neighbours(&self, tuple: &Tuple) -> (Vec<(Tuple, Entry)>, usize) {
        let memory = self.table.memory();
        let (first, second, _) = sets_of(&memory.seed, memory.buckets(), tuple);
        let there = self
            .model
            .iter()
            .filter(|(_, (bucket, _))| *bucket == first || *bucket == second)
            .map(|(&tuple, &(_, entry))| (tuple, entry))
            .collect();
        (there, if first == second { SLOTS } else { 2 * SLOTS })
    }

    fn insert(&mut self, tuple: Tuple, worth: u8, life: u8) {
        self.serial += 1;
        let worth = Worth::ALL[usize::from(worth) % Worth::ALL.len()];
        let entry = entry(self.serial, worth, self.now + u32::from(life % 64));
        let hash = self.table.hash(&tuple);
        let stored = self
            .table
            .insert(hash, &tuple, &entry, at(self.now))
            .map(|handle| handle.index() / SLOTS as u32);
        let gone = self.table.observer().0.take();

        if let Some(&(bucket, old)) = self.model.get(&tuple) {
            assert_eq!(gone, [(EvictReason::Overwritten, tuple, old)]);
            assert_eq!(stored, Ok(bucket), "renewed in hash");
            self.model.insert(tuple, (bucket, entry));
            return;
        }
        for (why, victim, lost) in gone.iter().copied() {
            let known = self.model.remove(&victim);
            assert_eq!(known.map(|(_, entry)| entry), Some(lost));
            let least = loss(&lost, self.now).expect("an answered connection stays");
            if why == EvictReason::Expired {
                assert_eq!(least.0, EvictLimit::Expired);
                continue;
            }
            let (others, slots) = self.neighbours(&tuple);
            assert_eq!(others.len() + 1, slots, "there was a free handle");
            let smaller = others
                .iter()
                .filter_map(|(_, other)| loss(other, self.now))
                .find(|&other| other < least);
            assert_eq!(smaller, None, "would have been less of a loss");
            let expected = match least.0 {
                EvictLimit::Closed => EvictReason::Closed,
                _ => EvictReason::Unassured,
            };
            assert_eq!(why, expected);
        }
        match stored {
            Ok(bucket) => {
                let memory = self.table.memory();
                let (first, second, _) = sets_of(&memory.seed, memory.buckets(), &tuple);
                assert!(bucket == first || bucket == second);
                self.model.insert(tuple, (bucket, entry));
            }
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Full);
                assert_eq!(gone, [], "a refusal changes nothing");
                let (there, slots) = self.neighbours(&tuple);
                assert_eq!(there.len(), slots, "there was a free handle");
                let expendable = there.iter().find(|(_, e)| loss(e, self.now).is_some());
                assert_eq!(expendable, None, "somebody could have made room");
            }
        }
    }

    fn known(&mut self, tuple: &Tuple) -> Option<&mut Entry> {
        self.model.get_mut(tuple).map(|(_, entry)| entry)
    }

    fn apply(&mut self, operation: Operation) {
        let now = self.now;
        match operation {
            Operation::Insert { name, worth, life } => self.insert(name.tuple(), worth, life),
            Operation::Fill {
                from,
                count,
                worth,
                life,
            } => {
                for offset in 0..count % 64 {
                    let connection = from.wrapping_add(offset);
                    self.insert(tuple(connection.into()), worth, life.wrapping_add(offset));
                }
            }
            Operation::Probe {
                connection,
                reversed,
            } => {
                let first = Name {
                    connection,
                    reversed,
                }
                .tuple();
                let second = first.reversed();
                let found = self.table.probe(self.table.hash(&second), &first, &second);
                let found = match found {
                    Some(Found {
                        handle,
                        is_first: true,
                    }) => Some((first, handle.entry())),
                    Some(Found {
                        handle,
                        is_first: false,
                    }) => Some((second, handle.entry())),
                    None => None,
                };
                let known = [first, second]
                    .into_iter()
                    .find_map(|tuple| Some((tuple, Some(self.model.get(&tuple)?.1))));
                assert_eq!(found, known);
            }
            Operation::Advance {
                name,
                life,
                entry_flags,
            } => {
                let tuple = name.tuple();
                let handle = self.table.find(self.table.hash(&tuple), &tuple);
                let before = handle.map(|handle| handle.progress().expect("it was just found"));
                let mut after = before;
                if let (Some(handle), Some(before), Some(after)) = (handle, before, &mut after) {
                    after.lifetime = now + u32::from(life % 64);
                    // All but the table's own.
                    after.entry_flags.0 ^= entry_flags & 0x07ff;
                    after.tx_flags |= life;
                    after.last_rx_report = now;
                    assert!(handle.advance(&before, after));
                }
                let entry = self.known(&tuple);
                assert_eq!(before, entry.as_ref().map(|entry| entry.progress));
                if let (Some(entry), Some(after)) = (entry, after) {
                    entry.progress = after;
                }
            }
            Operation::Count {
                name,
                ingress,
                length,
            } => {
                let tuple = name.tuple();
                let handle = self.table.find(self.table.hash(&tuple), &tuple);
                let entry = self.model.get_mut(&tuple).map(|(_, entry)| entry);
                assert_eq!(handle.is_some(), entry.is_some());
                if let (Some(handle), Some(entry)) = (handle, entry) {
                    let (direction, counters) = if ingress {
                        (Direction::Ingress, &mut entry.rx)
                    } else {
                        (Direction::Egress, &mut entry.tx)
                    };
                    counters.packets += 1;
                    counters.bytes += u64::from(length);
                    entry.last_seen = at(now).ticks;
                    handle.count(direction, 1, length.into(), at(now));
                }
            }
            Operation::Remove { name } => {
                let tuple = name.tuple();
                let removed = self
                    .table
                    .find(self.table.hash(&tuple), &tuple)
                    .is_some_and(|handle| self.table.remove(&handle, self.now));
                assert_eq!(removed, self.model.remove(&tuple).is_some());
            }
            Operation::Sweep { from, budget } => {
                let (from, budget) = (u32::from(from), u32::from(budget));
                let mut swept = Vec::new();
                self.table.sweep(from, budget, now, |tuple, entry| {
                    swept.push((*tuple, *entry));
                });
                for (tuple, entry) in swept {
                    assert!(entry.progress.expired(now));
                    assert_eq!(
                        self.model.remove(&tuple).map(|(_, entry)| entry),
                        Some(entry)
                    );
                }
            }
            Operation::Step { seconds } => self.now += u32::from(seconds % 16),
        }
    }

    fn compare(&self) {
        check_table(&self.table, &self.words);
        let stored: HashMap<_, _> = self
            .table
            .iter()
            .map(|(handle, tuple, entry)| (tuple, (handle.index() / SLOTS as u32, entry)))
            .collect();
        assert_eq!(stored, self.model);
    }
}

fn follow<const SHARED: bool>(buckets: u8, seed: u16, operations: &[Operation]) {
    let mut modelled = Modelled::<SHARED>::new(1 + usize::from(buckets % 3), seed.into());
    for &operation in operations {
        modelled.apply(operation);
    }
    modelled.compare();
    // Nothing that has expired outlasts a sweep of everything.
    let now = modelled.now;
    let expired = |entry: &Entry| entry.progress.expired(now);
    modelled.table.sweep(0, u32::MAX, now, |_, _| {});
    modelled.model.retain(|_, (_, entry)| !expired(entry));
    modelled.compare();
}

/// Sequences of operations that are tried; a failing one is printed with its seed, and shrunk.
const SEQUENCES: usize = if cfg!(miri) {
    1
} else if cfg!(debug_assertions) {
    500
} else {
    4000
};

fn sequences() -> impl ValueGenerator<Output = (u8, u16, Vec<Operation>)> {
    (
        produce(),
        produce(),
        produce::<Vec<Operation>>().with().len(0..300_usize),
    )
}

#[test]
fn a_shared_table_behaves_as_its_model() {
    check!()
        .with_iterations(SEQUENCES)
        .with_max_len(8192)
        .with_generator(sequences())
        .for_each(|(buckets, seed, operations)| follow::<true>(*buckets, *seed, operations));
}

#[test]
fn an_unshared_table_behaves_as_its_model() {
    check!()
        .with_iterations(SEQUENCES)
        .with_max_len(8192)
        .with_generator(sequences())
        .for_each(|(buckets, seed, operations)| follow::<false>(*buckets, *seed, operations));
}
