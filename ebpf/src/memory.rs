//! The table's memory: elements of two array maps.

use flowkeep_abi::{Config, table};
use flowkeep_core::table::{
    BucketHeader, BucketPair, Keys, Memory, Record, Seed, Sighting, Statistic, expendable_record,
    search, search_and_flag_reverse,
};
use flowkeep_core::tuple::Tuple;

use crate::maps::{BUCKETS, CONFIG, RECORDS, STATISTICS};
use crate::per_cpu;
use crate::scratch::Scratch;
use crate::word::Word;

/// The table's memory.
#[derive(Clone, Copy)]
pub(crate) struct Maps {
    pub(crate) config: &'static Config,
}

impl Maps {
    #[inline(always)]
    pub(crate) fn new() -> Option<Self> {
        let config = CONFIG.get_ptr(0)?;
        // SAFETY: the map has one element, as large and as aligned as a config, which the loader
        // has written before it attached the programs. What user space changes later are single
        // numbers, and any of them is as good as the one before.
        let config = unsafe { &*config.cast::<Config>() };
        Some(Self { config })
    }

    /// Whether somebody reads events.
    #[inline(always)]
    pub(crate) fn watched(self) -> bool {
        // SAFETY: a field of a valid reference, which user space changes.
        unsafe { (&raw const self.config.watched).read_volatile() != 0 }
    }
}

impl Memory for Maps {
    type Word = Word;
    const CANDIDATES: usize = table::CANDIDATES;
    const LOCK_TRIES: usize = table::LOCK_TRIES;
    const CLAIM_TRIES: usize = table::CLAIM_TRIES;
    const COLLECTS: bool = table::COLLECTS;

    #[inline(always)]
    fn buckets(&self) -> u32 {
        self.config.buckets
    }

    #[inline(always)]
    fn seed(&self) -> &Seed {
        &self.config.seed
    }

    #[inline(always)]
    fn bucket_header(&self, bucket: u32) -> Option<&BucketHeader<Word>> {
        // SAFETY: an element is as large as a head, elements lie in line from a page's start, and
        // any bytes are a valid head of words. Maps live as long as the program runs.
        BUCKETS
            .get_ptr(bucket)
            .map(|bucket_header| unsafe { &*bucket_header.cast::<BucketHeader<Word>>() })
    }

    #[inline(always)]
    fn record(&self, index: u32) -> Option<&Record<Word>> {
        // SAFETY: as for a head.
        RECORDS
            .get_ptr(index)
            .map(|record| unsafe { &*record.cast::<Record<Word>>() })
    }

    #[inline(always)]
    fn search(&self, pair: BucketPair, keys: &Keys) -> Sighting {
        let Some(scratch) = Scratch::get() else {
            return Sighting::NONE;
        };
        scratch.pair = pair;
        scratch.keys = *keys;
        Sighting::from_bits(probe())
    }

    #[inline(always)]
    fn search_and_flag_reverse(&self, pair: BucketPair, tuple: &Tuple) -> Sighting {
        let Some(scratch) = Scratch::get() else {
            return Sighting::NONE;
        };
        scratch.pair = pair;
        scratch.twin = *tuple;
        Sighting::from_bits(probe_and_flag_reverse())
    }

    #[inline(always)]
    fn least_loss(&self, pair: BucketPair, now: u32) -> Option<u32> {
        let scratch = Scratch::get()?;
        scratch.pair = pair;
        Some(choose(now))
    }

    #[inline(always)]
    fn count(&self, statistic: Statistic) {
        per_cpu::increment(&STATISTICS, statistic as u32);
    }
}

/// The table's memory, after a search: to look up means to look at what was found. It spares a
/// look-up the stack that a search takes.
#[derive(Clone, Copy)]
pub(crate) struct Searched(pub(crate) Maps);

impl Memory for Searched {
    type Word = Word;
    const CANDIDATES: usize = table::CANDIDATES;
    const LOCK_TRIES: usize = table::LOCK_TRIES;
    const CLAIM_TRIES: usize = table::CLAIM_TRIES;
    const COLLECTS: bool = table::COLLECTS;

    #[inline(always)]
    fn buckets(&self) -> u32 {
        self.0.buckets()
    }

    #[inline(always)]
    fn seed(&self) -> &Seed {
        self.0.seed()
    }

    #[inline(always)]
    fn bucket_header(&self, bucket: u32) -> Option<&BucketHeader<Word>> {
        self.0.bucket_header(bucket)
    }

    #[inline(always)]
    fn record(&self, index: u32) -> Option<&Record<Word>> {
        self.0.record(index)
    }

    /// Only the first answer is known. Whoever asks again has to be asked again, too, after
    /// another search.
    #[inline(always)]
    fn search(&self, _: BucketPair, _: &Keys) -> Sighting {
        let Some(scratch) = Scratch::get() else {
            return Sighting::NONE;
        };
        scratch.asked += 1;
        if scratch.asked == 1 {
            Sighting::from_bits(scratch.sighting)
        } else {
            Sighting::NONE
        }
    }

    #[inline(always)]
    fn count(&self, statistic: Statistic) {
        self.0.count(statistic);
    }
}

/// Searches for the keys that the scratch has. A global function of BPF: see
/// [`step`](crate::outcome::step).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn probe() -> u64 {
    let Some((maps, scratch)) = Scratch::with_maps() else {
        return Sighting::NONE.bits();
    };
    search(&maps, scratch.pair, &scratch.keys).bits()
}

/// Searches for the tuple that the scratch has, and marks its twins. As [`probe`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn probe_and_flag_reverse() -> u64 {
    let Some((maps, scratch)) = Scratch::with_maps() else {
        return Sighting::NONE.bits();
    };
    search_and_flag_reverse(&maps, scratch.pair, &scratch.twin).bits()
}

/// Chooses the entry that is missed least, at the place that the scratch has. As [`probe`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn choose(now: u32) -> u32 {
    let Some((maps, scratch)) = Scratch::with_maps() else {
        return 0;
    };
    expendable_record(&maps, scratch.pair, now)
}
