//! TCP segments of anybody, sent past the kernel's own.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use etherparse::{PacketBuilder, PacketBuilderStep, TcpHeader};
use flowkeep_lab::Host;
use socket2::{Domain, Protocol, Socket, Type};

/// A socket for whole IPv4 packets.
pub(super) struct Raw {
    socket: Socket,
    packet: Vec<u8>,
}

/// A segment without data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) source: [u8; 4],
    pub(super) destination: [u8; 4],
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) sequence: u32,
}

impl Raw {
    /// On a host.
    pub(super) fn new(host: &Host) -> Result<Self> {
        // The protocol of packets that bring their own IP header.
        const RAW: i32 = 255;
        let socket = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW)));
        Ok(Self {
            socket: host.enter(socket).context("no raw socket")?,
            packet: Vec::new(),
        })
    }

    /// Sends a segment with flags.
    pub(super) fn send(
        &mut self,
        segment: &Segment,
        flags: impl FnOnce(PacketBuilderStep<TcpHeader>) -> PacketBuilderStep<TcpHeader>,
    ) -> Result<()> {
        let Segment {
            source,
            destination,
            source_port,
            destination_port,
            sequence,
        } = *segment;
        let tcp = PacketBuilder::ipv4(source, destination, 64).tcp(
            source_port,
            destination_port,
            sequence,
            0xfff0,
        );
        self.packet.clear();
        flags(tcp).write(&mut self.packet, &[])?;
        let to = SocketAddr::from((destination, 0)).into();
        self.socket
            .send_to(&self.packet, &to)
            .context("cannot send")?;
        Ok(())
    }
}
