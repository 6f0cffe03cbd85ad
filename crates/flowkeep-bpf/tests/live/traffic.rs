//! What hosts say to each other.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::Result;
use flowkeep_core::packet::protocol;
use flowkeep_lab::Host;
use socket2::{Domain, Protocol, Socket, Type};

use crate::view::Key;

/// Far more than any answer takes: a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both ends of a TCP connection.
pub(crate) struct Tcp {
    pub(crate) client: TcpStream,
    pub(crate) server: TcpStream,
    pub(crate) key: Key,
}

impl Tcp {
    /// Connects a client to a server's port.
    pub(crate) fn connect(client: &Host, server: &Host, to: SocketAddr) -> Result<Self> {
        let listener = server.enter(|| TcpListener::bind(to))?;
        Self::accept(&listener, client.enter(|| TcpStream::connect(to))?)
    }

    /// The other end of a client's connection.
    pub(crate) fn accept(listener: &TcpListener, client: TcpStream) -> Result<Self> {
        let (server, _) = listener.accept()?;
        for end in [&client, &server] {
            end.set_read_timeout(Some(PATIENCE))?;
            end.set_nodelay(true)?;
        }
        let key = Key {
            protocol: protocol::TCP,
            originator: client.local_addr()?,
            responder: client.peer_addr()?,
        };
        Ok(Self {
            client,
            server,
            key,
        })
    }

    /// Sends so many bytes to the server, which reads them.
    pub(crate) fn upload(&mut self, bytes: usize) -> Result<()> {
        carry(&mut self.client, &mut self.server, bytes)
    }

    /// Sends so many bytes to the client, which reads them.
    pub(crate) fn download(&mut self, bytes: usize) -> Result<()> {
        carry(&mut self.server, &mut self.client, bytes)
    }

    /// Ends the client's half, and waits until the server has heard of it.
    pub(crate) fn finish_client(&mut self) -> Result<()> {
        finish(&self.client, &mut self.server)
    }

    /// Ends the server's half, and waits until the client has heard of it.
    pub(crate) fn finish_server(&mut self) -> Result<()> {
        finish(&self.server, &mut self.client)
    }
}

fn carry(from: &mut TcpStream, to: &mut TcpStream, bytes: usize) -> Result<()> {
    let mut room = vec![0; bytes];
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| from.write_all(&vec![7; bytes]));
        to.read_exact(&mut room)?;
        sent.join().expect("it does not panic")
    })?;
    Ok(())
}

fn finish(from: &TcpStream, to: &mut TcpStream) -> Result<()> {
    from.shutdown(Shutdown::Write)?;
    assert_eq!(to.read(&mut [0])?, 0, "the end of the stream");
    Ok(())
}

/// Closes a connection at once, with a RST.
pub(crate) fn reset(stream: TcpStream) -> io::Result<()> {
    Socket::from(stream).set_linger(Some(Duration::ZERO))
}

/// A TCP socket of a host with an address and port of the caller's choice.
pub(crate) fn bound(host: &Host, address: SocketAddr) -> io::Result<Socket> {
    host.enter(|| {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        Ok(socket)
    })
}

/// A host's UDP socket, and its address.
pub(crate) fn udp(host: &Host, address: impl Into<SocketAddr>) -> Result<(UdpSocket, SocketAddr)> {
    let address = address.into();
    let socket = host.enter(|| UdpSocket::bind(address))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// A host's socket for echo requests, and the identifier that they carry.
pub(crate) fn echo(host: &Host, from: IpAddr) -> Result<(Socket, SocketAddr)> {
    let protocol = match from {
        IpAddr::V4(_) => Protocol::ICMPV4,
        IpAddr::V6(_) => Protocol::ICMPV6,
    };
    let address = SocketAddr::new(from, 0);
    let socket = host.enter(|| {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(protocol))?;
        socket.bind(&address.into())?;
        io::Result::Ok(socket)
    })?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let address = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok((socket, address))
}

/// An echo request of so many bytes of data; the kernel fills in identifier and checksum.
pub(crate) fn echo_request(family: IpAddr, data: usize) -> Vec<u8> {
    let kind = match family {
        IpAddr::V4(_) => 8,
        IpAddr::V6(_) => 128,
    };
    let mut packet = vec![0; 8 + data];
    packet[0] = kind;
    packet
}

/// The key of an echo.
pub(crate) fn echo_key(from: SocketAddr, to: IpAddr) -> Key {
    Key {
        protocol: match to {
            IpAddr::V4(_) => protocol::ICMP,
            IpAddr::V6(_) => protocol::ICMPV6,
        },
        originator: from,
        responder: SocketAddr::new(to, 0),
    }
}

/// The key of a UDP conversation.
pub(crate) const fn udp_key(from: SocketAddr, to: SocketAddr) -> Key {
    Key {
        protocol: protocol::UDP,
        originator: from,
        responder: to,
    }
}
