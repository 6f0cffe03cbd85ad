//! Fuzzes Flowkeep's core, guided by coverage, with LLVM's fuzzer on stable Rust. In this folder:
//!
//! ```text
//! cargo install cargo-bolero
//! cargo bolero test targets::parser::any_bytes_are_survived --rustc-bootstrap --sanitizer NONE -T 60s
//! cargo bolero test targets::lookup_create::packets_leave_a_consistent_table \
//!     --rustc-bootstrap --sanitizer NONE -T 60s
//! ```
//!
//! `-r 10000000` runs a number of inputs instead of a time. The corpus, and what is found, is left
//! in `__fuzz__` beside the targets; `cargo test` in this folder replays it.

#[cfg(test)]
#[path = "../../crates/flowkeep-core/tests/fuzz/main.rs"]
mod targets;
