//! The look-up of a packet, and the touch of what it finds.

use core::hint::select_unpredictable;

use super::refresh::{expire_in, refresh};
use super::{Direction, Instant, State, Status, Tracker};
use crate::Error;
use crate::entry::{Entry, EntryFlags, Progress};
use crate::packet::{Packet, protocol, tcp};
use crate::rules::Rules;
use crate::table::{EntryHandle, Found, Renewal, Table};
use crate::tuple::{Flags, Tuple};

/// Which directions are looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The packet's own direction only.
    Forward,
    /// The reverse direction only.
    Reverse,
    /// The reverse direction, then the packet's own.
    #[default]
    Both,
}

/// Kinds of entries that a look-up accepts (D11), combined by OR; any one suffices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kinds(pub u8);

impl Kinds {
    /// Every entry.
    pub const ANY: Self = Self(0);
    /// A node-port entry with the caller's NAT index, or with any if the caller has none.
    pub const NODE_PORT: Self = Self(1);
    /// An entry for direct server return.
    pub const DSR: Self = Self(2);
    /// An entry with just the caller's NAT index.
    pub const SERVICE: Self = Self(4);
}

/// What is asked of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The packet's direction.
    pub direction: Direction,
    /// Which directions to look up.
    pub scope: Scope,
    /// Which entries to accept.
    pub kinds: Kinds,
    /// The flags of the tuple are set anew, whatever the packet was (D10).
    pub forget_related: bool,
    /// What a packet adds to the counters, in bytes.
    pub length: u64,
    /// What it adds to the counters in packets: more than 1 if it is several that were merged.
    pub packets: u64,
    /// The time.
    pub now: Instant,
}

impl Request {
    /// The look-up that every rule set has, of one packet: both directions, or for a service the
    /// one.
    #[must_use]
    #[inline]
    pub const fn new(direction: Direction, length: u64, now: Instant) -> Self {
        let scope = if direction.is_service() {
            Scope::Reverse
        } else {
            Scope::Both
        };
        Self {
            direction,
            scope,
            kinds: Kinds::ANY,
            forget_related: false,
            length,
            packets: 1,
            now,
        }
    }

    /// The tuple under which a packet's connection is created if the look-up finds none: that of
    /// [`Lookup::tuple_of`], without the look-up. Not for [`Scope::Reverse`].
    #[must_use]
    #[inline(always)]
    pub fn tuple_of_new(&self, packet: &Tuple) -> Tuple {
        let [_, forward] = self.keys(packet);
        forward
    }

    /// The tuples that are looked up for a packet: that of the reverse direction, then its own.
    #[must_use]
    #[inline(always)]
    pub fn keys(&self, tuple: &Tuple) -> [Tuple; 2] {
        let (flags, reverse_flags) = (tuple.flags(), self.direction.reverse_flags());
        let reverse = tuple.with_flags(if self.forget_related {
            flags.replaced_by(reverse_flags)
        } else {
            flags.with_direction(reverse_flags)
        });
        let forward = match (self.direction, self.scope) {
            // Both directions of a forwarded connection are of the one entry that it has.
            (Direction::Forwarded, _) => reverse.swapped(),
            // No reverse look-up before it: direction flags as for the reverse of the reverse,
            // but a service's flag stays alone.
            (Direction::Service, Scope::Forward) => reverse.swapped(),
            _ => reverse.reversed(),
        };
        [reverse, forward]
    }

    /// As [`Self::keys`], for an ICMP error, which travels against the packet that it quotes.
    #[inline]
    fn keys_of_quoted(&self, quote: &Tuple) -> [Tuple; 2] {
        let direction = match self.direction {
            Direction::Egress => Direction::Ingress,
            Direction::Ingress => Direction::Egress,
            direction => direction,
        };
        let flags = quote.flags().with_direction(direction.reverse_flags());
        let reverse = quote.with_flags(flags);
        let forward = match self.direction {
            Direction::Forwarded => reverse.swapped(),
            _ => reverse.reversed(),
        };
        [reverse, forward]
    }
}

/// What a look-up found.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<S> {
    /// What the packet is.
    pub status: Status,
    /// How many bytes of it are worth reporting; `None` leaves the caller's value as it is.
    pub monitor: Option<u32>,
    /// The entry, unless the packet is new.
    pub handle: Option<S>,
    /// The packet begins again a connection that was closing.
    pub reopened: bool,
    /// The look-up ended with the reverse direction.
    is_reverse: bool,
}

impl<S> Lookup<S> {
    /// The tuple as the look-up of this packet left it: of what was found, or of what a new entry
    /// is created under. Not a field, because most callers have no use for it.
    #[must_use]
    #[inline]
    pub fn tuple(&self, packet: &Packet, request: &Request) -> Tuple {
        match &packet.quote {
            Some(quote) => request.keys_of_quoted(quote)[usize::from(!self.is_reverse)],
            None => self.tuple_of(&packet.tuple, request),
        }
    }

    /// [`Self::tuple`] of a packet that quotes none and has this tuple.
    #[must_use]
    #[inline]
    pub fn tuple_of(&self, packet: &Tuple, request: &Request) -> Tuple {
        request.keys(packet)[usize::from(!self.is_reverse)]
    }
}

/// What a packet asks of the entry that it finds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    None,
    Reopen,
    Close,
}

impl Action {
    #[inline]
    const fn of<R: Rules>(tcp_flags: Option<u8>) -> Self {
        let Some(flags) = tcp_flags else {
            return Self::None;
        };
        let opens = flags & tcp::SYN != 0 && !(R::REOPEN_NEEDS_PLAIN_SYN && flags & tcp::ACK != 0);
        if flags & (tcp::FIN | tcp::RST) != 0 {
            Self::Close
        } else if opens {
            Self::Reopen
        } else {
            Self::None
        }
    }
}

/// What a packet asks, whatever it finds.
#[derive(Clone, Copy)]
struct Asks<'r> {
    tcp_flags: Option<u8>,
    request: &'r Request,
}

impl Asks<'_> {
    #[inline(always)]
    const fn action<R: Rules>(&self) -> Action {
        Action::of::<R>(self.tcp_flags)
    }

    /// Whether it asks for no more than that its connection goes on.
    #[inline(always)]
    fn is_plain<R: Rules>(&self) -> bool {
        self.action::<R>() == Action::None
            && self.request.scope == Scope::Both
            && self.request.kinds == Kinds::ANY
            && !self.request.direction.is_service()
    }
}

/// Under which tuple an entry was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The reverse one: the packet goes against the direction of the entry's creation.
    Reverse,
    /// The packet's own.
    Forward,
}

/// What came of looking at one entry.
enum Touched {
    /// It is of no use to this packet.
    Missed,
    /// It was closing, and has expired for a connection that begins again.
    Retired,
    /// It was reset for a connection that begins again.
    Reopened { monitor: Option<u32> },
    /// It is the packet's.
    Hit {
        monitor: Option<u32>,
        reopened: bool,
    },
}

/// How often an entry is touched anew when another processor was faster. After that the packet's
/// mark on timeout and flags is dropped: the other's is of the same moment.
pub(crate) const TRIES: usize = if cfg!(target_arch = "bpf") { 1 } else { 4 };

impl<'a, R: Rules, T: Table> Tracker<'a, R, T> {
    /// Looks a packet up, and touches the entry that it finds: timeout, flags, counters.
    ///
    /// `state` is filled from that entry. On [`Status::New`] the caller may
    /// [`create`](Self::create) an entry under the tuple that is returned.
    ///
    /// # Errors
    /// Under rules that relate ICMP errors by quotation, [`Error::QuoteUnknown`] if no connection
    /// is quoted.
    #[inline(always)]
    pub fn lookup(
        &self,
        packet: &Packet,
        request: &Request,
        state: Option<&mut State>,
    ) -> Result<Lookup<T::Handle<'a>>, Error> {
        self.lookup_at(self.hash(packet), packet, request, state)
    }

    /// Where the entry of a packet's connection would be, whatever the packet's direction.
    #[inline]
    pub fn hash(&self, packet: &Packet) -> T::Hash {
        self.table
            .hash(packet.quote.as_ref().unwrap_or(&packet.tuple))
    }

    /// [`Self::lookup`] of a packet whose [`Self::place`] is known: for callers that look up in
    /// batches and prefetch.
    ///
    /// # Errors
    /// As [`Self::lookup`].
    #[inline(always)]
    pub fn lookup_at(
        &self,
        hash: T::Hash,
        packet: &Packet,
        request: &Request,
        state: Option<&mut State>,
    ) -> Result<Lookup<T::Handle<'a>>, Error> {
        if let Some(quote) = &packet.quote {
            return self.relate(hash, quote, request);
        }
        Ok(self.lookup_tuple(hash, &packet.tuple, packet.tcp_flags, request, state))
    }

    /// [`Self::lookup_at`] of a packet that quotes none, whose tuple and TCP flags are these.
    #[inline(always)]
    pub fn lookup_tuple(
        &self,
        hash: T::Hash,
        tuple: &Tuple,
        tcp_flags: u8,
        request: &Request,
        state: Option<&mut State>,
    ) -> Lookup<T::Handle<'a>> {
        let keys = request.keys(tuple);
        let [reverse, forward] = &keys;
        let asks = Asks {
            tcp_flags: (tuple.protocol() == protocol::TCP).then_some(tcp_flags),
            request,
        };
        let found = |is_first| move |handle| Found { handle, is_first };
        let found = match request.scope {
            Scope::Both => self.table.probe(hash, reverse, forward),
            Scope::Reverse => self.table.find(hash, reverse).map(found(true)),
            Scope::Forward => self.table.find(hash, forward).map(found(false)),
        };
        let Some(found) = found else {
            let is_reverse = request.scope == Scope::Reverse;
            let key = if is_reverse { reverse } else { forward };
            return self.new_connection(Some(self.settings.report_headers), key, is_reverse, false);
        };
        if <T::Handle<'a> as EntryHandle>::RENEWS
            && asks.is_plain::<R>()
            && let Some(due) = self.renew(&found, &asks)
        {
            if let Some(state) = state
                && let Some(entry) = found.handle.entry()
            {
                state.fill::<R>(&entry, request.direction.of_entry(found.is_first));
            }
            return self.renewed(found, due, &keys);
        }
        if cfg!(target_arch = "bpf") {
            // One function, so that nothing is on the kernel's small stack twice. The keys anew, so
            // that they need not be there all the while.
            self.touch_all(hash, found, &request.keys(tuple), &asks, state)
        } else {
            self.touch_apart(hash, found, *tuple, asks.tcp_flags, *request, state)
        }
    }

    /// The look-up of a tuple at a glance, which is done only if the connection goes on as it is, and
    /// the table has its entry where it is looked for first. If not, nothing has changed, and what
    /// the glance has found, if anything, can be [touched](Self::touch_found).
    ///
    /// For callers who take longer for a whole look-up than for this: in the kernel. Where a
    /// processor works ahead, a guess that fails is worse.
    ///
    /// # Errors
    /// What was found, if it is not that simple.
    #[inline(always)]
    pub fn fast_path(
        &self,
        tuple: &Tuple,
        tcp_flags: u8,
        request: &Request,
    ) -> Result<Lookup<T::Handle<'a>>, Option<Found<T::Handle<'a>>>> {
        let keys = request.keys(tuple);
        let asks = Asks {
            tcp_flags: (tuple.protocol() == protocol::TCP).then_some(tcp_flags),
            request,
        };
        if asks.action::<R>() == Action::Reopen {
            // Most often there is nothing to be found. Measured in the kernel: to look at where it
            // would be takes a new connection 90 of 310 ns more.
            return Err(None);
        }
        let [reverse, forward] = &keys;
        let Some(found) = self
            .table
            .probe_home(self.table.hash(tuple), reverse, forward)
        else {
            return Err(None);
        };
        if asks.is_plain::<R>()
            && let Some(due) = self.renew(&found, &asks)
        {
            return Ok(self.renewed(found, due, &keys));
        }
        Err(Some(found))
    }

    /// Touches an entry that a glance has found for a packet. False, and nothing has changed, if the
    /// packet may begin its connection again, or the entry is of no use: then it is to be looked up.
    #[inline(always)]
    pub fn touch_found(
        &self,
        found: Found<T::Handle<'a>>,
        tcp_flags: Option<u8>,
        request: &Request,
    ) -> bool {
        let asks = Asks { tcp_flags, request };
        let side = if found.is_first {
            Side::Reverse
        } else {
            Side::Forward
        };
        asks.action::<R>() != Action::Reopen
            && matches!(
                self.touch(found.handle, side, &asks, None),
                Touched::Hit { .. }
            )
    }

    /// What is said of a packet whose connection goes on as it is.
    #[inline(always)]
    fn renewed(
        &self,
        found: Found<T::Handle<'a>>,
        due: bool,
        [reverse, forward]: &[Tuple; 2],
    ) -> Lookup<T::Handle<'a>> {
        let related = reverse.flags().contains(Flags::RELATED);
        let statuses = [Status::Established, Status::Reply, Status::Related];
        let status = usize::from(found.is_first) * (1 + usize::from(related));
        let port = select_unpredictable(
            found.is_first,
            reverse.destination_port(),
            forward.destination_port(),
        );
        let monitor = select_unpredictable(due, self.settings.report_headers, 0);
        Lookup {
            status: statuses[status],
            monitor: self.reported(Some(monitor), port),
            handle: Some(found.handle),
            reopened: false,
            is_reverse: found.is_first,
        }
    }

    /// The short way of most packets: no SYN, FIN or RST, and the entry goes on as it is. Whether a
    /// report is due; `None`, and nothing has changed, if there is more to do.
    #[inline(always)]
    fn renew(&self, found: &Found<T::Handle<'a>>, asks: &Asks<'_>) -> Option<bool> {
        let (request, settings) = (asks.request, self.settings);
        let Found { handle, is_first } = *found;
        // As data, not as branches: see `Found`.
        let direction = request.direction.of_entry(is_first);
        let (timeout, flags, has, sets) = match asks.tcp_flags {
            // A SYN, with ACK, is nothing new only after the handshake.
            Some(flags) if flags & tcp::SYN != 0 => (
                settings.tcp,
                flags,
                EntryFlags::SEEN_NON_SYN,
                EntryFlags::NONE,
            ),
            Some(flags) => (
                settings.tcp,
                flags,
                EntryFlags::NONE,
                EntryFlags::SEEN_NON_SYN,
            ),
            None => (settings.non_tcp, 0, EntryFlags::NONE, EntryFlags::NONE),
        };
        let due = handle.renew(&Renewal {
            now: request.now.seconds,
            timeout,
            report_interval: settings.report_interval,
            flags: flags & settings.report_flags,
            ingress: direction.is_ingress(),
            has,
            sets: EntryFlags(sets.0 | (EntryFlags::REPLIED.0 * u16::from(is_first))),
        })?;
        if settings.accounting {
            handle.count(direction, request.packets, request.length, request.now);
        }
        Some(due)
    }

    /// [`Self::touch_all`], apart. By value: references would keep all of this in memory on the
    /// short way too.
    #[inline(never)]
    fn touch_apart(
        &self,
        hash: T::Hash,
        found: Found<T::Handle<'a>>,
        tuple: Tuple,
        tcp_flags: Option<u8>,
        request: Request,
        state: Option<&mut State>,
    ) -> Lookup<T::Handle<'a>> {
        let asks = Asks {
            tcp_flags,
            request: &request,
        };
        self.touch_all(hash, found, &request.keys(&tuple), &asks, state)
    }

    /// The long way: every kind of packet and of entry.
    #[inline(always)]
    fn touch_all(
        &self,
        hash: T::Hash,
        found: Found<T::Handle<'a>>,
        [reverse, forward]: &[Tuple; 2],
        asks: &Asks<'_>,
        mut state: Option<&mut State>,
    ) -> Lookup<T::Handle<'a>> {
        let request = asks.request;
        let (mut handle, mut side) = match found.is_first {
            true => (found.handle, Side::Reverse),
            false => (found.handle, Side::Forward),
        };
        // What a probe that misses says; what the first of two touches said, after it.
        let missed = self.settings.report_headers;
        let (mut monitor, mut reopened) = (missed, false);
        loop {
            match self.touch(handle, side, asks, state.as_deref_mut()) {
                Touched::Hit {
                    monitor: reported,
                    reopened: again,
                } => {
                    let is_reverse = side == Side::Reverse;
                    let (status, key, monitor) = match side {
                        Side::Reverse if reverse.flags().contains(Flags::RELATED) => {
                            (Status::Related, reverse, reported)
                        }
                        Side::Reverse => (Status::Reply, reverse, reported),
                        Side::Forward if request.scope == Scope::Forward => {
                            (Status::Established, forward, reported)
                        }
                        // A closed entry says nothing: then it is what was said before.
                        Side::Forward => (Status::Established, forward, reported.or(Some(monitor))),
                    };
                    return Lookup {
                        status,
                        monitor: self.reported(monitor, key.destination_port()),
                        handle: Some(handle),
                        reopened: reopened | again,
                        is_reverse,
                    };
                }
                Touched::Reopened { monitor: reported } => {
                    (monitor, reopened) = (reported.unwrap_or(missed), true);
                }
                Touched::Retired => (monitor, reopened) = (missed, true),
                Touched::Missed => monitor = missed,
            }
            if side == Side::Reverse && request.scope == Scope::Reverse {
                return self.new_connection(Some(monitor), reverse, true, reopened);
            }
            if side == Side::Forward {
                return self.new_connection(Some(monitor), forward, false, reopened);
            }
            // The reverse entry was of no use. This happens once.
            let Some(own) = self.table.find(hash, forward) else {
                return self.new_connection(Some(missed), forward, false, reopened);
            };
            (handle, side) = (own, Side::Forward);
        }
    }

    #[inline(always)]
    fn new_connection(
        &self,
        monitor: Option<u32>,
        key: &Tuple,
        is_reverse: bool,
        reopened: bool,
    ) -> Lookup<T::Handle<'a>> {
        Lookup {
            status: Status::New,
            monitor: self.reported(monitor, key.destination_port()),
            handle: None,
            reopened,
            is_reverse,
        }
    }

    /// How many bytes are reported of a packet that was looked up under this destination port in the
    /// end.
    #[inline(always)]
    fn reported(&self, monitor: Option<u32>, port: u16) -> Option<u32> {
        const DNS: u16 = 53;
        if R::DNS_REPORTED_IN_FULL && port == DNS {
            Some(self.settings.report_all)
        } else {
            monitor
        }
    }

    /// Relates an ICMP error to the connection whose packet it quotes, as [`Self::lookup`] does
    /// with a packet that has a quote. The connection is not touched: anybody can send an error.
    ///
    /// # Errors
    /// [`Error::QuoteUnknown`] if no connection is quoted.
    #[cfg_attr(target_arch = "bpf", inline(always))]
    #[cfg_attr(not(target_arch = "bpf"), inline(never))]
    pub fn relate(
        &self,
        hash: T::Hash,
        quote: &Tuple,
        request: &Request,
    ) -> Result<Lookup<T::Handle<'a>>, Error> {
        for (tuple, is_reverse) in request.keys_of_quoted(quote).iter().zip([true, false]) {
            let Some(handle) = self.table.find(hash, tuple) else {
                continue;
            };
            let usable = handle.progress().is_some_and(|progress| {
                !(R::EXPIRED_IS_MISS && progress.expired(request.now.seconds))
            });
            if !usable {
                continue;
            }
            return Ok(Lookup {
                status: Status::Related,
                monitor: self
                    .reported(Some(self.settings.report_headers), tuple.destination_port()),
                handle: Some(handle),
                reopened: false,
                is_reverse,
            });
        }
        Err(Error::QuoteUnknown)
    }

    /// Touches an entry that was found.
    #[inline(always)]
    fn touch(
        &self,
        handle: T::Handle<'a>,
        side: Side,
        asks: &Asks<'_>,
        state: Option<&mut State>,
    ) -> Touched {
        let Asks { tcp_flags, request } = *asks;
        let action = asks.action::<R>();
        let direction = request.direction.of_entry(side == Side::Reverse);
        let now = request.now.seconds;
        if request.kinds != Kinds::ANY {
            let Some(entry) = handle.entry() else {
                return Touched::Missed;
            };
            if !accepted(&entry, request.kinds, state.as_deref()) {
                return Touched::Missed;
            }
        }
        let (mut monitor, mut reopened) = (None, false);
        for _ in 0..TRIES {
            let Some(before) = handle.progress() else {
                return Touched::Missed;
            };
            if R::EXPIRED_IS_MISS && before.expired(now) {
                return Touched::Missed;
            }
            if R::REBALANCE && direction.is_service() && self.rebalance(&before, tcp_flags, now) {
                return Touched::Missed;
            }
            let mut after = before;
            if R::REOPENED_RETIRES && action == Action::Reopen && before.closing() {
                after.lifetime = now.saturating_sub(1);
                if handle.advance(&before, &after) {
                    return Touched::Retired;
                }
                continue;
            }
            (monitor, reopened) = self.step(&mut after, action, tcp_flags, direction, now);
            if side == Side::Reverse && !reopened {
                after.entry_flags.insert(EntryFlags::REPLIED);
            }
            if handle.advance(&before, &after) {
                break;
            }
        }
        // Cilium 1.8 fills the state before it counts, and its backend is a counter: the order
        // can be seen only there, and service look-ups, which hand it out, count nothing there.
        if self.settings.accounting && (R::COUNT_SERVICE || !direction.is_service()) {
            handle.count(direction, request.packets, request.length, request.now);
        }
        if reopened && R::REOPENED_IS_NEW {
            return Touched::Reopened { monitor };
        }
        if let Some(state) = state
            && let Some(entry) = handle.entry()
        {
            state.fill::<R>(&entry, direction);
            if R::STATE_FILLED_LAST {
                if direction.is_service() {
                    state.syn = tcp_flags.is_some_and(|flags| flags & tcp::SYN != 0);
                }
                if action == Action::Close {
                    state.closing = true;
                }
            }
        }
        Touched::Hit { monitor, reopened }
    }

    /// What a packet does to the progress of its connection: what to report, and whether the
    /// connection was reopened.
    #[inline(always)]
    fn step(
        &self,
        progress: &mut Progress,
        action: Action,
        tcp_flags: Option<u8>,
        direction: Direction,
        now: u32,
    ) -> (Option<u32>, bool) {
        let mut monitor = None;
        if progress.alive() {
            monitor = Some(refresh(progress, self.settings, tcp_flags, direction, now));
        }
        match action {
            Action::Reopen if progress.closing() => {
                progress.entry_flags.remove(EntryFlags::CLOSED);
                if R::REOPEN_FORGETS {
                    progress.entry_flags.remove(EntryFlags::SEEN_NON_SYN);
                    progress.entry_flags.remove(EntryFlags::REPLIED);
                    progress.tx_flags = 0;
                    progress.rx_flags = 0;
                }
                monitor = Some(refresh(progress, self.settings, tcp_flags, direction, now));
                return (monitor, true);
            }
            Action::Close => {
                let reset =
                    R::RST_CLOSES_BOTH && tcp_flags.is_some_and(|flags| flags & tcp::RST != 0);
                let service = R::SERVICE_CLOSES_BOTH && direction.is_service();
                progress.entry_flags.insert(if reset || service {
                    EntryFlags::CLOSED
                } else if direction.is_ingress() {
                    EntryFlags::RX_CLOSING
                } else {
                    EntryFlags::TX_CLOSING
                });
                monitor = Some(self.settings.report_headers);
                if !progress.alive() {
                    let close = self.settings.close;
                    expire_in(progress, self.settings, close, tcp_flags, direction, now);
                }
            }
            Action::Reopen | Action::None => {}
        }
        (monitor, false)
    }

    /// Whether a SYN to a service may choose another backend (A6).
    #[inline]
    const fn rebalance(&self, progress: &Progress, tcp_flags: Option<u8>, now: u32) -> bool {
        matches!(tcp_flags, Some(flags) if flags & tcp::SYN != 0)
            && progress.closing()
            && progress
                .last_tx_report
                .wrapping_add(self.settings.close_rebalance)
                <= now
    }
}

/// Whether the entry is of one of the kinds that the caller accepts (D11).
fn accepted(entry: &Entry, kinds: Kinds, state: Option<&State>) -> bool {
    let wanted = state.map_or(0, |state| state.rev_nat_index);
    let asked = |kind: Kinds| kinds.0 & kind.0 != 0;
    let entry_flags = entry.progress.entry_flags;
    asked(Kinds::NODE_PORT)
        && entry_flags.contains(EntryFlags::NODE_PORT)
        && entry.rev_nat_index != 0
        && (wanted == 0 || wanted == entry.rev_nat_index)
        || asked(Kinds::DSR) && entry_flags.contains(EntryFlags::DSR)
        || asked(Kinds::SERVICE) && entry.rev_nat_index == wanted
}
