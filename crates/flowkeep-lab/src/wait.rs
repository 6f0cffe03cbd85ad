//! Waiting for what will be.

use std::thread;
use std::time::{Duration, Instant};

/// Far more than anything takes on a busy machine: whoever waits this long waits in vain.
const DEADLINE: Duration = Duration::from_secs(60);

/// Tries until there is an answer.
///
/// # Errors
/// What the last try said, a minute after the first.
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
