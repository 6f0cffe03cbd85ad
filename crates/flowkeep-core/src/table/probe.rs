//! Probing, for processors that work ahead.

use super::hash::Place;
use super::insert::Watch;
use super::layout::{Head, LANES};
use super::memory::Memory;
use super::record::{Handle, Life};
use super::sets::{CANDIDATES, SetTable, differs};
use super::word::Word;
use crate::table::Found;
use crate::tuple::Tuple;

/// An entry under one of two keys.
struct Sighting<'t, W> {
    handle: Handle<'t, W>,
    is_first: bool,
}

/// Whether a record's key is this one.
#[inline(always)]
fn holds<W: Word>(record: &super::Record<W>, key: &Tuple) -> bool {
    differs(record, key) == 0
}

impl<M: Memory, O: Watch> SetTable<M, O> {
    /// Looks for a tuple's key in one set, and for a second one beside it. The first takes
    /// precedence.
    ///
    /// Which of the two is found is as good as random, and known only once the record has come
    /// from memory: a branch on it would be mispredicted half the time and keep the processor
    /// from working ahead for all of that wait. So it is data here, and a branch only where there
    /// is more to look at.
    #[inline(always)]
    fn scan<'t>(
        &'t self,
        set: u32,
        head: &Head<M::Word>,
        tag: u8,
        first: &Tuple,
        second: &Tuple,
    ) -> Option<Sighting<'t, M::Word>> {
        let mut found = None;
        let mut matching = head.matching::<M>(tag);
        for _ in 0..CANDIDATES {
            if matching == 0 {
                break;
            }
            let index = set * LANES as u32 + matching.trailing_zeros();
            matching &= matching - 1;
            let Some(record) = self.memory.record(index) else {
                break;
            };
            let life = Life(record.life.load_acquire());
            let (is_first, is_second) = (holds(record, first), holds(record, second));
            if !(is_first | is_second) || !life.live() {
                continue;
            }
            if M::SHARED {
                M::Word::fence_acquire();
                let again = Life(record.life.load());
                if !again.live() || again.generation() != life.generation() {
                    continue;
                }
            }
            found = Some(Sighting {
                handle: Handle::new(record, index, life.generation(), M::SHARED),
                is_first,
            });
            if matching == 0 || is_first {
                break;
            }
        }
        found
    }

    /// Looks for two keys in the second set of a place: apart, so that the way of most look-ups is
    /// short, and the processor gets far ahead on it.
    #[inline(never)]
    fn search_second(
        &self,
        place: Place,
        first: &Tuple,
        second: &Tuple,
    ) -> Option<Sighting<'_, M::Word>> {
        if place.second == place.first {
            return None;
        }
        let head = self.memory.head(place.second)?;
        self.scan(place.second, head, place.tag, first, second)
    }

    /// Looks for two keys in both sets of a place.
    #[inline(always)]
    pub(super) fn search(
        &self,
        place: Place,
        first: &Tuple,
        second: &Tuple,
    ) -> Option<Found<Handle<'_, M::Word>>> {
        let head = self.memory.head(place.first)?;
        let mut found = self.scan(place.first, head, place.tag, first, second);
        if head.displaced.load() != 0 && !found.as_ref().is_some_and(|found| found.is_first) {
            found = self.search_second(place, first, second).or(found);
        }
        let Sighting { handle, is_first } = found?;
        Some(if is_first {
            Found::First(handle)
        } else {
            Found::Second(handle)
        })
    }
}
