//! Waiting for a condition.

use std::thread;
use std::time::{Duration, Instant};

/// Far longer than anything takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Repeats an attempt until it succeeds.
///
/// # Errors
/// The error of the last attempt, a minute after the first one.
pub fn eventually<T, E>(mut attempt: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let end = Instant::now() + DEADLINE;
    let mut pause = Duration::from_millis(1);
    loop {
        match attempt() {
            Err(_) if Instant::now() < end => thread::sleep(pause),
            answer => return answer,
        }
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
