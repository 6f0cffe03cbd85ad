//! From a frame's bytes to a packet: the order in which its headers are read.

use super::{
    Bytes, Counted, Fragment, Fragments, Frame, LinkType, Network, Packet, ipv4, ipv6, link,
    measure, protocol, tcp_or_udp, transport,
};
use crate::Error;
use crate::rules::Rules;
use crate::settings::Settings;
use crate::tuple::Family;

/// What becomes of the packet that [`read`] finds in a frame.
///
/// A trait and not a return value, and by value, so that the packet's parts and the consumer's stay
/// in registers: where the ways of both families meet, and behind a reference, compilers put them
/// into memory (measured in the replay).
pub trait Consumer: Sized {
    /// Where the ports of first fragments are kept.
    type Fragments: Fragments;
    /// What comes of a packet.
    type Output;

    /// The settings, and the first fragments. Asked for before the transport header of a packet is
    /// read that is a fragment, or of another protocol than TCP and UDP.
    fn settings_and_fragments(&mut self) -> (&Settings, &mut Self::Fragments);

    /// Called with a packet and what it counts as.
    ///
    /// # Errors
    /// Whatever [`read`] is to return.
    fn packet(self, packet: Packet, counted: Counted) -> Result<Self::Output, Error>;

    /// Called instead of [`Self::packet`] with TCP or UDP that is no fragment: nearly every packet.
    ///
    /// # Errors
    /// As [`Self::packet`].
    #[inline(always)]
    fn whole_packet(self, packet: Packet, counted: Counted) -> Result<Self::Output, Error> {
        self.packet(packet, counted)
    }

    /// Called with a later fragment whose first one is not known. It is an error, unless the
    /// consumer keeps it until the first one comes.
    ///
    /// # Errors
    /// [`Error::FragmentUnknown`].
    #[inline]
    fn unknown_fragment(
        self,
        network: &Network,
        fragment: Fragment,
        counted: Counted,
    ) -> Result<Self::Output, Error> {
        let _ = (network, fragment, counted);
        Err(Error::FragmentUnknown)
    }
}

/// Reads a frame from its link header on: link, IP header, what the packet counts as, transport
/// header. `frame` is what the bytes don't tell of it.
///
/// # Errors
/// What is wrong with the first header that can't be followed, or what the consumer returns.
#[inline(always)]
pub fn read<R: Rules, B: Bytes + ?Sized, C: Consumer>(
    bytes: &B,
    link_type: LinkType,
    frame: &Frame,
    consumer: C,
) -> Result<C::Output, Error> {
    let link = link(bytes, link_type)?;
    // Apart to the end: see `Consumer`.
    match link.family {
        Family::V4 => {
            let network = ipv4::<R, B>(bytes, link.network)?;
            read_transport::<R, B, C>(bytes, network, frame, consumer)
        }
        Family::V6 => {
            let network = ipv6::<R, B>(bytes, link.network)?;
            read_transport::<R, B, C>(bytes, network, frame, consumer)
        }
    }
}

#[inline(always)]
fn read_transport<R: Rules, B: Bytes + ?Sized, C: Consumer>(
    bytes: &B,
    network: Network,
    frame: &Frame,
    consumer: C,
) -> Result<C::Output, Error> {
    let counted = measure(bytes, &network.layout(), frame);
    let plain = matches!(network.protocol, protocol::TCP | protocol::UDP);
    if plain && network.fragment.is_none() {
        let (tuple, tcp_flags) = tcp_or_udp::<R, B>(bytes, &network)?;
        let packet = Packet {
            tuple,
            tcp_flags,
            ..Packet::of(&network)
        };
        return consumer.whole_packet(packet, counted);
    }
    read_other::<R, B, C>(bytes, network, counted, consumer)
}

/// A fragment, or a packet of another protocol than TCP and UDP.
#[inline(never)]
fn read_other<R: Rules, B: Bytes + ?Sized, C: Consumer>(
    bytes: &B,
    network: Network,
    counted: Counted,
    mut consumer: C,
) -> Result<C::Output, Error> {
    let (settings, fragments) = consumer.settings_and_fragments();
    match (
        transport::<R, B>(bytes, &network, settings, fragments),
        network.fragment,
    ) {
        (Ok(packet), _) => consumer.packet(packet, counted),
        (Err(Error::FragmentUnknown), Some(fragment)) => {
            consumer.unknown_fragment(&network, fragment, counted)
        }
        (Err(error), _) => Err(error),
    }
}

/// Reads a frame from its link header on, and returns its packet. It is [`read`] for callers that
/// want nothing but the packet.
///
/// # Errors
/// What is wrong with the first header that can't be followed.
#[inline]
pub fn parse<R: Rules, B: Bytes + ?Sized>(
    bytes: &B,
    link_type: LinkType,
    settings: &Settings,
    fragments: &mut impl Fragments,
) -> Result<Packet, Error> {
    let consumer = Parser {
        settings,
        fragments,
    };
    // What it counts as is not asked.
    read::<R, B, _>(bytes, link_type, &Frame::of(0), consumer)
}

struct Parser<'p, F> {
    settings: &'p Settings,
    fragments: &'p mut F,
}

impl<F: Fragments> Consumer for Parser<'_, F> {
    type Fragments = F;
    type Output = Packet;

    #[inline(always)]
    fn settings_and_fragments(&mut self) -> (&Settings, &mut F) {
        (self.settings, self.fragments)
    }

    #[inline(always)]
    fn packet(self, packet: Packet, _: Counted) -> Result<Packet, Error> {
        Ok(packet)
    }
}
