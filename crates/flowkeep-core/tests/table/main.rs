//! Tests of the table's promises.

#[path = "../common/mod.rs"]
mod common;

mod adversary;
mod flood;
mod garbage;
mod handles;
mod header;
mod killed;
mod load;
mod model;
mod mortal;
mod replacement;
mod stress;
mod walk;
