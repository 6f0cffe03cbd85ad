//! Probing, for the kernel's verifier.
//!
//! The verifier walks every way through a loop and from it on, unless two of them meet with the
//! same knowledge of every variable. Here all ways lead to one place behind the loop, where what
//! was found is just a number; and every variable has a value from the start, for the verifier
//! refuses to see unset ones copied, as those of a `None` are.

use super::buckets::Keys;
use super::hash::BucketPair;
use super::layout::{BucketHeader, SLOTS};
use super::memory::{Bounds, Memory};
use super::sighting::Sighting;
use super::state_word::StateWord;
use super::word::Word;

/// Looks for two keys in both buckets of a pair. The first takes precedence.
#[inline(always)]
pub fn search<M: Memory>(memory: &M, pair: BucketPair, keys: &Keys) -> Sighting {
    let Some(home) = memory.bucket_header(pair.first) else {
        return Sighting::NONE;
    };
    let found = scan(memory, pair.first, home, pair.tag, keys);
    let enough = !found.is_none() && found.is_first();
    if enough || pair.second == pair.first || home.displaced.load() == 0 {
        return found;
    }
    let Some(header) = memory.bucket_header(pair.second) else {
        return found;
    };
    let other = scan(memory, pair.second, header, pair.tag, keys);
    if other.is_none() { found } else { other }
}

/// Looks for two keys in one bucket. The first takes precedence. An entry that goes meanwhile may
/// hide another one under the second key, as if the look-up had been a moment before.
#[inline(always)]
fn scan<M: Memory>(
    memory: &M,
    bucket: u32,
    header: &BucketHeader<M::Word>,
    tag: u8,
    keys: &Keys,
) -> Sighting {
    const NONE: u32 = u32::MAX;
    let (mut index, mut before, mut differing) = (NONE, StateWord(0), 0);
    let mut matching = M::matching(header, tag);
    for _ in 0..M::Bounds::CANDIDATES {
        if matching == 0 {
            break;
        }
        let candidate = bucket * SLOTS as u32 + matching.trailing_zeros();
        matching &= matching - 1;
        let Some(record) = memory.record(candidate) else {
            break;
        };
        let state = StateWord(record.state.load_acquire());
        let [of_first, of_second] = keys.differences(record);
        // A slot that is being emptied still has its tag and its tuple: it must not hide an entry
        // of the same tuple elsewhere.
        if of_first != 0 && of_second != 0 || !state.live() {
            continue;
        }
        (index, before, differing) = (candidate, state, of_first);
        if of_first == 0 {
            break;
        }
    }
    if index == NONE {
        return Sighting::NONE;
    }
    let Some(record) = memory.record(index) else {
        return Sighting::NONE;
    };
    M::Word::fence_acquire();
    let after = StateWord(record.state.load());
    if !after.live() || before.generation() != after.generation() {
        return Sighting::NONE;
    }
    Sighting::new(index, before.generation(), differing == 0)
}
