//! Flowkeep.

pub mod capture;
pub mod connection;
pub mod filter;
pub mod icmp;
pub mod prefix;
pub mod protocol;
#[cfg(test)]
mod sample;
pub mod top;
