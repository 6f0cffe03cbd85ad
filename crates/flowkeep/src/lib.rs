//! Flowkeep.

pub mod capture;
pub mod connection;
pub mod filter;
pub mod icmp;
pub mod memory;
pub mod output;
pub mod prefix;
pub mod protocol;
pub mod replay;
#[cfg(test)]
mod sample;
pub mod top;
