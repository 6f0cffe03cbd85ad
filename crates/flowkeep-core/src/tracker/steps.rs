//! The way of a packet through the tracker, as a state machine of a few steps.
//!
//! ```text
//!            ┌───────── gone, or of no use ─────────┐
//!            ▼                                      │
//! packet ─▶ Search ─── found ──▶ Update ────────────┴──▶ Done
//!            │                     ▲
//!            │ nothing             │ somebody was faster
//!            ▼                     │
//!           Create ────────────────┴───────────────────▶ Done
//! ```
//!
//! `Tracker::run` is the loop over the steps. The kernel's programs drive the same steps, each in a
//! function of its own, which the verifier walks through once; a host may read and hash many packets
//! before it tracks the first of them ([`Tracker::track_hashed`]), so that memory is fetched ahead.

use core::net::SocketAddr;

use super::update::{Asks, Outcome, Side};
use super::{Change, Instant, Request, Status, Tracker, Verdict};
use crate::cilium::{Scope, State};
use crate::error::{Error, Refusal};
use crate::packet::{Packet, protocol, tcp};
use crate::rules::Rules;
use crate::table::{EntryHandle, Found, Stored, Table};
use crate::tuple::{Flags, Tuple};

/// How often a packet goes back a step because another processor was faster. See the
/// documentation of the table's module for why so many are enough.
pub const ROUNDS: u32 = 16;

/// What is to be done next about a packet.
#[derive(Clone, Copy, Debug)]
pub enum Step<S> {
    /// Look for the packet's connection in these directions.
    Search(Scope),
    /// Update the entry that was found.
    Update(Found<S>),
    /// Create an entry: there is none, or none that is of use.
    Create,
    /// There is nothing more to do.
    Done(Verdict<S>),
}

/// What a packet's tracker has to know of it: a parsed packet that quotes none.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'p> {
    /// See [`Packet::tuple`].
    pub tuple: &'p Tuple,
    /// See [`Packet::tcp_flags`].
    pub tcp_flags: u8,
    /// See [`Request`].
    pub request: &'p Request,
}

/// What a new connection is created as.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Origin {
    /// What it is stored under.
    pub(super) tuple: Tuple,
    /// The tuple of the other direction.
    pub(super) other: Tuple,
    /// Its first packet counts into rx.
    pub(super) ingress: u32,
    /// `tuple` is the one that is looked up first for the packet, and `other` the second.
    is_reverse: u32,
}

impl Origin {
    /// What the connection is stored under.
    #[must_use]
    #[inline(always)]
    pub const fn tuple(&self) -> Tuple {
        self.tuple
    }

    /// Who begins the connection: see [`Tuple::originator`].
    #[must_use]
    pub const fn originator(&self) -> SocketAddr {
        self.tuple.originator()
    }

    /// Whom it is to: see [`Tuple::responder`].
    #[must_use]
    pub const fn responder(&self) -> SocketAddr {
        self.tuple.responder()
    }

    /// Whether the packet is the responder's: a SYN with ACK whose SYN was not seen. A firewall
    /// does not admit it, unless it has only just begun to track.
    #[must_use]
    #[inline(always)]
    pub const fn is_reply(&self) -> bool {
        self.is_reverse != 0
    }
}

/// What is remembered of a packet from one step to the next.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Progress {
    /// What is worth reporting if nothing more is found.
    monitor: u32,
    /// It begins again a connection that was closing.
    reopened: u32,
    /// How often it may still go back a step.
    rounds: u32,
    /// The look-up has ended with the reverse direction.
    is_reverse: u32,
}

impl Progress {
    /// Of a packet that has its way before it.
    #[must_use]
    #[inline(always)]
    pub const fn new() -> Self {
        Self {
            monitor: 0,
            reopened: 0,
            rounds: ROUNDS,
            is_reverse: 0,
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Subject<'_> {
    /// What a connection is created as that begins with this packet: the first half of the step
    /// [`Step::Create`].
    ///
    /// A SYN with ACK answers a SYN that was not seen (RFC 9293, 3.5): its receiver is the
    /// originator. Everything else is taken to come from the originator.
    #[must_use]
    #[inline(always)]
    pub fn origin(&self) -> Origin {
        const SYN_ACK: u8 = tcp::SYN | tcp::ACK;
        let [reverse, forward] = self.request.keys(self.tuple);
        let is_answer =
            self.tuple.protocol() == protocol::TCP && self.tcp_flags & SYN_ACK == SYN_ACK;
        let direction = self.request.direction;
        Origin {
            tuple: if is_answer { reverse } else { forward },
            other: if is_answer { forward } else { reverse },
            ingress: u32::from(direction.of_entry(is_answer).is_ingress()),
            is_reverse: u32::from(is_answer),
        }
    }

    /// What the packet is, if its connection is known.
    #[inline(always)]
    const fn status(&self, is_reverse: bool) -> Status {
        let related = self.tuple.flags().contains(Flags::RELATED) && !self.request.forget_related;
        match (is_reverse, related) {
            (false, _) => Status::Established,
            (true, false) => Status::Reply,
            (true, true) => Status::Related,
        }
    }

    #[inline(always)]
    fn asks(&self) -> Asks<'_> {
        Asks {
            tcp_flags: (self.tuple.protocol() == protocol::TCP).then_some(self.tcp_flags),
            request: self.request,
        }
    }
}

impl<'a, R: Rules, T: Table> Tracker<'a, R, T> {
    /// Tracks a packet: looks its connection up and updates it, or creates it.
    #[inline]
    pub fn track_packet(&self, packet: &Packet, request: &Request) -> Verdict<T::Handle<'a>> {
        self.track_packet_if(packet, request, |_| true)
    }

    /// As [`Self::track_packet`], but creates only connections that are admitted: see
    /// [`Self::track_if`].
    #[inline]
    pub fn track_packet_if(
        &self,
        packet: &Packet,
        request: &Request,
        admits: impl FnMut(&Origin) -> bool,
    ) -> Verdict<T::Handle<'a>> {
        let subject = Subject {
            tuple: &packet.tuple,
            tcp_flags: packet.tcp_flags,
            request,
        };
        self.track_hashed(self.hash(packet), &subject, packet.quote.as_ref(), admits)
    }

    /// As [`Self::track_packet_if`], of a packet whose [`Self::hash`] is known: for callers that
    /// track in batches and prefetch. `quote` is [`Packet::quote`].
    #[inline(always)]
    pub fn track_hashed(
        &self,
        hash: T::Hash,
        subject: &Subject<'_>,
        quote: Option<&Tuple>,
        admits: impl FnMut(&Origin) -> bool,
    ) -> Verdict<T::Handle<'a>> {
        match quote {
            Some(quote) => self.relate(hash, quote, subject.request),
            None => self.track_tuple_if(hash, subject, admits),
        }
    }

    /// As [`Self::track_hashed`], of a packet that quotes none, and creates any connection.
    #[inline(always)]
    pub fn track_tuple(&self, hash: T::Hash, subject: &Subject<'_>) -> Verdict<T::Handle<'a>> {
        self.track_tuple_if(hash, subject, |_| true)
    }

    #[inline(always)]
    fn track_tuple_if(
        &self,
        hash: T::Hash,
        subject: &Subject<'_>,
        admits: impl FnMut(&Origin) -> bool,
    ) -> Verdict<T::Handle<'a>> {
        let [reverse, forward] = &subject.request.keys(subject.tuple);
        let found = self.table.probe(hash, reverse, forward);
        if let Some(found) = found
            && let Some(verdict) = self.update_plainly(&found, subject)
        {
            return verdict;
        }
        let step = found.map_or(Step::Create, Step::Update);
        self.steps_from(
            hash,
            step,
            *subject.tuple,
            subject.tcp_flags,
            *subject.request,
            admits,
        )
    }

    /// The first step of a packet, at the one slot where its entry most likely is.
    /// [`Step::Done`] if it is there and the connection goes on as it is. If not, nothing has
    /// changed, and the step that follows is the answer.
    ///
    /// For callers who take longer for the steps than for this: in the kernel. Where a processor
    /// works ahead, a guess that fails is worse.
    #[inline(always)]
    pub fn track_at_home(&self, subject: &Subject<'_>) -> Step<T::Handle<'a>> {
        if subject.asks().may_begin::<R>() {
            // Most often there is nothing to be found. Measured in the kernel: to look at where it
            // would be takes a new connection 90 of 310 ns more. And if there is, an insertion
            // finds it; but under rules that find the expired it may find another one than a search.
            return if R::EXPIRED_IS_MISS {
                Step::Create
            } else {
                Step::Search(subject.request.scope)
            };
        }
        let [reverse, forward] = &subject.request.keys(subject.tuple);
        let hash = self.table.hash(subject.tuple);
        match self.table.probe_home(hash, reverse, forward) {
            Some(found) => match self.update_plainly(&found, subject) {
                Some(verdict) => Step::Done(verdict),
                None => Step::Update(found),
            },
            None => Step::Search(subject.request.scope),
        }
    }

    /// [`Self::track_tuple`] from a step on.
    #[inline]
    pub fn track_from(
        &self,
        hash: T::Hash,
        step: Step<T::Handle<'a>>,
        subject: &Subject<'_>,
    ) -> Verdict<T::Handle<'a>> {
        let Subject {
            tuple,
            tcp_flags,
            request,
        } = *subject;
        self.steps_from(hash, step, *tuple, tcp_flags, *request, |_| true)
    }

    /// By value: references would keep all of this in memory on the way of most packets too.
    #[inline(never)]
    fn steps_from(
        &self,
        hash: T::Hash,
        step: Step<T::Handle<'a>>,
        tuple: Tuple,
        tcp_flags: u8,
        request: Request,
        admits: impl FnMut(&Origin) -> bool,
    ) -> Verdict<T::Handle<'a>> {
        let subject = Subject {
            tuple: &tuple,
            tcp_flags,
            request: &request,
        };
        self.run(hash, step, &subject, None, admits)
    }

    /// The loop over the steps.
    #[inline(always)]
    fn run(
        &self,
        hash: T::Hash,
        mut step: Step<T::Handle<'a>>,
        subject: &Subject<'_>,
        mut state: Option<&mut State>,
        mut admits: impl FnMut(&Origin) -> bool,
    ) -> Verdict<T::Handle<'a>> {
        let mut progress = self.begin();
        loop {
            step = match step {
                Step::Search(scope) => self.search(hash, subject, scope, &mut progress),
                Step::Update(found) => {
                    self.update(&found, subject, &mut progress, state.as_deref_mut())
                }
                Step::Create => {
                    let origin = subject.origin();
                    if !admits(&origin) {
                        return self.new_verdict(subject, &progress, None);
                    }
                    self.create_as(hash, &origin, subject, &mut progress)
                }
                Step::Done(verdict) => return verdict,
            };
        }
    }

    /// What is known of a packet before its first step.
    #[must_use]
    #[inline(always)]
    pub fn begin(&self) -> Progress {
        Progress {
            monitor: self.settings.report_headers,
            ..Progress::new()
        }
    }

    /// Looks a packet up, and updates the entry that it finds: timeout, flags, counters. Creates
    /// nothing: on [`Status::New`] the caller may, under the tuple that the verdict
    /// [names](Verdict::tuple).
    ///
    /// `state` is filled from the entry.
    pub fn lookup(
        &self,
        packet: &Packet,
        request: &Request,
        state: Option<&mut State>,
    ) -> Verdict<T::Handle<'a>> {
        let hash = self.hash(packet);
        if let Some(quote) = &packet.quote {
            return self.relate(hash, quote, request);
        }
        let subject = Subject {
            tuple: &packet.tuple,
            tcp_flags: packet.tcp_flags,
            request,
        };
        self.run(hash, Step::Search(request.scope), &subject, state, |_| {
            false
        })
    }

    /// The hash of a packet's connection, whatever the packet's direction.
    #[inline]
    pub fn hash(&self, packet: &Packet) -> T::Hash {
        self.table
            .hash(packet.quote.as_ref().unwrap_or(&packet.tuple))
    }

    /// The step [`Step::Search`].
    #[inline(always)]
    pub fn search(
        &self,
        hash: T::Hash,
        subject: &Subject<'_>,
        scope: Scope,
        progress: &mut Progress,
    ) -> Step<T::Handle<'a>> {
        let [reverse, forward] = &subject.request.keys(subject.tuple);
        let found = |is_first| move |handle| Found { handle, is_first };
        let found = match scope {
            Scope::Both => self.table.probe(hash, reverse, forward),
            Scope::Reverse => self.table.find(hash, reverse).map(found(true)),
            Scope::Forward => self.table.find(hash, forward).map(found(false)),
        };
        progress.is_reverse = u32::from(scope == Scope::Reverse);
        if found.is_none() && scope != subject.request.scope {
            // The entry of the reverse direction was of no use, and this packet's own is missing.
            progress.monitor = self.settings.report_headers;
        }
        found.map_or(Step::Create, Step::Update)
    }

    /// The step [`Step::Update`].
    #[inline(always)]
    pub fn update(
        &self,
        found: &Found<T::Handle<'a>>,
        subject: &Subject<'_>,
        progress: &mut Progress,
        state: Option<&mut State>,
    ) -> Step<T::Handle<'a>> {
        let request = subject.request;
        let missed = self.settings.report_headers;
        let side = if found.is_first {
            Side::Reverse
        } else {
            Side::Forward
        };
        match self.update_entry(found.handle, side, &subject.asks(), state) {
            Outcome::Hit {
                monitor,
                reopened,
                first_reply,
                alive,
            } => {
                let is_reverse = found.is_first;
                let monitor = match side {
                    Side::Reverse => monitor,
                    Side::Forward if request.scope == Scope::Forward => monitor,
                    // A closed entry says nothing: then it is what was said before.
                    Side::Forward => monitor.or(Some(progress.monitor)),
                };
                let reopened = reopened || progress.reopened != 0;
                let status = subject.status(is_reverse);
                let change = Change::of(
                    status,
                    reopened,
                    first_reply,
                    monitor.is_some_and(|bytes| bytes != 0) && alive,
                    subject.tcp_flags,
                );
                return Step::Done(Verdict {
                    status,
                    reason: None,
                    monitor: self.monitored(subject, is_reverse, monitor),
                    handle: Some(found.handle),
                    change,
                    reopened,
                    is_reverse,
                });
            }
            Outcome::Gone | Outcome::Raced if progress.rounds == 0 => {
                return Step::Done(Verdict::refused(Error::NotCreated(self.table.give_up())));
            }
            Outcome::Raced => {
                progress.rounds -= 1;
                return Step::Update(*found);
            }
            Outcome::Gone => {
                progress.rounds -= 1;
                return Step::Search(request.scope);
            }
            Outcome::Reopened { monitor } => {
                (progress.monitor, progress.reopened) = (monitor.unwrap_or(missed), 1);
            }
            Outcome::Retired => (progress.monitor, progress.reopened) = (missed, 1),
            Outcome::Missed => progress.monitor = missed,
        }
        progress.is_reverse = u32::from(found.is_first && request.scope == Scope::Reverse);
        if found.is_first && request.scope == Scope::Both {
            Step::Search(Scope::Forward)
        } else {
            Step::Create
        }
    }

    /// The update by most packets: no SYN, FIN or RST, and the connection goes on as it is. `None`,
    /// and nothing has changed, if there is more to do.
    #[inline(always)]
    pub fn update_plainly(
        &self,
        found: &Found<T::Handle<'a>>,
        subject: &Subject<'_>,
    ) -> Option<Verdict<T::Handle<'a>>> {
        let asks = subject.asks();
        if !asks.is_plain::<R>() {
            return None;
        }
        let updated = self.update_in_place(found, &asks)?;
        let status = subject.status(found.is_first);
        let monitor = if updated.due {
            self.settings.report_headers
        } else {
            0
        };
        let first_reply = updated.replied;
        Some(Verdict {
            status,
            reason: None,
            monitor: self.monitored(subject, found.is_first, Some(monitor)),
            handle: Some(found.handle),
            change: Change::of(status, false, first_reply, updated.due, subject.tcp_flags),
            reopened: false,
            is_reverse: found.is_first,
        })
    }

    /// The second half of the step [`Step::Create`]: `origin` is [`Subject::origin`].
    #[inline(always)]
    pub fn create_as(
        &self,
        hash: T::Hash,
        origin: &Origin,
        subject: &Subject<'_>,
        progress: &mut Progress,
    ) -> Step<T::Handle<'a>> {
        if origin.tuple.flags().contains(Flags::RELATED) {
            // Under rules that relate by an entry of its own: an error about nothing known.
            return Step::Done(Verdict::refused(Error::QuoteUnknown));
        }
        match self.store_new(hash, origin, subject, progress.reopened != 0) {
            Ok(Stored::Inserted(handle)) => {
                Step::Done(self.new_verdict(subject, progress, Some(handle)))
            }
            Ok(Stored::Found(found)) => Step::Update(Found {
                handle: found.handle,
                is_first: found.is_first == (origin.is_reverse != 0),
            }),
            Err(Refusal::Contended) if progress.rounds > 0 => {
                progress.rounds -= 1;
                Step::Search(subject.request.scope)
            }
            Err(Refusal::Contended) => {
                Step::Done(Verdict::refused(Error::NotCreated(self.table.give_up())))
            }
            Err(refusal) => Step::Done(Verdict::refused(Error::NotCreated(refusal))),
        }
    }

    /// The verdict of a look-up that creates nothing, in place of the step [`Step::Create`].
    #[inline(always)]
    pub fn unknown(&self, subject: &Subject<'_>, progress: &Progress) -> Verdict<T::Handle<'a>> {
        self.new_verdict(subject, progress, None)
    }

    /// Of a packet whose connection was not known.
    #[inline(always)]
    fn new_verdict(
        &self,
        subject: &Subject<'_>,
        progress: &Progress,
        handle: Option<T::Handle<'a>>,
    ) -> Verdict<T::Handle<'a>> {
        let is_reverse = progress.is_reverse != 0;
        let reopened = progress.reopened != 0;
        Verdict {
            status: Status::New,
            reason: None,
            monitor: self.monitored(subject, is_reverse, Some(progress.monitor)),
            change: handle.is_some().then_some(if reopened {
                Change::Reopened
            } else {
                Change::New
            }),
            handle,
            reopened,
            is_reverse,
        }
    }

    /// Relates an ICMP error to the connection whose packet it quotes. The connection is not
    /// changed: anybody can send an error.
    #[inline]
    pub fn relate(
        &self,
        hash: T::Hash,
        quote: &Tuple,
        request: &Request,
    ) -> Verdict<T::Handle<'a>> {
        for (tuple, is_reverse) in request.keys_of_quoted(quote).iter().zip([true, false]) {
            let Some(handle) = self.table.find(hash, tuple) else {
                continue;
            };
            if !self.is_there(&handle, request.now) {
                continue;
            }
            let monitor = Some(self.settings.report_headers);
            return Verdict {
                status: Status::Related,
                reason: None,
                monitor: self.reported(monitor, tuple.destination_port()),
                handle: Some(handle),
                change: Some(Change::Related),
                reopened: false,
                is_reverse,
            };
        }
        Verdict::refused(Error::QuoteUnknown)
    }

    #[inline(always)]
    fn is_there(&self, handle: &T::Handle<'a>, now: Instant) -> bool {
        handle
            .progress()
            .is_some_and(|progress| !(R::EXPIRED_IS_MISS && progress.expired(now.seconds)))
    }

    /// How many bytes are reported of a packet whose look-up ended with this direction.
    #[inline(always)]
    fn monitored(
        &self,
        subject: &Subject<'_>,
        is_reverse: bool,
        monitor: Option<u32>,
    ) -> Option<u32> {
        if !R::DNS_REPORTED_IN_FULL {
            return monitor;
        }
        let key = subject.request.keys(subject.tuple)[usize::from(!is_reverse)];
        self.reported(monitor, key.destination_port())
    }

    /// How many bytes are reported of a packet that was looked up under this destination port in
    /// the end.
    #[inline(always)]
    fn reported(&self, monitor: Option<u32>, port: u16) -> Option<u32> {
        const DNS: u16 = 53;
        if R::DNS_REPORTED_IN_FULL && port == DNS {
            Some(self.settings.report_all)
        } else {
            monitor
        }
    }
}
