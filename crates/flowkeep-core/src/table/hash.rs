//! The hash: symmetric, so that a tuple and its reverse have the same place, and keyed, so that
//! nobody who does not know the seed can aim at a set.

use super::layout::SLOTS;
use crate::tuple::{Address, Flags, Tuple};

/// A table's secret. Choose it at random, for each table anew.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Seed([u64; Self::WORDS]);

/// Odd constants with evenly spread bits: the fractional parts of the golden ratio, of the square
/// root of 2 and of the square root of 3.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const SQRT_2: u64 = 0x6a09_e667_f3bc_c909;
const SQRT_3: u64 = 0xbb67_ae85_84ca_a73b;

impl Seed {
    /// Words of a seed.
    pub const WORDS: usize = 4;

    /// The seed made of these random words.
    #[must_use]
    pub const fn from_words(words: [u64; Self::WORDS]) -> Self {
        Self(words)
    }

    /// The seed stretched from a single number: for tests and benchmarks that have to repeat.
    #[must_use]
    pub const fn from_u64(mut number: u64) -> Self {
        let mut words = [0; Self::WORDS];
        let mut index = 0;
        while index < Self::WORDS {
            number = number.wrapping_add(GOLDEN);
            words[index] = mix(mix(number ^ SQRT_2).wrapping_mul(SQRT_3));
            index += 1;
        }
        Self(words)
    }

    /// The words that it is made of: to hand it on, never to show it.
    #[must_use]
    pub const fn words(&self) -> &[u64; Self::WORDS] {
        &self.0
    }

    /// The hash of a tuple and of its reverse. Flags are left out but for the address family.
    ///
    /// An address and its port go through NH (the universal hash of UMAC, RFC 4418, 5.2): sums of
    /// products of 32-bit words, each plus a secret one. Two different ends collide for one seed
    /// in 2^32, whatever they are. What comes out is mixed before both ends are added, so that
    /// exchanging the ports of two ends is not the same pair.
    #[inline]
    #[must_use]
    pub fn hash(&self, tuple: &Tuple) -> u64 {
        let ends = self
            .end(tuple.destination(), tuple.destination_port())
            .wrapping_add(self.end(tuple.source(), tuple.source_port()));
        let family = tuple.flags().0 & Flags::IPV6.0;
        let rest =
            u64::from(tuple.protocol()) | u64::from(family) << 8 | u64::from(tuple.zone()) << 16;
        mix(ends
            .wrapping_add((rest ^ self.0[3]).wrapping_mul(SQRT_3))
            .wrapping_mul(GOLDEN))
    }

    #[inline(always)]
    fn end(&self, address: Address, port: u16) -> u64 {
        let [high, low] = address.words();
        let sum = product(high, self.0[0])
            .wrapping_add(product(low, self.0[1]))
            .wrapping_add(product(u64::from(port), self.0[2]));
        mix(mix(sum).wrapping_mul(SQRT_2))
    }
}

impl core::fmt::Debug for Seed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Seed(secret)")
    }
}

/// One term of NH: the two halves of `word`, each plus a half of `key`, multiplied.
#[inline(always)]
const fn product(word: u64, key: u64) -> u64 {
    let low = (word as u32).wrapping_add(key as u32);
    let high = ((word >> 32) as u32).wrapping_add((key >> 32) as u32);
    low as u64 * high as u64
}

#[inline(always)]
const fn mix(word: u64) -> u64 {
    word ^ word >> 32
}

/// Where a tuple and its reverse may be: two sets, the tag that marks them there, and the slot that
/// they take if they can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketPair {
    /// The set that is looked at first.
    pub(super) first: u32,
    /// The other one; may be the same.
    pub(super) second: u32,
    /// Never 0.
    pub(super) tag: u8,
    /// The slot of the first set that is tried before all others: whoever guesses right needs no
    /// tags.
    pub(super) slot: u8,
}

impl BucketPair {
    /// Divides the bits of a hash: the high bits of its two halves choose the sets, the lowest
    /// byte is the tag. They overlap only in tables of more than 2^24 sets, which are larger
    /// than 2^29 records, more than a `u32` names. The slot is chosen by the bits below those that
    /// choose the second set, which has no part in it.
    #[inline]
    #[must_use]
    pub const fn new(hash: u64, buckets: u32) -> Self {
        let first = ((hash as u32 as u64 * buckets as u64) >> 32) as u32;
        let second = (((hash >> 32) * buckets as u64) >> 32) as u32;
        let tag = hash as u8;
        let slot = (((hash >> 32) & 0xffff) * SLOTS as u64) >> 16;
        Self {
            first,
            second,
            tag: if tag == 0 { 1 } else { tag },
            slot: slot as u8,
        }
    }

    /// The record of the slot that is tried before all others.
    #[inline(always)]
    pub(super) const fn home(self) -> u32 {
        self.first * SLOTS as u32 + self.slot as u32
    }

    /// The sets that are looked at, the first one first. They may be the same.
    #[must_use]
    pub const fn buckets(self) -> [u32; 2] {
        [self.first, self.second]
    }
}
