//! The creation of an entry with what a caller adds: a state, and the entries beside it.

use core::net::Ipv4Addr;

use super::State;
use crate::Error;
use crate::entry::{Counters, Entry, EntryFlags};
use crate::error::Refusal;
use crate::packet::protocol;
use crate::rules::Rules;
use crate::table::Table;
use crate::tracker::{Direction, Instant, Tracker};
use crate::tuple::{Address, Family, Flags, Tuple};

/// What is asked of a creation.
#[derive(Clone, Copy, Debug)]
pub struct Creation<'a> {
    /// The direction of the packet. It chooses counters, lifetime and report stamps.
    pub direction: Direction,
    /// What the caller gives the entry.
    pub state: Option<&'a State>,
    /// The packet's TCP flags, which count under rules that remember a first packet as it was.
    pub tcp_flags: u8,
    /// Whether an entry is wanted that relates ICMP errors, under rules that have one.
    pub related: bool,
    /// What the packet adds to the counters, in bytes.
    pub length: u64,
    /// What it adds to the counters in packets: more than 1 if it is several that were merged.
    pub packets: u64,
    /// The time.
    pub now: Instant,
}

impl Creation<'_> {
    /// The creation for a packet of its own, without anything that a caller might add.
    #[must_use]
    #[inline]
    pub const fn new(direction: Direction, tcp_flags: u8, length: u64, now: Instant) -> Self {
        Self {
            direction,
            state: None,
            tcp_flags,
            related: false,
            length,
            packets: 1,
            now,
        }
    }
}

impl<'a, R: Rules, T: Table> Tracker<'a, R, T> {
    /// Creates the entry of a connection under the tuple that a look-up left, in place of one that
    /// is there.
    ///
    /// The tuple is changed only if the second entry of a loopback connection was refused: then
    /// it is left as that entry's.
    ///
    /// # Errors
    /// [`Error::NotCreated`] if the table refuses. What was stored before stays.
    // In BPF, most of the entry is constant then and needs no room on the stack.
    #[inline(always)]
    pub fn create(
        &self,
        tuple: &mut Tuple,
        creation: &Creation<'_>,
    ) -> Result<T::Handle<'a>, Error> {
        let direction = creation.direction.of_entry(false);
        let now = creation.now;
        let mut entry = Entry::default();
        if let Some(state) = creation.state {
            state.give::<R>(&mut entry, direction);
        }
        self.begin_entry(&mut entry, tuple, direction, creation.tcp_flags, now);
        let related = R::RELATED_ENTRY && creation.related;
        if R::RELATED_ENTRY_FIRST && related {
            self.insert(&related_tuple(tuple), &entry, now)?;
        }
        let first = Counters {
            packets: creation.packets,
            bytes: creation.length,
        };
        self.count_first(&mut entry, direction, first);
        let handle = self.insert(tuple, &entry, now)?;
        if R::LOOPBACK_ENTRY
            && let Some(looped) = loopback_tuple(tuple, direction, creation.state)
            && let Err(error) = self.insert(&looped, &entry, now)
        {
            *tuple = looped;
            return Err(error);
        }
        if !R::RELATED_ENTRY_FIRST && related {
            entry.progress.entry_flags.insert(EntryFlags::SEEN_NON_SYN);
            self.insert(&related_tuple(tuple), &entry, now)?;
        }
        Ok(handle)
    }

    #[inline]
    fn insert(&self, tuple: &Tuple, entry: &Entry, now: Instant) -> Result<T::Handle<'a>, Error> {
        let refused = |refusal: Refusal| Error::NotCreated(refusal);
        self.table
            .insert(self.table.hash(tuple), tuple, entry, now)
            .map_err(refused)
    }
}

/// The key of the entry that relates ICMP errors: the same addresses, no ports.
pub(crate) const fn related_tuple(tuple: &Tuple) -> Tuple {
    let protocol = match tuple.family() {
        Family::V4 => protocol::ICMP,
        Family::V6 => protocol::ICMPV6,
    };
    let flags = tuple.flags().union(Flags::RELATED);
    tuple
        .with_ports(0, 0)
        .with_protocol(protocol)
        .with_flags(flags)
}

/// The key of a loopback connection's second entry, for its reply (IPv4 only).
fn loopback_tuple(tuple: &Tuple, direction: Direction, state: Option<&State>) -> Option<Tuple> {
    let state = state?;
    if !state.loopback || state.address.is_unspecified() || tuple.family() == Family::V6 {
        return None;
    }
    let [endpoint, service] =
        [state.address, state.service_address].map(|ip: Ipv4Addr| Address::from_v4(ip.octets()));
    let (source, destination) = if direction.is_ingress() {
        (endpoint, service)
    } else {
        (service, endpoint)
    };
    Some(
        tuple
            .with_addresses(destination, source)
            .with_flags(Flags::IN),
    )
}
