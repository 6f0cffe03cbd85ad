//! The table's memory: elements of two array maps.

use flowkeep_core::table::{
    Head, Keys, Memory, Place, Record, Seed, Sighting, Statistic, expendable_record, search,
    search_and_mark_twins,
};
use flowkeep_core::tuple::Tuple;

use crate::abi::{Config, table};
use crate::maps::{CONFIG, HEADS, RECORDS, STATISTICS};
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
    fn sets(&self) -> u32 {
        self.config.sets
    }

    #[inline(always)]
    fn seed(&self) -> &Seed {
        &self.config.seed
    }

    #[inline(always)]
    fn head(&self, set: u32) -> Option<&Head<Word>> {
        // SAFETY: an element is as large as a head, elements lie in line from a page's start, and
        // any bytes are a valid head of words. Maps live as long as the program runs.
        HEADS
            .get_ptr(set)
            .map(|head| unsafe { &*head.cast::<Head<Word>>() })
    }

    #[inline(always)]
    fn record(&self, index: u32) -> Option<&Record<Word>> {
        // SAFETY: as for a head.
        RECORDS
            .get_ptr(index)
            .map(|record| unsafe { &*record.cast::<Record<Word>>() })
    }

    #[inline(always)]
    fn search(&self, place: Place, keys: &Keys) -> Sighting {
        let Some(scratch) = Scratch::get() else {
            return Sighting::NONE;
        };
        scratch.place = place;
        scratch.keys = *keys;
        Sighting::from_bits(probe())
    }

    #[inline(always)]
    fn search_and_mark_twins(&self, place: Place, tuple: &Tuple) -> Sighting {
        let Some(scratch) = Scratch::get() else {
            return Sighting::NONE;
        };
        scratch.place = place;
        scratch.twin = *tuple;
        Sighting::from_bits(probe_and_mark_twins())
    }

    #[inline(always)]
    fn least_loss(&self, place: Place, now: u32) -> Option<u32> {
        let scratch = Scratch::get()?;
        scratch.place = place;
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
    fn sets(&self) -> u32 {
        self.0.sets()
    }

    #[inline(always)]
    fn seed(&self) -> &Seed {
        self.0.seed()
    }

    #[inline(always)]
    fn head(&self, set: u32) -> Option<&Head<Word>> {
        self.0.head(set)
    }

    #[inline(always)]
    fn record(&self, index: u32) -> Option<&Record<Word>> {
        self.0.record(index)
    }

    /// Only the first answer is known. Whoever asks again has to be asked again, too, after
    /// another search.
    #[inline(always)]
    fn search(&self, _: Place, _: &Keys) -> Sighting {
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
    search(&maps, scratch.place, &scratch.keys).bits()
}

/// Searches for the tuple that the scratch has, and marks its twins. As [`probe`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn probe_and_mark_twins() -> u64 {
    let Some((maps, scratch)) = Scratch::with_maps() else {
        return Sighting::NONE.bits();
    };
    search_and_mark_twins(&maps, scratch.place, &scratch.twin).bits()
}

/// Chooses the entry that is missed least, at the place that the scratch has. As [`probe`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn choose(now: u32) -> u32 {
    let Some((maps, scratch)) = Scratch::with_maps() else {
        return 0;
    };
    expendable_record(&maps, scratch.place, now)
}
