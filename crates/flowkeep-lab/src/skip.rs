//! Tests that can't run on this machine.

use std::io::{self, Write as _};
use std::{env, thread};

use crate::privilege::{Missing, missing, missing_bpf_file_system, missing_to_load};

/// Says what a test lacks. The test returns then, and has been skipped, not passed, which
/// `cargo xtask test` counts: by the line
///
/// ```text
/// test NAME ... skipped: no program nft; install nftables
/// ```
///
/// # Panics
/// If the environment has `CI=true`: whoever set up the machine forgot something.
pub fn skip(missing: &Missing) {
    assert!(
        env::var_os("CI").is_none_or(|ci| ci != "true"),
        "this test must not be skipped, as CI=true: {missing}"
    );
    let thread = thread::current();
    let test = thread.name().unwrap_or("of no name");
    // Past the test harness, which shows what a test prints only if it fails. If nobody listens,
    // there is nobody to tell.
    let line = format!("test {test} ... skipped: {missing}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Whether there can be a lab here. If not, the test that asks [is skipped](skip). `programs` are
/// those that it runs, beside `ip` and `ethtool`.
#[must_use]
pub fn available(programs: &[&str]) -> bool {
    unless(missing(programs))
}

/// Whether programs can be loaded into the kernel. If not, the test that asks [is skipped](skip).
#[must_use]
pub fn can_load() -> bool {
    unless(missing_to_load())
}

/// Whether files can be pinned to `/sys/fs/bpf`. If not, the test that asks [is skipped](skip).
#[must_use]
pub fn can_pin() -> bool {
    unless(missing_bpf_file_system())
}

fn unless(missing: Option<Missing>) -> bool {
    if let Some(missing) = &missing {
        skip(missing);
    }
    missing.is_none()
}
