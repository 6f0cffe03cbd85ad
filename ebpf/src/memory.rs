//! The table's memory: elements of two array maps.

use flowkeep_core::table::{Head, Memory, Record, Seed, Statistic};

use crate::abi::Config;
use crate::maps::{CONFIG, HEADS, RECORDS, STATISTICS};
use crate::per_cpu;
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
}

impl Memory for Maps {
    type Word = Word;

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
    fn count(&self, statistic: Statistic) {
        per_cpu::increment(&STATISTICS, statistic as u32);
    }
}
