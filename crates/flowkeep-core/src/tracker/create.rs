//! The creation of an entry.

use core::net::Ipv4Addr;

use super::refresh::refresh;
use super::{Direction, Instant, State, Tracker};
use crate::Error;
use crate::entry::{Counters, Entry, EntryFlags, Progress};
use crate::error::Refusal;
use crate::packet::{protocol, tcp};
use crate::rules::Rules;
use crate::settings::Settings;
use crate::table::Table;
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

/// Under which tuple, and as a packet of which direction, a connection is best created whose first
/// packet seen has these flags, when a look-up in `direction` has left `tuple`.
///
/// A SYN with ACK answers a SYN that was not seen (RFC 9293, 3.5): its receiver is the originator.
/// Everything else is taken to come from the originator.
#[must_use]
#[inline]
pub const fn originated(tuple: Tuple, direction: Direction, tcp_flags: u8) -> (Tuple, Direction) {
    const SYN_ACK: u8 = tcp::SYN | tcp::ACK;
    if tuple.protocol() != protocol::TCP || tcp_flags & SYN_ACK != SYN_ACK {
        return (tuple, direction);
    }
    match direction {
        Direction::Forwarded => (tuple.swapped(), Direction::Ingress),
        direction => (tuple.reversed(), direction),
    }
}

impl<'a, R: Rules, T: Table> Tracker<'a, R, T> {
    /// Creates the entry of a connection under the tuple that a look-up left.
    ///
    /// The tuple is changed only if the second entry of a loopback connection was refused: then
    /// it is left as that entry's.
    ///
    /// # Errors
    /// [`Error::NotCreated`] if the table refuses. What was stored before stays.
    // In BPF, most of the entry is constant then and needs no room on the stack.
    #[cfg_attr(target_arch = "bpf", inline(always))]
    #[cfg_attr(not(target_arch = "bpf"), inline)]
    pub fn create(
        &self,
        tuple: &mut Tuple,
        creation: &Creation<'_>,
    ) -> Result<T::Handle<'a>, Error> {
        let direction = match creation.direction {
            Direction::Forwarded => Direction::Egress,
            direction => direction,
        };
        let now = creation.now;
        let mut entry = Entry {
            created: now.ticks,
            last_seen: now.ticks,
            ..Entry::default()
        };
        if let Some(state) = creation.state {
            state.give::<R>(&mut entry, direction);
        }
        let tcp_flags = (tuple.protocol() == protocol::TCP).then_some(tcp::SYN);
        entry
            .progress
            .entry_flags
            .set(EntryFlags::TCP, tcp_flags.is_some());
        refresh(
            &mut entry.progress,
            self.settings,
            tcp_flags,
            direction,
            now.seconds,
        );
        if R::FIRST_FLAGS_AS_THEY_ARE && tcp_flags.is_some() {
            let flags = creation.tcp_flags;
            first_flags(&mut entry.progress, self.settings, flags, direction, now);
        }

        let related = R::RELATED_ENTRY && creation.related;
        if R::RELATED_ENTRY_FIRST && related {
            self.store(&related_tuple(tuple), &entry, now)?;
        }
        if R::COUNT_FIRST_ALWAYS || self.settings.accounting {
            let first = Counters {
                packets: creation.packets,
                bytes: creation.length,
            };
            match direction {
                Direction::Ingress => entry.rx = first,
                Direction::Service if !R::COUNT_SERVICE => {}
                _ => entry.tx = first,
            }
        }
        let handle = self.store(tuple, &entry, now)?;
        if R::LOOPBACK_ENTRY
            && let Some(looped) = loopback_tuple(tuple, direction, creation.state)
            && let Err(error) = self.store(&looped, &entry, now)
        {
            *tuple = looped;
            return Err(error);
        }
        if !R::RELATED_ENTRY_FIRST && related {
            entry.progress.entry_flags.insert(EntryFlags::SEEN_NON_SYN);
            self.store(&related_tuple(tuple), &entry, now)?;
        }
        Ok(handle)
    }

    #[inline]
    fn store(&self, tuple: &Tuple, entry: &Entry, now: Instant) -> Result<T::Handle<'a>, Error> {
        let refused = |refusal: Refusal| Error::NotCreated(refusal);
        self.table
            .insert(self.table.hash(tuple), tuple, entry, now)
            .map_err(refused)
    }
}

/// Notes the flags of a TCP connection's first packet, which was refreshed as if by a SYN: it is
/// not known yet whether anybody answers. One that begins with a RST is closed at once, so that
/// what comes once its close timeout has passed is another.
#[cfg_attr(target_arch = "bpf", inline(always))]
#[cfg_attr(not(target_arch = "bpf"), inline)]
fn first_flags(
    progress: &mut Progress,
    settings: &Settings,
    flags: u8,
    direction: Direction,
    now: Instant,
) {
    let (seen, closing) = if direction.is_ingress() {
        (&mut progress.rx_flags, EntryFlags::RX_CLOSING)
    } else {
        (&mut progress.tx_flags, EntryFlags::TX_CLOSING)
    };
    *seen = flags & settings.report_flags;
    if flags & tcp::RST != 0 {
        progress.entry_flags.insert(EntryFlags::CLOSED);
        progress.lifetime = now.seconds.wrapping_add(settings.close);
    } else if flags & tcp::FIN != 0 {
        progress.entry_flags.insert(closing);
    }
}

/// The key of the entry that relates ICMP errors: the same addresses, no ports.
const fn related_tuple(tuple: &Tuple) -> Tuple {
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
