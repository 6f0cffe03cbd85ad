//! Two threads, each on a processor of its own, that do a pair of things at the same time.

use std::hint::spin_loop;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
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

/// How the two sides of a pair are brought together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Nanoseconds by which one side may wait for the other.
    spread: u64,
    /// Nanoseconds that the first side waits beyond that, or the second if it is negative.
    lead: i64,
}

impl Pace {
    /// Both sides begin together, up to a difference of `spread` nanoseconds.
    pub(crate) const fn new(spread: u64) -> Self {
        Self { spread, lead: 0 }
    }

    /// From now on the first side begins so many nanoseconds later.
    pub(crate) fn shift(&mut self, later: i64) {
        self.lead = (self.lead + later).clamp(-LONGEST, LONGEST);
    }

    /// How much longer the first side waits in the next pair than the second.
    fn next(self, random: &mut Rng) -> i64 {
        // Often none, and short ones more often than long ones: what races is done within some ten
        // nanoseconds.
        let longest = if random.bool() {
            0
        } else {
            (self.spread >> random.u32(0..6)).cast_signed()
        };
        self.lead + random.i64(-longest..=longest)
    }
}

/// Longest lead, in nanoseconds: more is another process that has had the processor.
const LONGEST: i64 = 5_000;

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

/// What came of some pairs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raced {
    pub(crate) overlap: Overlap,
    /// By how many nanoseconds the first side would have to begin later, for half of the pairs to be
    /// ended by either.
    pub(crate) later: i64,
}

/// What one side has to do in a pair, by the pair's number. It says how long it took, and counts
/// only what races.
pub(crate) type Side<'a> = &'a (dyn Fn(usize) -> Duration + Sync);

/// Does so many pairs. The first side is done on this thread.
pub(crate) fn race(
    processors: Processors,
    pairs: usize,
    pace: Pace,
    [here, there]: [Side<'_>; 2],
) -> Raced {
    let gate = Gate::new();
    let seed = fastrand::u64(..);
    let side = |number: usize, act: Side<'_>| {
        pin(processors.0[number]);
        // The same numbers on both sides, so that one waits and the other does not.
        let mut random = Rng::with_seed(seed);
        let _gives_up = GivesUp(&gate);
        let parts = (0..pairs).map(|pair| {
            let wait = pace.next(&mut random) * if number == 0 { 1 } else { -1 };
            gate.pass(number, pair as u64 + 1, wait.max(0).cast_unsigned());
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
    Raced {
        overlap: Overlap {
            pairs,
            overlapped: overlapped.count(),
        },
        later: median(here.iter().zip(&there).map(|(a, b)| later(a, b))),
    }
}

/// By how many nanoseconds the first ended before the second.
fn later(a: &Part, b: &Part) -> i64 {
    // Each is 0 where the difference is negative.
    let (before, after) = (b.end.duration_since(a.end), a.end.duration_since(b.end));
    before.as_nanos() as i64 - after.as_nanos() as i64
}

fn median(numbers: impl Iterator<Item = i64>) -> i64 {
    let mut numbers: Vec<i64> = numbers.collect();
    let middle = numbers.len() / 2;
    if numbers.is_empty() {
        return 0;
    }
    *numbers.select_nth_unstable(middle).1
}

fn overlap(a: &Part, b: &Part) -> bool {
    // Not by subtraction from the end: an `Instant` before the clock's beginning is a panic.
    let (earlier, later) = if a.end < b.end { (a, b) } else { (b, a) };
    later.end.duration_since(earlier.end) < later.lasted
}

/// Where both sides wait for each other before each pair.
struct Gate {
    epoch: Instant,
    /// Rounds that each side has come to.
    arrived: [Line; 2],
    /// Nanoseconds since the epoch at which the round begins.
    begin: Line,
    /// One of the sides has panicked.
    given_up: AtomicBool,
}

/// Tells the other side of a panic, which would wait for ever.
struct GivesUp<'a>(&'a Gate);

impl Drop for GivesUp<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.given_up.store(true, Release);
        }
    }
}

/// Alone on a cache line (and the one that processors fetch with it).
#[derive(Default)]
#[repr(align(128))]
struct Line(AtomicU64);

impl Gate {
    /// As long as it takes to tell the other side when to begin, and some more.
    const NOTICE: u64 = 300;

    fn new() -> Self {
        Self {
            epoch: Instant::now(),
            arrived: Default::default(),
            begin: Line::default(),
            given_up: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// Waits until both sides are as far, and then for so many nanoseconds. `round` is greater than
    /// before.
    fn pass(&self, side: usize, round: u64, delay: u64) {
        let begin = &self.begin.0;
        let before = begin.load(Acquire);
        self.arrived[side].0.store(round, Release);
        if side == 0 {
            self.wait(|| self.arrived[1].0.load(Acquire) >= round);
            begin.store(self.now() + Self::NOTICE, Release);
        } else {
            self.wait(|| begin.load(Acquire) != before);
        }
        let begin = begin.load(Acquire) + delay;
        while self.now() < begin {}
    }

    fn wait(&self, until: impl Fn() -> bool) {
        let mut turns: u32 = 0;
        while !until() {
            turns += 1;
            if turns.is_multiple_of(1 << 14) {
                assert!(!self.given_up.load(Acquire), "the other side panicked");
                // The other's processor may have been given to another process.
                thread::yield_now();
            }
            spin_loop();
        }
    }
}
