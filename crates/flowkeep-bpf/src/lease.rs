//! The lease by which programs know that events are read.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::abi::TICKS_PER_SECOND;
use crate::config::MappedConfig;
use crate::{Clock, Error};

/// How long the programs send events after the last renewal. It is longer than a thread of a busy
/// machine waits. After a reader was killed, packets take the slow path for this long.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// Time between two renewals.
const RENEWAL: Duration = Duration::from_secs(1);

/// Makes the programs send events while it lives. A thread renews it, because its owner may block, for
/// example on a full pipe.
#[derive(Debug)]
pub(crate) struct Lease {
    config: Arc<MappedConfig>,
    /// For how many ticks it had expired, because this process was stopped or the machine suspended.
    lapsed: Arc<AtomicU64>,
    /// The thread ends when this is dropped.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lease {
    /// Starts it. It is not renewed if the programs' clock is set by tests.
    pub(crate) fn new(config: MappedConfig, clock_is_set: bool) -> Result<Self, Error> {
        let config = Arc::new(config);
        let lapsed = Arc::new(AtomicU64::new(0));
        if clock_is_set {
            config.set_watched(u64::MAX);
            return Ok(Self {
                config,
                lapsed,
                stop: None,
                thread: None,
            });
        }
        config.set_clock();
        config.set_watched(until(&Clock::now()));
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = {
            let (config, lapsed) = (Arc::clone(&config), Arc::clone(&lapsed));
            thread::Builder::new()
                .name("flowkeep lease".to_owned())
                .spawn(move || {
                    while stopped.recv_timeout(RENEWAL) == Err(RecvTimeoutError::Timeout) {
                        renew(&config, &lapsed);
                    }
                })
                .map_err(Error::Thread)?
        };
        Ok(Self {
            config,
            lapsed,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// For how long the programs sent nothing although this lived.
    pub(crate) fn lapsed(&self) -> Duration {
        Duration::from_nanos(self.lapsed.load(Relaxed))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does not panic.
            let _ = thread.join();
        }
        self.config.set_watched(0);
    }
}

fn renew(config: &MappedConfig, lapsed: &AtomicU64) {
    config.set_clock();
    let now = Clock::now();
    let ago = now.ticks().saturating_sub(config.watched());
    if ago != 0 {
        lapsed.fetch_add(ago, Relaxed);
    }
    config.set_watched(until(&now));
}

const fn until(now: &Clock) -> u64 {
    now.ticks() + LEASE.as_secs() * TICKS_PER_SECOND
}
