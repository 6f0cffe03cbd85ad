//! Probing, for the kernel's verifier.
//!
//! The verifier walks every way through a loop and from it on, unless two of them meet with the
//! same knowledge of every variable. Here all ways lead to one place behind the loop, where what
//! was found is just a number; and every variable has a value from the start, for the verifier
//! refuses to see unset ones copied, as those of a `None` are.

use super::Record;
use super::hash::Place;
use super::insert::Watch;
use super::layout::{Head, LANES};
use super::memory::Memory;
use super::record::{Handle, Life};
use super::sets::{CANDIDATES, SetTable, differs};
use super::word::Word;
use crate::table::Found;
use crate::tuple::Tuple;

/// An entry under one of two keys, or nothing.
struct Sighting<'t, W> {
    record: Option<&'t Record<W>>,
    index: u32,
    generation: u16,
    /// In which bits its key is not the first one.
    differing: u64,
}

impl<M: Memory, O: Watch> SetTable<M, O> {
    /// Looks for two keys in one set. The first takes precedence. An entry that goes meanwhile may
    /// hide another one under the second key, as if the look-up had been a moment before.
    #[inline(always)]
    fn scan<'t>(
        &'t self,
        set: u32,
        head: &Head<M::Word>,
        tag: u8,
        first: &Tuple,
        second: &Tuple,
    ) -> Sighting<'t, M::Word> {
        const NONE: u32 = u32::MAX;
        let (mut index, mut before, mut differing) = (NONE, Life(0), 0);
        let mut matching = M::matching(head, tag);
        for _ in 0..CANDIDATES {
            if matching == 0 {
                break;
            }
            let candidate = set * LANES as u32 + matching.trailing_zeros();
            matching &= matching - 1;
            let Some(record) = self.memory.record(candidate) else {
                break;
            };
            let life = Life(record.life.load_acquire());
            let of_first = differs(record, first);
            if of_first != 0 && differs(record, second) != 0 {
                continue;
            }
            (index, before, differing) = (candidate, life, of_first);
            if of_first == 0 {
                break;
            }
        }
        let generation = before.generation();
        let nothing = Sighting {
            record: None,
            index,
            generation,
            differing,
        };
        if index == NONE {
            return nothing;
        }
        let Some(record) = self.memory.record(index) else {
            return nothing;
        };
        M::Word::fence_acquire();
        let after = Life(record.life.load());
        if !before.live() || !after.live() || generation != after.generation() {
            return nothing;
        }
        Sighting {
            record: Some(record),
            ..nothing
        }
    }

    /// Looks for two keys in both sets of a place.
    #[inline(always)]
    pub(super) fn search(
        &self,
        place: Place,
        first: &Tuple,
        second: &Tuple,
    ) -> Option<Found<Handle<'_, M::Word>>> {
        let home = self.memory.head(place.first)?;
        let mut found = self.scan(place.first, home, place.tag, first, second);
        let enough = found.record.is_some() && found.differing == 0;
        if !enough && place.second != place.first && home.displaced.load() != 0 {
            let head = self.memory.head(place.second)?;
            let other = self.scan(place.second, head, place.tag, first, second);
            if other.record.is_some() {
                found = other;
            }
        }
        Some(Found {
            slot: Handle::new(found.record?, found.index, found.generation, M::SHARED),
            is_first: found.differing == 0,
        })
    }
}
