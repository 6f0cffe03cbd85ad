//! How many connections there are, and what has happened to the table so far.

use flowkeep_bpf::{Clock, Kernel};
use flowkeep_core::error::Refusal;
use flowkeep_core::table::Statistic;

use super::pinned::table_clock;
use super::{Error, Mode};
use crate::connection::{Census, ConnectionState, SECOND, Timestamp, census};

/// What a tracker has counted, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Statistics<'a> {
    /// The interfaces that are tracked, and how.
    pub interfaces: &'a [(String, Mode)],
    /// What is in the table, and what was counted since it was made.
    pub totals: &'a Totals,
    /// What happened a second since the statistics before.
    pub rates: Option<Rates>,
}

/// What is in the table, and what was counted since it was made.
#[derive(Clone, Debug)]
pub struct Totals {
    /// When these numbers were read.
    pub time: Timestamp,
    /// The same, in nanoseconds of the programs' clock, which cannot be set.
    ticks: u64,
    /// How many entries the table can hold.
    pub capacity: u64,
    /// The entries, by what they are.
    pub census: Census,
    statistics: [u64; Statistic::ALL.len()],
    errors: [u64; flowkeep_core::Error::ALL.len()],
}

impl Totals {
    pub(super) fn read(kernel: &Kernel) -> Result<Self, Error> {
        let clock = Clock::now();
        let mut totals = Self {
            time: table_clock(&clock).of_tick(clock.ticks()),
            ticks: clock.ticks(),
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

    /// Connections whose timeout has not passed.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.census.connections()
    }

    /// The same, by state.
    #[must_use]
    pub fn by_state(&self) -> [(ConnectionState, u64); ConnectionState::ALL.len()] {
        ConnectionState::ALL.map(|state| (state, self.census.count(state)))
    }

    /// How full the table is, from 0 to 1. Expired entries do not count: new ones replace them.
    #[must_use]
    pub fn fill(&self) -> f64 {
        self.census.entries() as f64 / self.capacity.max(1) as f64
    }

    /// What has happened to the table's entries, by name.
    #[must_use]
    pub fn entries(&self) -> [(&'static str, u64); Statistic::ALL.len()] {
        Statistic::ALL.map(|statistic| (name(statistic), self.statistic(statistic)))
    }

    /// How many packets were not tracked, by reason. Connections that the table rejected are among
    /// [`Self::entries`].
    pub fn errors(&self) -> impl Iterator<Item = (flowkeep_core::Error, u64)> {
        flowkeep_core::Error::ALL
            .into_iter()
            .filter(|error| *error != flowkeep_core::Error::NotCreated(Refusal::Full))
            .map(|error| (error, self.errors[error.index()]))
    }

    /// Connections created.
    #[must_use]
    pub fn created(&self) -> u64 {
        [
            Statistic::Inserted,
            Statistic::Overwritten,
            Statistic::EvictedExpired,
            Statistic::EvictedClosed,
            Statistic::EvictedUnassured,
        ]
        .map(|statistic| self.statistic(statistic))
        .iter()
        .sum()
    }

    /// Connections that were evicted before their timeout had passed.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.statistic(Statistic::EvictedClosed) + self.statistic(Statistic::EvictedUnassured)
    }

    /// Connections that were not stored, because no entry could be evicted or other processors were
    /// faster.
    #[must_use]
    pub const fn rejected(&self) -> u64 {
        self.statistic(Statistic::Refused) + self.statistic(Statistic::Contended)
    }

    const fn statistic(&self, statistic: Statistic) -> u64 {
        self.statistics[statistic as usize]
    }
}

/// The names that `flowkeep stats --help` explains. `refused` is a connection's state, so what the
/// table refuses is rejected.
const fn name(statistic: Statistic) -> &'static str {
    match statistic {
        Statistic::Inserted => "inserted",
        Statistic::Overwritten => "overwritten",
        Statistic::EvictedExpired => "evicted expired",
        Statistic::EvictedClosed => "evicted closed",
        Statistic::EvictedUnassured => "evicted unassured",
        Statistic::Removed => "removed",
        Statistic::Refused => "rejected",
        Statistic::Contended => "contended",
    }
}

/// What happened a second, between two [`Totals`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Connections created.
    pub created: f64,
    /// Connections evicted.
    pub evicted: f64,
    /// Connections rejected.
    pub rejected: f64,
}

impl Rates {
    /// From the earlier totals to the later ones; 0 if no time has passed.
    #[must_use]
    pub fn between(earlier: &Totals, later: &Totals) -> Self {
        let seconds = later.ticks.saturating_sub(earlier.ticks) as f64 / SECOND as f64;
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
            rejected: rate(earlier.rejected(), later.rejected()),
        }
    }
}
