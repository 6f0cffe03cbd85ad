//! Every connection of a table in shared memory, described.

use std::collections::BTreeMap;

use flowkeep_core::entry::Entry;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{BucketTable, Memory};
use flowkeep_core::tuple::{Flags, Tuple};

use crate::connection::{Connection, IcmpError, State, Timestamp};
use crate::filter::Filter;
use crate::replay::{Ended, SECOND, Summary, describe, ends};

/// How to look at a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// The second, on the table's clock.
    pub(crate) now: u32,
    /// Ticks of the table's clock a second.
    pub(crate) ticks_per_second: u64,
    /// Nanoseconds of the Unix epoch at which the table's clock was 0.
    pub(crate) epoch: u64,
    /// The timeouts that the table's entries were given.
    pub(crate) settings: Settings,
    /// Whether connections count whose timeout has passed.
    pub(crate) expired: bool,
}

impl View {
    /// The connection of an entry, or nothing if it does not count.
    pub(crate) fn connection(&self, tuple: &Tuple, entry: &Entry) -> Option<Connection> {
        self.connection_with(tuple, entry, Vec::new())
    }

    /// As [`Self::connection`], with ICMP errors about it.
    pub(crate) fn connection_with(
        &self,
        tuple: &Tuple,
        entry: &Entry,
        icmp_errors: Vec<IcmpError>,
    ) -> Option<Connection> {
        let counts = self.expired || !entry.progress.expired(self.now);
        if !counts || tuple.flags().contains(Flags::RELATED) {
            return None;
        }
        let mut ended = Ended::new(tuple, entry);
        ended.set_times(|ticks| self.nanoseconds(ticks));
        let mut connection = describe(&ended, &self.settings, self.now, icmp_errors);
        for time in [&mut connection.start, &mut connection.end] {
            *time = self.wall(time.0);
        }
        Some(connection)
    }

    /// The time of day at which the table's clock showed these nanoseconds.
    pub(crate) const fn wall(&self, nanoseconds: u64) -> Timestamp {
        Timestamp(self.epoch.saturating_add(nanoseconds))
    }

    fn nanoseconds(&self, ticks: u64) -> u64 {
        if self.ticks_per_second == SECOND {
            return ticks;
        }
        let wide =
            u128::from(ticks) * u128::from(SECOND) / u128::from(self.ticks_per_second.max(1));
        u64::try_from(wide).unwrap_or(u64::MAX)
    }
}

/// Tells `each` of every connection that fits the filter, by the time at which it began. The
/// summary counts all of them, if `summarise`.
///
/// Others may use the table meanwhile: a connection that comes or goes may be there or not.
pub(crate) fn for_each<M: Memory>(
    table: &BucketTable<M>,
    view: &View,
    filter: &Filter,
    summarise: bool,
    mut each: impl FnMut(&Connection),
) -> Summary {
    let mut tally = Tally::default();
    // Sixteen bytes a connection: when it began, and where it is.
    let mut order: Vec<(u64, u32)> = Vec::new();
    let memory = table.memory();
    // Records are numbered by 32 bits.
    for index in 0..table.capacity() as u32 {
        // Most do not fit, and that is seen at the tuple alone, of whatever entry it is.
        let fits = |tuple: &Tuple| {
            let (originator, responder) = ends(tuple);
            filter.fits_ends(tuple.protocol(), [originator, responder])
        };
        if !summarise
            && !memory
                .record(index)
                .is_some_and(|record| fits(&record.tuple()))
        {
            continue;
        }
        let Some((_, tuple, entry)) = table.at(index) else {
            continue;
        };
        let Some(connection) = view.connection(&tuple, &entry) else {
            continue;
        };
        tally.note(&connection);
        if fits(&tuple) && filter.fits_state(connection.state) {
            order.push((entry.created, index));
        }
    }
    order.sort_unstable();
    for (created, index) in order {
        let again = table
            .at(index)
            .filter(|(_, _, entry)| entry.created == created);
        if let Some((_, tuple, entry)) = again
            && let Some(connection) = view.connection(&tuple, &entry)
        {
            each(&connection);
        }
    }
    tally.summary()
}

/// Counts connections, a million of them in no time.
struct Tally {
    by_protocol: Vec<[u64; State::ALL.len()]>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            by_protocol: vec![[0; State::ALL.len()]; 256],
        }
    }
}

impl Tally {
    fn note(&mut self, connection: &Connection) {
        self.by_protocol[usize::from(connection.protocol)][connection.state as usize] += 1;
    }

    fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        let mut counts = BTreeMap::new();
        for (protocol, states) in (0..=u8::MAX).zip(&self.by_protocol) {
            for (state, &count) in State::ALL.into_iter().zip(states) {
                if count != 0 {
                    counts.insert((protocol, state), count);
                    summary.connections += count;
                }
            }
        }
        summary.by_protocol_and_state = counts;
        summary
    }
}
