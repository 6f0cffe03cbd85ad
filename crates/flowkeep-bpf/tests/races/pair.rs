//! Two threads, each on a processor of its own, that do a pair of things at the same time.

use std::hint::spin_loop;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Two processors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Processors([usize; 2]);

impl Processors {
    /// The first two that this process may run on, if it may run on two.
    pub(crate) fn two() -> Option<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).ok()?;
        let mut numbers = (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu) == Ok(true));
        Some(Self([numbers.next()?, numbers.next()?]))
    }
}

fn pin(processor: usize) {
    let mut only = CpuSet::new();
    only.set(processor).expect("it was in such a set");
    sched_setaffinity(Pid::from_raw(0), &only).expect("this process may run there");
}

/// How long one side waits at most after both have met. The mean of both sides' waits is the
/// same, so the difference of their beginnings is spread evenly around 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delays(pub(crate) [Duration; 2]);

/// When one side did its part of a pair.
#[derive(Clone, Copy, Debug)]
struct Part {
    end: Instant,
    /// How long before that the part that matters began: the run of a program, without the system
    /// call around it.
    lasted: Duration,
}

/// How often both sides were at it at the same time.
///
/// An estimate: a program is taken to have run until its system call returned. It ended a little
/// earlier, but on both sides by about the same.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overlap {
    pub(crate) pairs: usize,
    pub(crate) overlapped: usize,
}

impl Overlap {
    pub(crate) fn add(&mut self, other: Self) {
        self.pairs += other.pairs;
        self.overlapped += other.overlapped;
    }
}

/// What one side has to do in a pair, by the pair's number. It says how long it took, and counts
/// only what races.
pub(crate) type Side<'a> = &'a (dyn Fn(usize) -> Duration + Sync);

/// Does so many pairs. The first side is done on this thread.
pub(crate) fn race(
    processors: Processors,
    pairs: usize,
    delays: Delays,
    [here, there]: [Side<'_>; 2],
) -> Overlap {
    let gate = Gate::default();
    let side = |number: usize, act: Side<'_>| {
        pin(processors.0[number]);
        let mut random = Rng::new();
        let longest = delays.0[number].as_nanos() as u64;
        let parts = (0..pairs).map(|pair| {
            let delay = Duration::from_nanos(random.u64(0..=longest));
            gate.meet(number, pair + 1);
            spin(delay);
            let lasted = act(pair);
            let end = Instant::now();
            Part { end, lasted }
        });
        parts.collect::<Vec<_>>()
    };
    let (here, there) = thread::scope(|scope| {
        let there = scope.spawn(|| side(1, there));
        let here = side(0, here);
        (here, there.join().expect("it would have said why"))
    });
    let overlapped = here.iter().zip(&there).filter(|(a, b)| overlap(a, b));
    Overlap {
        pairs,
        overlapped: overlapped.count(),
    }
}

fn overlap(a: &Part, b: &Part) -> bool {
    // Not by subtraction from the end: an `Instant` before the clock's beginning is a panic.
    let (earlier, later) = if a.end < b.end { (a, b) } else { (b, a) };
    later.end.duration_since(earlier.end) < later.lasted
}

fn spin(delay: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < delay {
        spin_loop();
    }
}

/// Where both sides wait for each other before each pair.
#[derive(Default)]
struct Gate([Line; 2]);

/// Alone on a cache line (and the one that processors fetch with it).
#[derive(Default)]
#[repr(align(128))]
struct Line(AtomicUsize);

impl Gate {
    /// Waits until the other side is as far. `round` is greater than before.
    fn meet(&self, side: usize, round: usize) {
        self.0[side].0.store(round, Release);
        let other = &self.0[1 - side].0;
        let mut turns: u32 = 0;
        while other.load(Acquire) < round {
            turns += 1;
            // The other's processor may have been given to another process.
            if turns.is_multiple_of(1 << 14) {
                thread::yield_now();
            }
            spin_loop();
        }
    }
}
