//! What passes between the caller and an entry.

use core::net::Ipv4Addr;

use crate::entry::{Entry, EntryFlags};
use crate::rules::Rules;
use crate::tracker::Direction;
use crate::tuple::Address;

/// What the caller gives a new entry, and what a look-up hands back of a known one.
///
/// Which of the fields are used is a matter of the rules; what a look-up does not fill keeps the
/// caller's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Reverse-NAT index; 0 for none.
    pub rev_nat_index: u16,
    /// The endpoint reaches itself through a service.
    pub loopback: bool,
    /// A node-port connection.
    pub node_port: bool,
    /// Direct server return (1.19: `dsr_internal`).
    pub dsr: bool,
    /// Redirected to a proxy.
    pub proxy_redirect: bool,
    /// Comes from the L7 load balancer (1.19).
    pub from_l7lb: bool,
    /// Comes from a tunnel (1.19).
    pub from_tunnel: bool,
    /// Filled only: the packet of a service has SYN (1.19).
    pub syn: bool,
    /// Filled only: the packet has FIN or RST (1.19).
    pub closing: bool,
    /// Security identity of the source. Never handed back.
    pub source_identity: u32,
    /// Interface index (1.8).
    pub ifindex: u16,
    /// Backend of a service.
    pub backend: u32,
    /// Port for NAT (1.19).
    pub nat_port: u16,
    /// Address for NAT (1.19).
    pub nat_address: Address,
    /// Loopback only: the endpoint's address (1.8).
    pub address: Ipv4Addr,
    /// Loopback only: the service's address (1.8).
    pub service_address: Ipv4Addr,
}

impl Default for State {
    fn default() -> Self {
        Self {
            rev_nat_index: 0,
            loopback: false,
            node_port: false,
            dsr: false,
            proxy_redirect: false,
            from_l7lb: false,
            from_tunnel: false,
            syn: false,
            closing: false,
            source_identity: 0,
            ifindex: 0,
            backend: 0,
            nat_port: 0,
            nat_address: Address::default(),
            address: Ipv4Addr::UNSPECIFIED,
            service_address: Ipv4Addr::UNSPECIFIED,
        }
    }
}

impl State {
    /// Takes over what an entry hands back to a look-up in `direction`.
    pub(crate) fn fill<R: Rules>(&mut self, entry: &Entry, direction: Direction) {
        self.rev_nat_index = entry.rev_nat_index;
        if direction.is_service() {
            self.backend = if R::BACKEND_IN_RX_BYTES {
                u32::from(entry.rx.bytes as u16)
            } else {
                entry.backend() as u32
            };
            if R::SERVICE_KEEPS_LITTLE {
                return;
            }
        }
        let entry_flags = entry.progress.entry_flags;
        self.loopback = entry_flags.contains(EntryFlags::LOOPBACK);
        self.node_port = entry_flags.contains(EntryFlags::NODE_PORT);
        self.dsr = entry_flags.contains(EntryFlags::DSR);
        self.proxy_redirect = entry_flags.contains(EntryFlags::PROXY_REDIRECT);
        if R::BACKEND_IN_RX_BYTES {
            self.ifindex = entry.nat_port;
        } else {
            self.from_l7lb = entry_flags.contains(EntryFlags::FROM_L7LB);
            self.from_tunnel = entry_flags.contains(EntryFlags::FROM_TUNNEL);
            self.nat_port = entry.nat_port;
            self.nat_address = entry.nat_address;
        }
    }

    /// Gives a new entry what it keeps of the caller's state.
    pub(crate) fn give<R: Rules>(&self, entry: &mut Entry, direction: Direction) {
        entry.rev_nat_index = self.rev_nat_index;
        entry.source_identity = self.source_identity;
        if direction.is_service() {
            if R::BACKEND_IN_RX_BYTES {
                entry.rx.bytes = u64::from(self.backend);
            } else {
                entry.set_backend(u64::from(self.backend));
            }
            if R::SERVICE_KEEPS_LITTLE {
                return;
            }
        }
        let entry_flags = &mut entry.progress.entry_flags;
        entry_flags.set(EntryFlags::LOOPBACK, self.loopback);
        entry_flags.set(EntryFlags::NODE_PORT, self.node_port);
        entry_flags.set(EntryFlags::DSR, self.dsr);
        entry_flags.set(EntryFlags::PROXY_REDIRECT, self.proxy_redirect);
        if R::BACKEND_IN_RX_BYTES {
            entry.nat_port = self.ifindex;
        } else {
            entry_flags.set(EntryFlags::FROM_L7LB, self.from_l7lb);
            entry_flags.set(EntryFlags::FROM_TUNNEL, self.from_tunnel);
            entry.nat_port = self.nat_port;
            entry.nat_address = self.nat_address;
        }
    }
}
