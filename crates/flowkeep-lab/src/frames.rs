//! Writing raw frames to an interface.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, ensure};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, sendmsg, socket};

use crate::Host;

/// Sends frames through an interface, with any addresses and protocols. On a device without a link
/// header a frame is an IP packet.
#[derive(Debug)]
pub struct Frames(OwnedFd);

impl Frames {
    /// Opens an interface of a host.
    ///
    /// # Errors
    /// If the host has no such interface, or without CAP_NET_RAW.
    pub fn open(host: &Host, interface: &str) -> Result<Self> {
        // Without a protocol the socket receives nothing.
        let socket = host.enter(|| {
            let socket = open(interface, 0)?;
            switch_on(&socket, PACKET_VNET_HDR)?;
            io::Result::Ok(socket)
        });
        let socket = socket.with_context(|| format!("{interface} can't be opened"))?;
        Ok(Self(socket))
    }

    /// Sends a frame, in one piece.
    ///
    /// # Errors
    /// If the interface is down, or the frame too long for it.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        self.send_cut(frame, frame.len())
    }

    /// Sends a frame so that the kernel has only its first `linear` bytes in the packet's first
    /// buffer, but at least the link header, and the rest in pages. The kernel uses pages for frames
    /// of 4096 bytes and more.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_cut(&self, frame: &[u8], linear: usize) -> Result<()> {
        let mut header = [0; HEADER];
        let linear = u16::try_from(linear).context("longer than any first buffer")?;
        header[LINEAR..][..2].copy_from_slice(&linear.to_ne_bytes());
        let parts = [IoSlice::new(&header), IoSlice::new(frame)];
        let socket = self.0.as_raw_fd();
        let sent = sendmsg::<()>(socket, &parts, &[], MsgFlags::empty(), None)?;
        ensure!(sent == HEADER + frame.len(), "a frame was sent in part");
        Ok(())
    }
}

/// From linux/if_packet.h: a frame is preceded by a header of linux/virtio_net.h, in which most fields
/// are 0.
const PACKET_VNET_HDR: libc::c_int = 15;
/// Bytes of that header.
const HEADER: usize = 10;
/// The offset of the length of the first buffer in it.
const LINEAR: usize = 2;

/// A socket for the frames of an interface in the current network namespace. It receives those of a
/// protocol, or none if that is 0.
pub(crate) fn open(interface: &str, protocol: u16) -> io::Result<OwnedFd> {
    let index = if_nametoindex(interface)?;
    // Until it is bound it must not receive, because it would receive from every interface.
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
    // SAFETY: a structure of integers and arrays may be all zeroes.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = index.cast_signed();
    // SAFETY: the kernel reads an address of the given size.
    let answer = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    };
    done(answer)?;
    Ok(socket)
}

/// Sets an option of such a socket.
pub(crate) fn switch_on(socket: &OwnedFd, option: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads a number of the given size.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    done(answer)
}

fn done(answer: libc::c_int) -> io::Result<()> {
    match answer {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
