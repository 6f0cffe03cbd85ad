//! IEEE 802.1Q interfaces.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use anyhow::{Context as _, Result};
use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, LinkAddr, MsgFlags, recvmsg, send};

use crate::tap::{End, Ferry, Kind, device};
use crate::{Host, frames};

/// A VLAN's interface. If it is emulated, dropping this removes it.
#[derive(Debug)]
pub struct Vlan {
    name: String,
    _emulator: Option<Ferry>,
}

impl Vlan {
    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Adds the interface `TRUNK.VLAN` to a host and brings it up: its packets pass the trunk with the
/// VLAN's tag. If the kernel has no VLAN devices, it is emulated by a tap device.
///
/// # Errors
/// If the host has no such trunk, or the kernel has no tap devices either.
pub fn vlan(host: &Host, trunk: &str, id: u16) -> Result<Vlan> {
    let name = format!("{trunk}.{id}");
    let native = host.ip(&format!(
        "link add link {trunk} name {name} type vlan id {id}"
    ));
    if native.is_ok() {
        // It inherits the trunk's offloads, except for this one.
        host.ip(&format!("link set {name} gso_max_segs 1"))?;
        host.ip(&format!("link set {name} up"))?;
        return Ok(Vlan {
            name,
            _emulator: None,
        });
    }
    let tagged = host
        .enter(|| Trunk::open(trunk, id))
        .with_context(|| format!("{trunk} can't be opened"))?;
    let emulator = Ferry::start(device(host, &name, Kind::Tap)?, tagged)?;
    // Like the trunk, the tap device merges no packets.
    host.offloads(&name, crate::Offloads::Off)?;
    Ok(Vlan {
        name,
        _emulator: Some(emulator),
    })
}

/// One VLAN's frames on a trunk: tagged there, untagged here.
#[derive(Debug)]
struct Trunk {
    socket: OwnedFd,
    id: u16,
}

/// Bytes of the two addresses that precede the tag.
const ADDRESSES: usize = 12;
/// Bits of the tag that are the VLAN's number.
const ID: u16 = 0xfff;

impl Trunk {
    fn open(interface: &str, id: u16) -> io::Result<Self> {
        let socket = frames::open(interface, libc::ETH_P_ALL as u16)?;
        // The kernel removes the tag of a received frame, and passes it separately.
        frames::switch_on(&socket, PACKET_AUXDATA)?;
        Ok(Self { socket, id })
    }
}

impl AsFd for Trunk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl End for Trunk {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut control = cmsg_space!(Auxiliary);
        let mut parts = [IoSliceMut::new(buffer)];
        let message = recvmsg::<LinkAddr>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::empty(),
        )?;
        let ours = message.address.is_some_and(|address| {
            let own: u8 = libc::PACKET_OUTGOING;
            address.as_ref().sll_pkttype == own
        });
        let tagged = message.cmsgs()?.any(|message| match message {
            ControlMessageOwned::Unknown(message) => vlan_id(&message.data_bytes) == Some(self.id),
            _ => false,
        });
        Ok((tagged && !ours).then_some(message.bytes))
    }

    fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        let (addresses, rest) = packet.split_at_checked(ADDRESSES).unwrap_or((packet, &[]));
        let [type_high, type_low] = (libc::ETH_P_8021Q as u16).to_be_bytes();
        let [id_high, id_low] = self.id.to_be_bytes();
        let tag: &[u8] = &[type_high, type_low, id_high, id_low];
        let frame = [addresses, tag, rest].concat();
        send(self.socket.as_raw_fd(), &frame, MsgFlags::empty())?;
        Ok(())
    }
}

/// From linux/if_packet.h: what the kernel says about a frame.
#[repr(C)]
struct Auxiliary {
    status: u32,
    length: u32,
    captured: u32,
    mac: u16,
    network: u16,
    vlan_tci: u16,
    vlan_protocol: u16,
}

/// From linux/if_packet.h.
const PACKET_AUXDATA: libc::c_int = 8;
/// From linux/if_packet.h: the fields of the tag are valid.
const TP_STATUS_VLAN_VALID: u32 = 1 << 4;

/// The VLAN of a frame, from its [`Auxiliary`].
fn vlan_id(bytes: &[u8]) -> Option<u16> {
    let word = |at| bytes.get(at..)?.first_chunk().copied();
    let status = u32::from_ne_bytes(word(std::mem::offset_of!(Auxiliary, status))?);
    let at = std::mem::offset_of!(Auxiliary, vlan_tci);
    let tci = u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?);
    (status & TP_STATUS_VLAN_VALID != 0).then_some(tci & ID)
}
