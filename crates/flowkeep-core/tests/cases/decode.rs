//! Frames read by `etherparse`, for trackers that judge what was parsed.

use etherparse::{
    Icmpv4Type, Icmpv6Type, NetSlice, SlicedPacket, TcpOptionElement, TcpSlice, TransportSlice,
};

use crate::frame::{CLIENT_PORT, SERVER_PORT, is_from_client};
use crate::states::{Host, Segment};

/// What a frame is to a tracker of the cases' flow.
pub(crate) enum Decoded {
    Segment(Segment),
    /// An ICMP error that quotes a packet of the flow, by its sequence number.
    Quotes {
        from: Host,
        seq: u32,
    },
    /// An ICMP error that quotes something else.
    QuotesUnknown,
    /// The header is cut short.
    Short,
    Checksum,
}

pub(crate) fn decode(frame: &[u8]) -> Decoded {
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else {
        return Decoded::Short;
    };
    let Some(net) = &packet.net else {
        return Decoded::Short;
    };
    match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => segment(net, tcp),
        Some(TransportSlice::Icmpv4(icmp))
            if matches!(icmp.icmp_type(), Icmpv4Type::DestinationUnreachable(_)) =>
        {
            quotation(icmp.payload())
        }
        Some(TransportSlice::Icmpv6(icmp))
            if matches!(
                icmp.icmp_type(),
                Icmpv6Type::PacketTooBig { .. } | Icmpv6Type::DestinationUnreachable(_)
            ) =>
        {
            quotation(icmp.payload())
        }
        _ => Decoded::QuotesUnknown,
    }
}

fn segment(net: &NetSlice<'_>, tcp: &TcpSlice<'_>) -> Decoded {
    let (sum, from_client) = match net {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            (
                tcp.calc_checksum_ipv4(header.source(), header.destination()),
                is_from_client(&header.source()),
            )
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            (
                tcp.calc_checksum_ipv6(header.source(), header.destination()),
                is_from_client(&header.source()),
            )
        }
        NetSlice::Arp(_) => return Decoded::Short,
    };
    if sum != Ok(tcp.checksum()) {
        return Decoded::Checksum;
    }
    let (mut wscale, mut sack) = (None, [None; 4]);
    for option in tcp.options_iterator().map_while(Result::ok) {
        match option {
            TcpOptionElement::WindowScale(scale) => wscale = Some(scale),
            TcpOptionElement::SelectiveAcknowledgement((_, first), rest) => {
                sack[0] = Some(first);
                for (edge, block) in sack[1..].iter_mut().zip(rest) {
                    *edge = block.map(|(_, right)| right);
                }
            }
            _ => {}
        }
    }
    Decoded::Segment(Segment {
        from: if from_client {
            Host::Client
        } else {
            Host::Server
        },
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        ack_flag: tcp.ack(),
        seq: tcp.sequence_number(),
        ack: tcp.acknowledgment_number(),
        len: tcp.payload().len() as u32,
        win: tcp.window_size(),
        wscale,
        sack,
        astray: false,
    })
}

fn quotation(quote: &[u8]) -> Decoded {
    let (source, transport): (&[u8], usize) = match quote.first() {
        Some(first) if first >> 4 == 4 => (&quote[12..16], 20),
        _ => (&quote[8..24], 40),
    };
    let port = |at: usize| u16::from_be_bytes([quote[at], quote[at + 1]]);
    let from = if is_from_client(source) {
        Host::Client
    } else {
        Host::Server
    };
    let ports = (port(transport), port(transport + 2));
    let flow = match from {
        Host::Client => (CLIENT_PORT, SERVER_PORT),
        Host::Server => (SERVER_PORT, CLIENT_PORT),
    };
    match quote[transport + 4..].first_chunk() {
        Some(&seq) if ports == flow => Decoded::Quotes {
            from,
            seq: u32::from_be_bytes(seq),
        },
        _ => Decoded::QuotesUnknown,
    }
}
