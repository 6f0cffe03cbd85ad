//! Seeds of tables.

use std::hash::{BuildHasher, RandomState};

use flowkeep_core::table::Seed;

/// A seed that nobody outside can guess, from the standard library's own seeding: whoever knows a
/// table's seed can send packets that all belong in the same bucket.
#[must_use]
pub fn random_seed() -> Seed {
    Seed::from_words([(); Seed::WORDS].map(|()| RandomState::new().hash_one(0)))
}
