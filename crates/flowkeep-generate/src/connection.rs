//! An open connection: turns its script into packets and counts them.

use std::vec;

use super::endpoints::Endpoints;
use super::mix::{Kind, Profile};
use super::random::Random;
use super::script::tcp::{ACK, FIN, PSH, SYN};
use super::script::{self, Chunk, Fragment, IcmpError, Packet, Seq, Side, Step};
use super::truth::Row;
use super::wire::{ether, icmp, ip, protocol, sctp, tcp, tunnel, udp};

/// What packets are made with.
pub(crate) struct Workshop {
    /// The frame made last.
    pub(crate) frame: Vec<u8>,
    /// Its IP payload.
    transport: Vec<u8>,
    /// What a tunnel carries.
    inner: Vec<u8>,
    /// Random bytes, which all payloads are cut out of.
    pattern: Vec<u8>,
    /// The next IP identification. One count for all: two datagrams being reassembled at the same
    /// time must not share it.
    identification: u32,
    /// Frames will be cut to this many bytes.
    snaplen: usize,
}

impl Workshop {
    pub(crate) fn new(seed: u64, snaplen: usize) -> Self {
        let mut pattern = vec![0; 1 << 16];
        Random::new(seed, u64::MAX).fill(&mut pattern);
        Self {
            frame: Vec::new(),
            transport: Vec::new(),
            inner: Vec::new(),
            pattern,
            identification: 1,
            snaplen,
        }
    }
}

/// A part of the pattern, long enough for any payload.
fn payload(pattern: &[u8], at: u16, len: u16) -> &[u8] {
    let begin = usize::from(at) % (pattern.len() - usize::from(len));
    &pattern[begin..begin + usize::from(len)]
}

/// An open connection.
pub(crate) struct Connection {
    ends: Endpoints,
    kind: Kind,
    steps: vec::IntoIter<Step>,
    /// Indexed by side.
    sides: [Sending; 2],
    /// TCP: whether segments carry timestamps.
    timestamps: bool,
    hops: u8,
    /// The payload that fragments are being sent of, and its identification.
    datagram: (Vec<u8>, u32),
    /// The packet sent last, kept if an error will quote it, and its IP header's length.
    quotable: (Vec<u8>, usize),
    icmp_errors: u64,
}

/// What one side has sent.
#[derive(Clone, Copy, Debug, Default)]
struct Sending {
    packets: u64,
    bytes: u64,
    /// TCP: the next sequence number. SCTP: the last transmission sequence number. DNS: the
    /// question's number.
    next: u32,
    /// TCP: where its newest segment began.
    newest: u32,
    /// TCP: what it acknowledged last.
    acknowledged: u32,
    /// TCP: the value of its last timestamp.
    timestamp: u32,
    /// SCTP: its verification tag. ESP: its security parameters index.
    tag: u32,
}

impl Connection {
    /// Opens connection number `index` of `connections`, with `packets` packets.
    pub(crate) fn new(
        profile: Profile,
        index: u32,
        connections: u32,
        packets: u32,
        full: u32,
    ) -> Self {
        let kind = profile.kind;
        let (steps, mut random) = script::write(profile, packets, full);
        let mut sides = [Sending::default(); 2];
        for side in &mut sides {
            side.next = random.below(u32::MAX);
            side.tag = random.between(256..=u32::MAX - 1);
        }
        if kind == Kind::TcpRefused {
            sides[1].next = 0; // RFC 9293, section 3.5.2: the RST that answers a SYN
        }
        // The SYN of a connection whose peer never sent acknowledges nothing; midstream, what the
        // peer sent before the capture began has been acknowledged.
        [sides[0].acknowledged, sides[1].acknowledged] = [sides[1].next, sides[0].next];
        Self {
            ends: Endpoints::draw(kind, index, connections, &mut random),
            kind,
            steps: steps.into_iter(),
            sides,
            timestamps: random.one_in(2),
            hops: random.pick(&[64, 64, 128, 57]),
            datagram: (Vec::new(), 0),
            quotable: (Vec::new(), 0),
            icmp_errors: 0,
        }
    }

    /// Microseconds until its next packet, or `None` if it is over.
    pub(crate) fn next_gap(&self) -> Option<u32> {
        Some(self.steps.as_slice().first()?.gap)
    }

    /// Makes its next packet in `workshop.frame`, if there is one. `time` is in microseconds.
    pub(crate) fn make_next(&mut self, time: u64, workshop: &mut Workshop) {
        let Some(step) = self.steps.next() else {
            return;
        };
        if let Packet::Error(error) = step.packet {
            self.make_error(step.from, error, workshop);
        } else {
            self.make_own(step, time, workshop);
        }
        ether::finish(&mut workshop.frame);
    }

    /// The connection's counts so far.
    pub(crate) fn truth(&self) -> Row {
        let protocol = match self.ends.protocol {
            protocol::TCP => "tcp",
            protocol::UDP => "udp",
            protocol::ICMP => "icmp",
            protocol::ICMPV6 => "icmpv6",
            protocol::SCTP => "sctp",
            protocol::GRE => "gre",
            _ => "esp",
        };
        let [sent, received] = self.sides;
        Row {
            protocol: protocol.to_owned(),
            originator: self.ends.addresses.source(),
            originator_port: self.ends.ports.0,
            responder: self.ends.addresses.destination(),
            responder_port: self.ends.ports.1,
            packets_sent: sent.packets,
            bytes_sent: sent.bytes,
            packets_received: received.packets,
            bytes_received: received.bytes,
            icmp_errors: self.icmp_errors,
            kind: self.kind.name().to_owned(),
        }
    }

    fn make_own(&mut self, step: Step, time: u64, workshop: &mut Workshop) {
        let outgoing = step.from == Side::Originator;
        let addresses = if outgoing {
            self.ends.addresses
        } else {
            self.ends.addresses.reversed()
        };
        let mut header = ip::Header {
            addresses,
            protocol: self.ends.protocol,
            hops: self.hops,
            identification: workshop.identification,
            extras: self.ends.extras,
            fragment: None,
        };
        workshop.identification = workshop.identification.wrapping_add(1);
        let mut part = None;
        if let Packet::Fragment(fragment) = step.packet {
            if let Some(total) = fragment.total {
                self.make_datagram(step.from, &addresses, total, time, workshop);
                self.datagram = (workshop.transport.clone(), header.identification);
            }
            header.identification = self.datagram.1;
            header.fragment = Some((fragment.offset, fragment.more));
            let Fragment { offset, len, .. } = fragment;
            part = Some(usize::from(offset)..usize::from(offset + len));
        } else {
            self.make_transport(step, &addresses, time, workshop);
        }

        let frame = &mut workshop.frame;
        let begin = ether::begin(frame, &self.ends.link, outgoing, &addresses);
        let bytes = part.map_or(&workshop.transport[..], |part| &self.datagram.0[part]);
        let header_len = ip::append(frame, &header, bytes);
        let side = &mut self.sides[step.from as usize];
        side.packets += 1;
        side.bytes += (frame.len() - begin) as u64;
        if let Some(Step {
            packet: Packet::Error(_),
            ..
        }) = self.steps.as_slice().first()
        {
            self.quotable = (frame[begin..].to_vec(), header_len);
        }
    }

    fn make_error(&mut self, quoted: Side, error: IcmpError, workshop: &mut Workshop) {
        // It goes to who sent the packet that it quotes.
        let outgoing = quoted == Side::Responder;
        let path = if outgoing {
            self.ends.addresses
        } else {
            self.ends.addresses.reversed()
        };
        let addresses = if error.by_peer {
            path
        } else {
            self.ends.by_router(path)
        };
        let (packet, header_len) = &self.quotable;
        let longest = if addresses.is_v4() {
            576 - 20
        } else {
            1280 - 40
        } - icmp::HEADER_LEN;
        let quote = (header_len + usize::from(error.quote))
            .min(packet.len())
            .min(longest);
        icmp::write_error(
            &mut workshop.transport,
            &addresses,
            error.cause,
            &packet[..quote],
        );
        let header = ip::Header {
            addresses,
            protocol: icmp::protocol_of(&addresses),
            hops: 62,
            identification: workshop.identification,
            extras: ip::Extras::default(),
            fragment: None,
        };
        workshop.identification = workshop.identification.wrapping_add(1);
        let frame = &mut workshop.frame;
        let begin = ether::begin(frame, &self.ends.link, outgoing, &addresses);
        let own_header = ip::append(frame, &header, &workshop.transport);
        // Ports are the first four bytes, an echo's identifier is the fifth and sixth.
        let ports = if self.ends.protocol == icmp::protocol_of(&addresses) {
            6
        } else {
            4
        };
        if begin + own_header + icmp::HEADER_LEN + header_len + ports <= workshop.snaplen {
            self.icmp_errors += 1;
        }
    }

    fn make_transport(
        &mut self,
        step: Step,
        addresses: &ip::Addresses,
        time: u64,
        workshop: &mut Workshop,
    ) {
        let outgoing = step.from == Side::Originator;
        let ports = self.ports(step.from);
        let at = workshop.identification as u16;
        let Workshop {
            transport: out,
            inner,
            pattern,
            ..
        } = workshop;
        match step.packet {
            Packet::Tcp { flags, len, seq } => {
                let data = payload(pattern, at, len);
                self.make_segment(step.from, addresses, flags, data, seq, time, out);
            }
            Packet::Udp { len } => {
                udp::write(out, addresses, ports, payload(pattern, at, len));
            }
            Packet::Dns { answers } => {
                // Each question has its own number, and the first answer is to the first one.
                let own = &self.sides[step.from as usize];
                let id = (self.sides[0].next as u16).wrapping_add(own.packets as u16);
                udp::write_dns(out, addresses, ports, id, answers);
            }
            Packet::Echo { sequence, len } => {
                // A reply repeats the request's data.
                let data = payload(pattern, sequence, len);
                icmp::write_echo(out, addresses, outgoing, self.ends.ports.0, sequence, data);
            }
            Packet::Sctp(chunk) => {
                let len = if let Chunk::Data(len) = chunk { len } else { 0 };
                self.make_chunk(step.from, chunk, payload(pattern, at, len), out);
            }
            Packet::Gre { len } => tunnel::write_gre(out, inner, payload(pattern, at, len)),
            Packet::Esp { len } => {
                let own = &self.sides[step.from as usize];
                let sequence = own.packets as u32 + 1;
                tunnel::write_esp(out, own.tag, sequence, payload(pattern, at, len));
            }
            // Made elsewhere.
            Packet::Fragment(_) | Packet::Error(_) => out.clear(),
        }
    }
    /// Source and destination port of what a side sends.
    fn ports(&self, from: Side) -> (u16, u16) {
        let (originator, responder) = self.ends.ports;
        match from {
            Side::Originator => (originator, responder),
            Side::Responder => (responder, originator),
        }
    }

    /// Makes the payload that the next fragments are parts of.
    fn make_datagram(
        &mut self,
        from: Side,
        addresses: &ip::Addresses,
        total: u16,
        time: u64,
        workshop: &mut Workshop,
    ) {
        let packet = if self.ends.protocol == protocol::TCP {
            let len = total - tcp::header_len(self.timestamps);
            Packet::Tcp {
                flags: PSH | ACK,
                len,
                seq: Seq::Next,
            }
        } else {
            Packet::Udp {
                len: total - udp::HEADER_LEN,
            }
        };
        self.make_transport(
            Step {
                gap: 0,
                from,
                packet,
            },
            addresses,
            time,
            workshop,
        );
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "each is a different part of the segment"
    )]
    fn make_segment(
        &mut self,
        from: Side,
        addresses: &ip::Addresses,
        flags: u8,
        data: &[u8],
        seq: Seq,
        time: u64,
        out: &mut Vec<u8>,
    ) {
        let (source, destination) = self.ports(from);
        let peer = self.sides[from.other() as usize];
        let own = &mut self.sides[from as usize];
        let number = match seq {
            Seq::Next | Seq::DuplicateAck => own.next,
            Seq::Newest => own.newest,
            Seq::Unacknowledged(skip) => peer.acknowledged.wrapping_add(u32::from(skip)),
        };
        if seq == Seq::Next {
            let length = data.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
            if length > 0 {
                own.newest = number;
            }
            own.next = number.wrapping_add(length);
        }
        if seq != Seq::DuplicateAck {
            own.acknowledged = peer.next;
        }
        own.timestamp = (time / 1000) as u32;
        let acknowledges = flags & ACK != 0;
        let segment = tcp::Segment {
            source,
            destination,
            seq: number,
            ack: if acknowledges { own.acknowledged } else { 0 },
            flags,
            timestamps: self.timestamps.then_some((own.timestamp, peer.timestamp)),
            data,
        };
        tcp::write(out, addresses, &segment);
    }

    fn make_chunk(&mut self, from: Side, chunk: Chunk, data: &[u8], out: &mut Vec<u8>) {
        let ports = self.ports(from);
        let peer = self.sides[from.other() as usize];
        let own = &mut self.sides[from as usize];
        if let Chunk::Data(_) = chunk {
            own.next = own.next.wrapping_add(1);
        }
        let tag = if chunk == Chunk::Init { 0 } else { peer.tag };
        let tsn = match chunk {
            Chunk::Sack | Chunk::Shutdown => peer.next,
            Chunk::Init | Chunk::InitAck => own.next.wrapping_add(1),
            _ => own.next,
        };
        sctp::write(out, ports, tag, own.tag, tsn, chunk, data);
    }
}
