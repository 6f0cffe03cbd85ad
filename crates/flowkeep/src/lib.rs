//! Flowkeep.

pub mod capture;
pub mod connection;
pub mod prefix;
