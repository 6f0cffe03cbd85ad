//! The packets of a connection between a client and a server, and who sees them.

use std::fmt;

use etherparse::PacketBuilder;
use flowkeep_bpf::Hook;
use flowkeep_core::tuple::{Address, Tuple};

pub(crate) type Frame = Vec<u8>;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Server,
}
use End::{Client, Server};

/// A packet of a connection. Each has another length, so that what was counted tells which.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    pub(crate) from: End,
    transport: Transport,
    payload: u16,
}

#[derive(Clone, Copy, Debug)]
enum Transport {
    Udp,
    /// Flags by their initials; sequence number and acknowledgement after the initial ones.
    Tcp(&'static str, u16, u16),
}

/// A datagram.
pub(crate) const fn udp(from: End, payload: u16) -> Packet {
    Packet {
        from,
        transport: Transport::Udp,
        payload,
    }
}

/// A segment.
pub(crate) const fn tcp(
    from: End,
    flags: &'static str,
    [sequence, acknowledged]: [u16; 2],
    payload: u16,
) -> Packet {
    Packet {
        from,
        transport: Transport::Tcp(flags, sequence, acknowledged),
        payload,
    }
}

/// The client's first packet.
pub(crate) const SYN: Packet = tcp(Client, "S", [0, 0], 0);
/// The answer to it.
pub(crate) const SYN_ACK: Packet = tcp(Server, "SA", [0, 1], 0);
/// A connection that is established.
pub(crate) const HANDSHAKE: &[Packet] = &[SYN, SYN_ACK, tcp(Client, "A", [1, 1], 0)];

impl Packet {
    /// Bytes of the IP packet.
    pub(crate) fn length(&self) -> u64 {
        let transport = match self.transport {
            Transport::Udp => 8,
            Transport::Tcp(..) => 20,
        };
        20 + transport + u64::from(self.payload)
    }

    /// Whether it has this TCP flag.
    pub(crate) fn has(&self, flag: char) -> bool {
        matches!(self.transport, Transport::Tcp(flags, ..) if flags.contains(flag))
    }

    /// The packet as one of the connection of this client.
    pub(crate) fn frame(&self, client: ClientNumber) -> Frame {
        let [client, server] = client.ends();
        let (initial, others, (from, to)) = match self.from {
            Client => (1_000, 5_000, (client, server)),
            Server => (5_000, 1_000, (server, client)),
        };
        let builder =
            PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ipv4(from.0, to.0, 64);
        let payload = vec![0; usize::from(self.payload)];
        let mut frame = Vec::new();
        let written = match self.transport {
            Transport::Udp => builder.udp(from.1, to.1).write(&mut frame, &payload),
            Transport::Tcp(flags, sequence, acknowledged) => {
                let sequence = initial + u32::from(sequence);
                let mut builder = builder.tcp(from.1, to.1, sequence, 60_000);
                for flag in flags.chars() {
                    builder = match flag {
                        'S' => builder.syn(),
                        'A' => builder.ack(others + u32::from(acknowledged)),
                        'P' => builder.psh(),
                        'F' => builder.fin(),
                        'R' => builder.rst(),
                        other => panic!("there is no flag {other}"),
                    };
                }
                builder.write(&mut frame, &payload)
            }
        };
        written.expect("a small packet");
        frame
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.transport {
            Transport::Udp => "UDP",
            Transport::Tcp(flags, ..) => flags,
        };
        write!(f, "{:?}'s {kind}", self.from)
    }
}

/// A client, one of 2^24 that differ by their addresses. So do their connections: the server is the
/// same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientNumber(pub(crate) usize);

impl ClientNumber {
    const NETWORK: u8 = 10;

    /// Address and port of the client, and of the server.
    pub(crate) fn ends(self) -> [([u8; 4], u16); 2] {
        let [_, a, b, c] = (self.0 as u32).to_be_bytes();
        [([Self::NETWORK, a, b, c], 40_000), ([192, 0, 2, 1], 443)]
    }

    /// The client of the connection that is stored under this tuple, and the tuple as it would be
    /// with any other client.
    pub(crate) fn taken_out(tuple: &Tuple) -> Option<(Self, Tuple)> {
        let mut client = None;
        let [destination, source] = [tuple.destination(), tuple.source()].map(|address| {
            let [network, a, b, c] = address.v4_octets();
            if network != Self::NETWORK {
                return address;
            }
            client = Some(Self(u32::from_be_bytes([0, a, b, c]) as usize));
            Address::default()
        });
        Some((client?, tuple.with_addresses(destination, source)))
    }
}

/// Where the tracker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// The client's host.
    Client,
    /// The server's host.
    Server,
    /// Between both.
    Gateway,
}

impl View {
    pub(crate) const ALL: [Self; 3] = [Self::Client, Self::Server, Self::Gateway];

    /// The hook that sees what this end sends.
    pub(crate) const fn hook(self, from: End) -> Hook {
        match (self, from) {
            (Self::Gateway, _) => Hook::Forward,
            (Self::Client, Client) | (Self::Server, Server) => Hook::Egress,
            (Self::Client, Server) | (Self::Server, Client) => Hook::Ingress,
        }
    }
}
