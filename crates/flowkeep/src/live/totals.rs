//! How many connections there are, and what has happened to the table so far.

use flowkeep_bpf::Kernel;
use flowkeep_core::table::Statistic;

use super::{Clock, Error};
use crate::connection::{Census, SECOND, census};

/// What the table has in it and what it has counted, at one moment.
#[derive(Clone, Debug)]
pub struct Totals {
    /// When, in nanoseconds of the monotonic clock.
    pub at: u64,
    /// Entries that there is room for.
    pub capacity: u64,
    /// Entries by state.
    pub census: Census,
    statistics: [u64; Statistic::ALL.len()],
    errors: [u64; flowkeep_core::Error::ALL.len()],
}

impl Totals {
    pub(super) fn read(kernel: &Kernel) -> Result<Self, Error> {
        let clock = Clock::now();
        let mut totals = Self {
            at: clock.monotonic(),
            capacity: kernel.table().capacity(),
            census: census(kernel.table(), clock.seconds()),
            statistics: [0; _],
            errors: [0; _],
        };
        for statistic in Statistic::ALL {
            totals.statistics[statistic as usize] = kernel.statistic(statistic)?;
        }
        for error in flowkeep_core::Error::ALL {
            totals.errors[error.index()] = kernel.errors(error)?;
        }
        Ok(totals)
    }

    /// How often something happened to the table.
    #[must_use]
    pub const fn statistic(&self, statistic: Statistic) -> u64 {
        self.statistics[statistic as usize]
    }

    /// How many packets were not tracked for this reason.
    #[must_use]
    pub const fn error(&self, error: flowkeep_core::Error) -> u64 {
        self.errors[error.index()]
    }

    /// Connections created.
    #[must_use]
    pub fn created(&self) -> u64 {
        [
            Statistic::Inserted,
            Statistic::Overwritten,
            Statistic::ReplacedExpired,
            Statistic::ReplacedClosed,
            Statistic::ReplacedUnanswered,
        ]
        .map(|statistic| self.statistic(statistic))
        .iter()
        .sum()
    }

    /// Connections that gave up their room before their time: closed or unanswered ones.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.statistic(Statistic::ReplacedClosed) + self.statistic(Statistic::ReplacedUnanswered)
    }

    /// Connections that were not stored, because others must not be evicted or were faster.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.statistic(Statistic::Refused) + self.statistic(Statistic::Contended)
    }

    /// Connections whose timeout has not passed.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.census.connections()
    }
}

/// What happened a second, between two [`Totals`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Connections created.
    pub created: f64,
    /// Connections evicted.
    pub evicted: f64,
    /// Connections refused.
    pub refused: f64,
}

impl Rates {
    /// From the earlier totals to the later ones; 0 if no time has passed.
    #[must_use]
    pub fn between(earlier: &Totals, later: &Totals) -> Self {
        let seconds = later.at.saturating_sub(earlier.at) as f64 / SECOND as f64;
        let rate = |before: u64, after: u64| {
            if seconds > 0.0 {
                after.saturating_sub(before) as f64 / seconds
            } else {
                0.0
            }
        };
        Self {
            created: rate(earlier.created(), later.created()),
            evicted: rate(earlier.evicted(), later.evicted()),
            refused: rate(earlier.refused(), later.refused()),
        }
    }
}
