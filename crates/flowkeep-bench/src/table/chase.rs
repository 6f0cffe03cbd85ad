//! What one random access to memory costs.

use std::hint::black_box;
use std::time::Instant;

use super::input::Random;

/// Words of a cache line.
const LINE: usize = 8;

/// A cycle through all lines of some memory, in random order: each line tells which is next, so
/// that no access can begin before the one before it has ended.
pub(super) struct Chase {
    words: Vec<u64>,
    at: u64,
}

impl Chase {
    /// A cycle through this many bytes.
    pub(super) fn over(bytes: u64, random: &mut Random) -> Self {
        let lines = (bytes as usize / (LINE * 8)).max(1);
        let mut words = vec![0; lines * LINE];
        for (line, word) in words.iter_mut().step_by(LINE).enumerate() {
            *word = (line * LINE) as u64;
        }
        // Sattolo's algorithm: a permutation of a single cycle.
        for line in (1..lines).rev() {
            words.swap(line * LINE, random.below(line as u32) as usize * LINE);
        }
        Self { words, at: 0 }
    }

    /// Nanoseconds an access, over this many.
    pub(super) fn run(&mut self, accesses: usize) -> f64 {
        let start = Instant::now();
        let mut at = self.at;
        for _ in 0..accesses {
            at = self.words[at as usize];
        }
        self.at = black_box(at);
        start.elapsed().as_nanos() as f64 / accesses as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chase_visits_every_line_once_before_it_begins_again() {
        let chase = Chase::over(64 * 1000, &mut Random::new(1));
        let mut at = 0;
        let mut steps = 0;
        loop {
            at = chase.words[at as usize];
            steps += 1;
            assert!((at as usize).is_multiple_of(LINE) && steps <= 1000);
            if at == 0 {
                break;
            }
        }
        assert_eq!(steps, 1000);
    }
}
