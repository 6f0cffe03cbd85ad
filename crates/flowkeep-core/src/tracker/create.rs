//! The creation of an entry by a connection's first packet.

use super::refresh::refresh;
use super::steps::{Origin, Subject};
use super::{Direction, Instant, Tracker};
use crate::cilium::related_tuple;
use crate::entry::{Counters, Entry, EntryFlags, Progress};
use crate::error::Refusal;
use crate::packet::{protocol, tcp};
use crate::rules::Rules;
use crate::settings::Settings;
use crate::table::{Existing, Stored, Table};
use crate::tuple::Tuple;

impl<'a, R: Rules, T: Table> Tracker<'a, R, T> {
    /// Stores the entry of a new connection, unless there is one in either direction: another
    /// processor may have been faster.
    #[inline(always)]
    pub(super) fn store_new(
        &self,
        hash: T::Hash,
        origin: &Origin,
        subject: &Subject<'_>,
        reopened: bool,
    ) -> Result<Stored<T::Handle<'a>>, Refusal> {
        let (request, tuple) = (subject.request, &origin.tuple);
        let now = request.now;
        let direction = match (request.direction, origin.ingress) {
            (Direction::Service, _) => Direction::Service,
            (_, 0) => Direction::Egress,
            _ => Direction::Ingress,
        };
        let mut entry = Entry::default();
        self.begin_entry(&mut entry, tuple, direction, subject.tcp_flags, now);
        if R::RELATED_ENTRY && R::RELATED_ENTRY_FIRST {
            self.store_related(tuple, &entry, now)?;
        }
        let first = Counters {
            packets: request.packets,
            bytes: request.length,
        };
        self.count_first(&mut entry, direction, first);
        let existing = if R::EXPIRED_IS_MISS {
            Existing::KeptUnlessExpired
        } else if reopened && R::REOPENED_IS_NEW {
            Existing::Overwritten
        } else {
            Existing::Kept
        };
        let stored = self
            .table
            .store(hash, tuple, &origin.other, &entry, existing, now)?;
        if R::RELATED_ENTRY && !R::RELATED_ENTRY_FIRST {
            entry.progress.entry_flags.insert(EntryFlags::SEEN_NON_SYN);
            self.store_related(tuple, &entry, now)?;
        }
        Ok(stored)
    }

    #[inline]
    fn store_related(&self, tuple: &Tuple, entry: &Entry, now: Instant) -> Result<(), Refusal> {
        let related = related_tuple(tuple);
        let hash = self.table.hash(&related);
        self.table.insert(hash, &related, entry, now).map(|_| ())
    }

    /// What a new entry is but for its counters.
    #[inline(always)]
    pub(crate) fn begin_entry(
        &self,
        entry: &mut Entry,
        tuple: &Tuple,
        direction: Direction,
        flags: u8,
        now: Instant,
    ) {
        entry.created = now.ticks;
        entry.last_seen = now.ticks;
        let tcp_flags = (tuple.protocol() == protocol::TCP).then_some(tcp::SYN);
        let progress = &mut entry.progress;
        progress
            .entry_flags
            .set(EntryFlags::TCP, tcp_flags.is_some());
        refresh(progress, self.settings, tcp_flags, direction, now.seconds);
        if R::FIRST_FLAGS_AS_THEY_ARE && tcp_flags.is_some() {
            first_flags(progress, self.settings, flags, direction, now);
        }
    }

    /// Counts a connection's first packet.
    #[inline(always)]
    pub(crate) fn count_first(&self, entry: &mut Entry, direction: Direction, first: Counters) {
        if R::COUNT_FIRST_ALWAYS || self.settings.accounting {
            match direction {
                Direction::Ingress => entry.rx = first,
                Direction::Service if !R::COUNT_SERVICE => {}
                _ => entry.tx = first,
            }
        }
    }
}

/// Notes the flags of a TCP connection's first packet, which was refreshed as if by a SYN: it is
/// not known yet whether anybody answers. One that begins with a RST is closed at once, so that
/// what comes once its close timeout has passed is another.
#[inline(always)]
fn first_flags(
    progress: &mut Progress,
    settings: &Settings,
    flags: u8,
    direction: Direction,
    now: Instant,
) {
    let ingress = direction.is_ingress();
    let seen = flags & settings.report_flags;
    progress.rx_flags = if ingress { seen } else { progress.rx_flags };
    progress.tx_flags = if ingress { progress.tx_flags } else { seen };
    let closing = if ingress {
        EntryFlags::RX_CLOSING
    } else {
        EntryFlags::TX_CLOSING
    };
    if flags & tcp::RST != 0 {
        progress.entry_flags.insert(EntryFlags::CLOSED);
        progress.lifetime = now.seconds.wrapping_add(settings.close);
    } else if flags & tcp::FIN != 0 {
        progress.entry_flags.insert(closing);
    }
}
