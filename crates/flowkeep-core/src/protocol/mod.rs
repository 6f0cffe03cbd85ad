//! What each packet may do to a connection, protocol by protocol.
//!
//! Everything here is pure: no table, no clock, no bytes but those of a header. Every function is
//! total and every loop has a constant bound.

pub mod tcp;
