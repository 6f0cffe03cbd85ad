//! The update of the entry that a packet's look-up has found: timeout, flags, counters.

use super::refresh::{expire_in, refresh};
use super::{Direction, Request, Tracker};
use crate::cilium::{Kinds, Scope, State, accepted};
use crate::entry::{EntryFlags, Progress};
use crate::packet::tcp;
use crate::rules::Rules;
use crate::table::{EntryHandle, Found, PlainUpdate, Table};

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
pub(super) struct Asks<'r> {
    pub(super) tcp_flags: Option<u8>,
    pub(super) request: &'r Request,
}

impl Asks<'_> {
    #[inline(always)]
    const fn action<R: Rules>(&self) -> Action {
        Action::of::<R>(self.tcp_flags)
    }

    /// Whether it may begin its connection again.
    #[inline(always)]
    pub(super) fn may_begin<R: Rules>(&self) -> bool {
        self.action::<R>() == Action::Reopen
    }

    /// Whether it asks for no more than that its connection goes on.
    #[inline(always)]
    pub(super) fn is_plain<R: Rules>(&self) -> bool {
        self.action::<R>() == Action::None
            && self.request.scope == Scope::Both
            && self.request.kinds == Kinds::ANY
            && !self.request.direction.is_service()
    }
}

/// Under which tuple an entry was found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The reverse one: the packet goes against the direction of the entry's creation.
    Reverse,
    /// The packet's own.
    Forward,
}

/// What came of the update of one entry.
pub(super) enum Outcome {
    /// It is of no use to this packet: expired, or not of a kind that was asked for.
    Missed,
    /// It has left its slot.
    Gone,
    /// Another processor has changed it meanwhile: nothing was done.
    Raced,
    /// It was closing, and has expired for a connection that begins again.
    Retired,
    /// It was reset for a connection that begins again.
    Reopened { monitor: Option<u32> },
    /// It is the packet's.
    Hit {
        monitor: Option<u32>,
        reopened: bool,
        /// It is the responder's first packet.
        first_reply: bool,
        /// The connection is not closed in both directions.
        alive: bool,
    },
}

/// What came of a plain update.
pub(super) struct Plain {
    /// A report is due.
    pub(super) due: bool,
    /// It is the responder's first packet.
    pub(super) replied: bool,
}

impl<'a, R: Rules, T: Table> Tracker<'a, R, T> {
    /// The update by most packets: the connection goes on as it is.
    #[inline(always)]
    pub(super) fn update_in_place(
        &self,
        found: &Found<T::Handle<'a>>,
        asks: &Asks<'_>,
    ) -> Option<Plain> {
        let (request, settings) = (asks.request, self.settings);
        let Found { handle, is_first } = *found;
        // As data, not as branches: see `Found`.
        let direction = request.direction.of_entry(is_first);
        let (timeout, tcp_flags, has, sets) = match asks.tcp_flags {
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
        let updated = handle.update(&PlainUpdate {
            now: request.now.seconds,
            timeout,
            report_interval: settings.report_interval,
            tcp_flags: tcp_flags & settings.report_flags,
            ingress: direction.is_ingress(),
            has,
            sets: EntryFlags(sets.0 | (EntryFlags::REPLIED.0 * u16::from(is_first))),
        })?;
        if settings.accounting
            && !handle.count(direction, request.packets, request.length, request.now)
        {
            return None;
        }
        Some(Plain {
            due: updated.due,
            replied: updated.flagged & is_first,
        })
    }

    /// Updates an entry that was found, whatever the packet and the entry. Once: if another
    /// processor is faster, the caller tries again.
    #[inline(always)]
    pub(super) fn update_entry(
        &self,
        handle: T::Handle<'a>,
        side: Side,
        asks: &Asks<'_>,
        state: Option<&mut State>,
    ) -> Outcome {
        let Asks { tcp_flags, request } = *asks;
        let action = asks.action::<R>();
        let direction = request.direction.of_entry(side == Side::Reverse);
        let now = request.now.seconds;
        if request.kinds != Kinds::ANY {
            let Some(entry) = handle.entry() else {
                return Outcome::Gone;
            };
            if !accepted(&entry, request.kinds, state.as_deref()) {
                return Outcome::Missed;
            }
        }
        let Some(before) = handle.progress() else {
            return Outcome::Gone;
        };
        if R::EXPIRED_IS_MISS && before.expired(now) {
            return Outcome::Missed;
        }
        if R::REBALANCE && direction.is_service() && self.rebalance(&before, tcp_flags, now) {
            return Outcome::Missed;
        }
        let mut after = before;
        if R::REOPENED_RETIRES && action == Action::Reopen && before.closing() {
            after.lifetime = now.saturating_sub(1);
            return if handle.advance(&before, &after) {
                Outcome::Retired
            } else {
                Outcome::Raced
            };
        }
        let (monitor, reopened) = self.step(&mut after, action, tcp_flags, direction, now);
        if side == Side::Reverse && !reopened {
            after.entry_flags.insert(EntryFlags::REPLIED);
        }
        if !handle.advance(&before, &after) {
            return Outcome::Raced;
        }
        // Cilium 1.8 fills the state before it counts, and its backend is a counter: the order
        // can be seen only there, and service look-ups, which hand it out, count nothing there.
        if self.settings.accounting
            && (R::COUNT_SERVICE || !direction.is_service())
            && !handle.count(direction, request.packets, request.length, request.now)
        {
            return Outcome::Gone;
        }
        if reopened && R::REOPENED_IS_NEW {
            return Outcome::Reopened { monitor };
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
        Outcome::Hit {
            monitor,
            reopened,
            first_reply: after.entry_flags.contains(EntryFlags::REPLIED)
                && !before.entry_flags.contains(EntryFlags::REPLIED),
            alive: after.alive(),
        }
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
