//! Real traffic in a network of our own, tracked at three places at once, by Flowkeep and by the
//! kernel's own tracker: at the host that begins (`client`), at the host that answers (`server`),
//! and at the router between them. Both must tell the same of it: the same connections, begun by
//! the same side, with the same packets and bytes each way. Where they differ by choice, the test
//! says how, exactly, and why.
//!
//! Needs root; without it each test says that it was skipped.

mod buffers;
mod fragments;
mod icmp;
mod links;
mod network;
mod tcp;
mod traffic;
mod udp;
mod verifier;
mod view;
