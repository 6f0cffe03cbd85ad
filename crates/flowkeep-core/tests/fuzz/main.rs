//! Fuzz targets. As tests they run for a second each, or for `BOLERO_RANDOM_TEST_TIME_MS`, on
//! random input; the package `fuzz`, beside the workspace's crates, guides them by coverage.

#[path = "../common/mod.rs"]
mod common;

mod lookup_create;
mod parser;
#[path = "../common/stated.rs"]
#[allow(unreachable_pub, reason = "test crates share it")]
mod stated;
