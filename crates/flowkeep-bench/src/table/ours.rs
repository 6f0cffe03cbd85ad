//! Our own table.

use anyhow::{Context, Result, ensure};
use flowkeep::memory::Region;
use flowkeep_core::rules::Default as Rules;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{BucketTable, SLOTS, Seed, Table};
use flowkeep_core::tracker::{Subject, Tracker};

use super::contender::{Contender, Tally};
use super::input::{Connections, Random, Sent, answered, at};

/// Ticks a second; nothing here depends on it.
const TICKS: u64 = 1 << 20;
/// How full a table is that was made for so many connections: hash maps of others are not much
/// fuller than half.
const FILL: f64 = 2.0 / 3.0;

/// Sets that have at least this many slots together.
pub(super) fn sets_for(slots: u32) -> u32 {
    slots.div_ceil(SLOTS as u32)
}

/// A table of this many buckets, and a secret of its own.
pub(super) fn table<const SHARED: bool>(
    buckets: u32,
    random: &mut Random,
) -> Result<BucketTable<Region<SHARED>>> {
    let seed = Seed::from_words(core::array::from_fn(|_| random.number()));
    Ok(BucketTable::new(Region::anonymous(buckets, TICKS, &seed)?))
}

/// A table made for these connections, and holding them.
pub(super) fn filled<const SHARED: bool>(
    connections: &Connections,
    settings: &Settings,
    random: &mut Random,
) -> Result<BucketTable<Region<SHARED>>> {
    let slots = f64::from(connections.count()) / FILL;
    let table = table(sets_for(slots.ceil() as u32), random)?;
    let entry = answered(settings);
    for key in connections.keys() {
        table
            .insert(table.hash(&key), &key, &entry, at(0))
            .ok()
            .context("a table with room refuses")?;
    }
    ensure!(
        table.census(at(0).seconds).entries == u64::from(connections.count()),
        "two connections of chance have the same ends: take another seed"
    );
    Ok(table)
}

/// Our table; look-ups come in batches of `batch`, or one by one if that is 1.
pub(super) struct Ours<'t, const SHARED: bool> {
    pub(super) table: &'t BucketTable<Region<SHARED>>,
    pub(super) settings: &'t Settings,
    pub(super) batch: usize,
}

impl<const SHARED: bool> Ours<'_, SHARED> {
    #[inline(always)]
    fn batches<const BATCH: usize>(&self, packets: &[Sent], mut number: u64) -> Tally {
        let tracker = Tracker::<Rules, _>::new(self.settings, self.table);
        let mut tally = Tally::default();
        let (batches, rest) = packets.as_chunks::<BATCH>();
        for batch in batches {
            let places: [u64; BATCH] = core::array::from_fn(|index| {
                let hash = tracker.hash(&batch[index].packet());
                self.table.prefetch(hash);
                hash
            });
            for hash in places {
                self.table.prefetch_entry(hash);
            }
            for (sent, hash) in batch.iter().zip(places) {
                let (packet, request) = (sent.packet(), sent.request(number));
                let subject = Subject {
                    tuple: &packet.tuple,
                    tcp_flags: packet.tcp_flags,
                    request: &request,
                };
                tally.count(tracker.track_tuple(hash, &subject).status);
                number += 1;
            }
        }
        tally + self.one_by_one(rest, number)
    }

    #[inline(always)]
    fn one_by_one(&self, packets: &[Sent], mut number: u64) -> Tally {
        let tracker = Tracker::<Rules, _>::new(self.settings, self.table);
        let mut tally = Tally::default();
        for sent in packets {
            let verdict = tracker.track_packet(&sent.packet(), &sent.request(number));
            tally.count(verdict.status);
            number += 1;
        }
        tally
    }
}

impl<const SHARED: bool> Contender for Ours<'_, SHARED> {
    fn look_up(&mut self, packets: &[Sent], number: u64) -> Tally {
        match self.batch {
            16 => self.batches::<16>(packets, number),
            32 => self.batches::<32>(packets, number),
            _ => self.one_by_one(packets, number),
        }
    }
}
