//! What plays the cases: the model, the machine, a table, or programs loaded into a kernel.

use serde::Deserialize;

/// One end of the flow.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Host {
    Client,
    Server,
}

impl Host {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    Strict,
    Liberal,
    LooseOff,
    OneWay,
}

/// The timeouts that the cases are played with, in seconds.
pub(crate) mod timeout {
    pub(crate) const SYN: u64 = 120;
    pub(crate) const SYN_RECV: u64 = 60;
    pub(crate) const ESTABLISHED: u64 = 432_000;
    pub(crate) const FIN_WAIT: u64 = 120;
    pub(crate) const HALF_CLOSED: u64 = 900;
    pub(crate) const LAST_ACK: u64 = 30;
    pub(crate) const TIME_WAIT: u64 = 120;
    pub(crate) const CLOSE: u64 = 10;
    /// Where less than the state's own is called for.
    pub(crate) const AT_MOST: u64 = 300;
}

/// The flow's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As the files name it.
    pub(crate) state: &'static str,
    /// When it expires, in milliseconds.
    pub(crate) expires: u64,
    pub(crate) originator: Host,
    pub(crate) assured: bool,
}

/// A tracker of the flow of a case. Everything that it is told comes in frames.
pub(crate) trait Tracker {
    fn name(&self) -> &'static str;

    /// Forgets everything but its counters.
    fn reset(&mut self, mode: Mode);

    /// Judges a frame: `new`, `established`, `reply`, `related` or `invalid`.
    fn track(&mut self, frame: &[u8], now: u64) -> &'static str;

    /// How many packets have been counted under a reason.
    fn counted(&self, reason: &str) -> u64;

    /// The entry of the case's flow.
    fn entry(&self) -> Option<Entry>;

    /// How many entries there are.
    fn entries(&self) -> usize;

    /// How precisely it keeps lifetimes, in milliseconds.
    fn granularity(&self) -> u64 {
        0
    }
}
