//! Fuzz targets. As tests they run for a second each, or for `BOLERO_RANDOM_TEST_TIME_MS`, on
//! random input. Guided by coverage, with the fuzzer of LLVM:
//!
//! ```text
//! cargo install cargo-bolero
//! cargo bolero test -p flowkeep-core --rustc-bootstrap --sanitizer NONE \
//!     parser::any_bytes_are_survived -T 60s
//! ```
//!
//! What it finds it leaves under `__fuzz__`, beside this file; the tests replay it from there.

#[path = "../common/mod.rs"]
mod common;

mod lookup_create;
mod parser;
