//! The front: from a frame's bytes to a verdict, in one call.

use super::{Direction, Instant, Origin, Request, Tracker, Verdict};
use crate::Error;
use crate::packet::{Bytes, Consumer, Counted, Fragments, Frame, LinkType, Packet, read};
use crate::rules::Rules;
use crate::settings::Settings;
use crate::table::Table;

/// What a frame's bytes don't tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The header that it begins with.
    pub link: LinkType,
    /// Which way it goes, or that it passes by.
    pub direction: Direction,
    /// Its length on the wire, and of how many packets it was merged.
    pub frame: Frame,
    /// When it was seen.
    pub now: Instant,
}

impl Context {
    /// Of a frame that has one packet and is `length` bytes long on the wire, link header included.
    #[must_use]
    #[inline]
    pub const fn new(link: LinkType, direction: Direction, length: u32, now: Instant) -> Self {
        Self {
            link,
            direction,
            frame: Frame::of(length),
            now,
        }
    }

    /// What is asked about a packet of the frame that counts as `counted`.
    #[must_use]
    #[inline(always)]
    pub const fn request(&self, counted: Counted) -> Request {
        let mut request = Request::new(self.direction, counted.bytes, self.now);
        request.packets = counted.packets;
        request
    }
}

impl<'a, R: Rules, T: Table> Tracker<'a, R, T> {
    /// Tracks a frame: reads its headers, relates it to a connection that is known, or creates one.
    ///
    /// Whatever the bytes, there is a verdict. Of a frame without a packet that can be tracked it is
    /// [`Status::Invalid`](super::Status::Invalid) or [`Status::Untracked`](super::Status::Untracked),
    /// and [`Verdict::reason`] says why; so too if the table refuses a new connection.
    ///
    /// `bytes` may end before the frame does, as long as its headers are there. Those that came from
    /// a wire as they are should be given as [`FromWire`](crate::packet::FromWire), which is stricter
    /// with IP headers that state no length. `fragments` may be
    /// [`NoFragments`](crate::packet::NoFragments).
    #[inline]
    pub fn track<B: Bytes + ?Sized, F: Fragments>(
        &self,
        bytes: &B,
        context: &Context,
        fragments: &mut F,
    ) -> Verdict<T::Handle<'a>> {
        self.track_if(bytes, context, fragments, |_| true)
    }

    /// As [`Self::track`], but creates only connections that are admitted, for callers that drop
    /// packets.
    ///
    /// `admits` is called with what a new connection would be created as. If it returns false,
    /// nothing is stored: the verdict has the status [`Status::New`](super::Status::New) and no
    /// [handle](Verdict::handle).
    #[inline]
    pub fn track_if<B: Bytes + ?Sized, F: Fragments>(
        &self,
        bytes: &B,
        context: &Context,
        fragments: &mut F,
        admits: impl FnMut(&Origin) -> bool,
    ) -> Verdict<T::Handle<'a>> {
        let front = Front {
            tracker: self,
            context,
            fragments,
            admits,
        };
        match read::<R, B, _>(bytes, context.link, &context.frame, front) {
            Ok(verdict) => verdict,
            Err(reason) => Verdict::refused(reason),
        }
    }
}

struct Front<'f, 'a, R, T, F, A> {
    tracker: &'f Tracker<'a, R, T>,
    context: &'f Context,
    fragments: &'f mut F,
    admits: A,
}

impl<'a, R: Rules, T: Table, F: Fragments, A: FnMut(&Origin) -> bool> Consumer
    for Front<'_, 'a, R, T, F, A>
{
    type Fragments = F;
    type Output = Verdict<T::Handle<'a>>;

    #[inline(always)]
    fn settings_and_fragments(&mut self) -> (&Settings, &mut F) {
        (self.tracker.settings, self.fragments)
    }

    #[inline]
    fn packet(self, packet: Packet, counted: Counted) -> Result<Self::Output, Error> {
        let request = self.context.request(counted);
        Ok(self.tracker.track_packet_if(&packet, &request, self.admits))
    }
}
