//! The table's memory: elements of two array maps.

use flowkeep_abi::Config;
use flowkeep_core::table::{
    BucketHeader, BucketPair, KernelBounds, Keys, Lock, Memory, Record, Seed, Sighting, Statistic,
    least_loss, lock, search, search_locked, wait_while_busy,
};
use flowkeep_core::tracker::Instant;
use flowkeep_core::tuple::Tuple;

use crate::maps::{BUCKETS, CONFIG, RECORDS, STATISTICS};
use crate::per_cpu;
use crate::scratch::Scratch;
use crate::word::Word;

/// The table's memory. What is searched `IN_PLACE` is not in a function of its own.
#[derive(Clone, Copy)]
pub(crate) struct Maps<const IN_PLACE: bool = false> {
    pub(crate) config: &'static Config,
}

impl<const IN_PLACE: bool> Maps<IN_PLACE> {
    #[inline(always)]
    pub(crate) fn new() -> Option<Self> {
        let config = CONFIG.get_ptr(0)?;
        // SAFETY: the map has one element, as large and as aligned as a config, which the loader
        // has written before it attached the programs. What user space changes later are single
        // numbers, and any of them is as good as the one before.
        let config = unsafe { &*config.cast::<Config>() };
        Some(Self { config })
    }

    /// Whether somebody reads events now: whoever does renews the lease.
    #[inline(always)]
    pub(crate) fn watched(self, now: Instant) -> bool {
        // SAFETY: a field of a valid reference, which user space changes.
        unsafe { (&raw const self.config.watched).read_volatile() > now.ticks }
    }
}

impl<const IN_PLACE: bool> Memory for Maps<IN_PLACE> {
    type Word = Word;
    type Bounds = KernelBounds;

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
        // SAFETY: an element is as large as a header, elements lie in line from a page's start,
        // and any bytes are a valid header of words. Maps live as long as the program runs.
        BUCKETS
            .get_ptr(bucket)
            .map(|header| unsafe { &*header.cast::<BucketHeader<Word>>() })
    }

    #[inline(always)]
    fn record(&self, index: u32) -> Option<&Record<Word>> {
        // SAFETY: as for a header.
        RECORDS
            .get_ptr(index)
            .map(|record| unsafe { &*record.cast::<Record<Word>>() })
    }

    #[inline(always)]
    fn search(&self, pair: BucketPair, keys: &Keys) -> Sighting {
        if IN_PLACE {
            return search(self, pair, keys);
        }
        let Some(scratch) = Scratch::get() else {
            return Sighting::NONE;
        };
        scratch.pair = pair;
        scratch.keys = *keys;
        Sighting::from_bits(probe())
    }

    #[inline(always)]
    fn lock(&self, bucket: u32, now: u32) -> Lock {
        let mut held = Lock::NONE;
        for _ in 0..PATIENCE {
            held = Lock::from_bits(take_lock(bucket, now));
            if held.is_held() {
                break;
            }
        }
        held
    }

    #[inline(always)]
    fn wait_while_busy(&self, index: u32) {
        for _ in 0..PATIENCE {
            if await_slot(index) != 0 {
                break;
            }
        }
    }

    #[inline(always)]
    fn search_locked(
        &self,
        pair: BucketPair,
        tuple: &Tuple,
        other: &Tuple,
        oldest: u32,
    ) -> Sighting {
        let Some(scratch) = Scratch::get() else {
            return Sighting::NONE;
        };
        scratch.pair = pair;
        scratch.keys = Keys::pair(*tuple, *other);
        Sighting::from_bits(probe_locked(oldest))
    }

    #[inline(always)]
    fn least_loss(&self, pair: BucketPair, now: u32) -> u64 {
        let Some(scratch) = Scratch::get() else {
            return 0;
        };
        scratch.pair = pair;
        choose(now)
    }

    #[inline(always)]
    fn count(&self, statistic: Statistic) {
        per_cpu::increment(&STATISTICS, statistic as u32);
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

/// Searches for the keys that the scratch has, and flags what has the ends of the first in the
/// other direction. As [`probe`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn probe_locked(oldest: u32) -> u64 {
    let Some((maps, scratch)) = Scratch::with_maps() else {
        return Sighting::NONE.bits();
    };
    let Keys { first, second } = &scratch.keys;
    search_locked(&maps, scratch.pair, first, second, oldest).bits()
}

/// How often a wait is begun anew, each of a hundred looks at a word and at the clock: some
/// milliseconds in all. Whoever is waited for is done in a microsecond, unless its processor is a
/// virtual one that was taken away meanwhile, or a task that runs a program for a test.
const PATIENCE: u32 = 512;

/// Waits until a slot is no longer busy. As [`probe`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn await_slot(index: u32) -> u32 {
    Maps::<false>::new().map_or(1, |maps| u32::from(wait_while_busy(&maps, index)))
}

/// Takes a bucket's lock. As [`probe`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn take_lock(bucket: u32, now: u32) -> u64 {
    Maps::<false>::new().map_or(0, |maps| lock(&maps, bucket, now).bits())
}

/// Chooses the entry that is missed least, in the buckets that the scratch has. As [`probe`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn choose(now: u32) -> u64 {
    let Some((maps, scratch)) = Scratch::with_maps() else {
        return 0;
    };
    least_loss(&maps, scratch.pair, now)
}
