//! TCP by evidence: a packet may lengthen, shorten or end only what it proves to belong to.
//!
//! Proof is an exact sequence number, or an acknowledgement of one: nothing that a stranger who
//! does not see the traffic can guess. What fits the windows passes as part of the connection and
//! can't end it; what does not fit changes nothing and says why ([`Reason`]).
//!
//! | step | |
//! | --- | --- |
//! | [`Segment::parse`] | the header, with the options that matter |
//! | [`Connection::begin`] | the first packet of a connection: a SYN, or one in mid-stream |
//! | [`Words::unpack`] | what a record remembers, seen from the packet's sender |
//! | [`Connection::judge`] | the verdict, and what becomes of the connection |
//! | [`Connection::pack`] | back into four words and six bits |
//! | [`Timeouts::expires`] | when the entry expires now |
//!
//! # The numbers of a side
//!
//! - END: the number after the last that it is proven to have sent. It moves by what continues it
//!   exactly and by what the other side acknowledges with an exact number of its own. Data that
//!   jumps ahead (a loss, another order, a forgery) is remembered beside it, and may be
//!   acknowledged, until one or the other happens. So no forgery within the window can move the
//!   bounds that the genuine packets are held against.
//! - ACKED: what the other side has acknowledged of it.
//! - LIMIT: the right edge that the other side has allowed it.
//! - WIN: the largest window that it has offered, and SCALE.
//!
//! RFC 9293 is TCP, RFC 7323 its window scale, RFC 2018 its selective acknowledgements, RFC 5961
//! its defence against blind attackers, RFC 7413 its fast open.

mod bounds;
mod connection;
mod evidence;
mod judge;
mod judgement;
mod live;
mod memory;
mod opening;
mod policy;
mod reset;
mod restart;
mod segment;
mod seq;
mod stream;
mod transition;
mod words;

pub use connection::{Connection, Numbers, Scale, State};
pub use judgement::{Fate, Judgement, Reason, Timeout, Verdict};
pub use memory::Memory;
pub use policy::{Mode, Policy, Timeouts};
pub use segment::{Malformed, Segment, flag};
pub use seq::Seq;
pub use words::Words;
