//! What this machine must allow, and have.

use std::fs;
use std::process::{Command, Stdio};

/// Capabilities that a lab needs, by their numbers in linux/capability.h.
const CAPABILITIES: [(u32, &str); 4] = [
    (12, "CAP_NET_ADMIN"),
    (13, "CAP_NET_RAW"),
    (21, "CAP_SYS_ADMIN"),
    (39, "CAP_BPF"),
];

/// Why there can't be a lab with BPF programs here, or `None` if there can: what a test says that
/// it skips. `programs` are those that it runs, beside `ip` and `ethtool`.
#[must_use]
pub fn missing(programs: &[&str]) -> Option<String> {
    let effective = effective_capabilities().unwrap_or(0);
    for (number, name) in CAPABILITIES {
        if effective & 1 << number == 0 {
            return Some(format!("no {name}"));
        }
    }
    for program in ["ip", "ethtool"].iter().chain(programs) {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if command
            .arg("--version")
            .stderr(Stdio::null())
            .status()
            .is_err()
        {
            return Some(format!("no program {program}"));
        }
    }
    None
}

/// The capabilities of this thread, a bit each.
fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}
