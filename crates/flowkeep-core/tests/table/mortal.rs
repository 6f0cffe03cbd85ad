//! A word whose writers may be killed, or stopped for a while.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use flowkeep_core::table::Word;

/// What becomes of a thread's writes.
enum Life {
    Immortal,
    /// Killed after so many more.
    Killed(u64),
    /// Killed: nothing that this process does has an effect any more, also what it does on the way
    /// out, as an unwinding panic would.
    Dead,
    /// Stopped after so many more: says so, and goes on when it is told to.
    Stopped(u64, Sender<Stop>, Receiver<()>),
}

/// What a thread says that may be stopped.
enum Stop {
    Here,
    Done,
}

thread_local! {
    static LIFE: RefCell<Life> = const { RefCell::new(Life::Immortal) };
}

/// Why a thread unwinds.
struct Killed;

/// Does something that is killed before its write number `writes`, from 0 on. Whether it was.
pub(super) fn killed_before(writes: u64, act: impl FnOnce()) -> bool {
    LIFE.set(Life::Killed(writes));
    let done = catch_unwind(AssertUnwindSafe(act));
    LIFE.set(Life::Immortal);
    match done {
        Ok(()) => false,
        Err(why) if why.is::<Killed>() => true,
        Err(why) => resume_unwind(why),
    }
}

/// Does something that is stopped before its write number `writes`, from 0 on, until something else
/// is done. Whether it was.
pub(super) fn stopped_before(
    writes: u64,
    act: impl FnOnce() + Send,
    meanwhile: impl FnOnce(),
) -> bool {
    let (says, said) = channel();
    let (goes_on, go_on) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            LIFE.set(Life::Stopped(writes, says.clone(), go_on));
            act();
            says.send(Stop::Done).expect("somebody waits");
        });
        let is_stopped = matches!(said.recv(), Ok(Stop::Here));
        if is_stopped {
            meanwhile();
            goes_on.send(()).expect("somebody waits");
        }
        is_stopped
    })
}

/// Whether a write takes place.
fn writes() -> bool {
    LIFE.with_borrow_mut(|life| match life {
        Life::Immortal => true,
        Life::Dead => false,
        Life::Killed(0) => {
            *life = Life::Dead;
            // Not `panic`: there is nothing to print.
            resume_unwind(Box::new(Killed))
        }
        Life::Stopped(0, says, go_on) => {
            says.send(Stop::Here).expect("somebody waits");
            go_on.recv().expect("somebody tells it to");
            *life = Life::Immortal;
            true
        }
        Life::Killed(left) | Life::Stopped(left, ..) => {
            *left -= 1;
            true
        }
    })
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Mortal(AtomicU64);

impl Word for Mortal {
    fn load(&self) -> u64 {
        Word::load(&self.0)
    }

    fn load_acquire(&self) -> u64 {
        self.0.load_acquire()
    }

    fn store(&self, value: u64) {
        if writes() {
            Word::store(&self.0, value);
        }
    }

    fn store_release(&self, value: u64) {
        if writes() {
            self.0.store_release(value);
        }
    }

    fn exchange(&self, current: u64, new: u64) -> bool {
        writes() && self.0.exchange(current, new)
    }

    fn add(&self, value: u64) {
        if writes() {
            self.0.add(value);
        }
    }

    fn flip(&self, bits: u64) {
        if writes() {
            self.0.flip(bits);
        }
    }

    fn fetch_add(&self, value: u64) -> u64 {
        if writes() {
            Word::fetch_add(&self.0, value)
        } else {
            Word::load(&self.0)
        }
    }

    fn fetch_or(&self, bits: u64) -> u64 {
        if writes() {
            Word::fetch_or(&self.0, bits)
        } else {
            Word::load(&self.0)
        }
    }

    fn mask(&self, bits: u64) {
        if writes() {
            self.0.mask(bits);
        }
    }

    fn fence_acquire() {
        AtomicU64::fence_acquire();
    }

    fn fence_release() {
        AtomicU64::fence_release();
    }

    fn relax() {}
}
