//! A connection tracker as a library: **packet → tuple → table → verdict**.
//!
//! For every packet it answers one question: is this a new connection, part of one, a reply, or
//! an error about one? And it remembers what the answer's consumers need: timeouts, TCP flags
//! seen, NAT index, identity, counters.
//!
//! The crate does no input or output, reads no clock, allocates nothing and depends on nothing:
//! the bytes of a packet, the time and the table's memory are arguments. That is why the same
//! code runs in the kernel, in a program and over a capture file.
//!
//! | step | module |
//! | --- | --- |
//! | bytes → link, network and transport header | [`packet`] |
//! | the key that names one direction of a connection | [`mod@tuple`] |
//! | what is remembered of a connection | [`entry`] |
//! | where entries live | [`table`] |
//! | which behaviour: Cilium 1.8, Cilium 1.19 or Flowkeep's own | [`rules`] |
//! | look-up, creation and single-entry operations | [`tracker`] |
//!
//! [`Tracker::track`](tracker::Tracker::track) takes all of these steps in one call, from the bytes
//! of a frame to its verdict.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod attributes;
pub mod cilium;
pub mod entry;
pub mod error;
pub mod packet;
pub mod protocol;
pub mod rules;
pub mod settings;
pub mod table;
pub mod tracker;
pub mod tuple;

pub use error::Error;
