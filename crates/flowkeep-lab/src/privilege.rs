//! What this machine must allow, and have.

use std::fs;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::thread;

/// Capabilities that a lab needs, by their numbers in linux/capability.h.
const CAPABILITIES: [(u32, &str); 4] = [
    (39, "CAP_BPF"),
    (12, "CAP_NET_ADMIN"),
    (13, "CAP_NET_RAW"),
    (21, "CAP_SYS_ADMIN"),
];

/// Whether there can be a lab with BPF programs here. If not, says so on standard error: a test
/// that returns then has been skipped, not passed. `programs` are those that it runs, beside `ip`
/// and `ethtool`.
#[must_use]
pub fn available(programs: &[&str]) -> bool {
    let Some(reason) = missing(programs) else {
        return true;
    };
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    // Past the test harness, which shows what a test prints only if it fails. If nobody listens,
    // there is nobody to tell.
    let _ = writeln!(io::stderr(), "{test}: skipped: {reason}");
    false
}

fn missing(programs: &[&str]) -> Option<String> {
    let effective = effective_capabilities().unwrap_or(0);
    for (number, name) in CAPABILITIES {
        if effective & 1 << number == 0 {
            return Some(format!("no {name}"));
        }
    }
    let file_systems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !file_systems.split_whitespace().any(|name| name == "bpf") {
        return Some("no BPF in this kernel".to_owned());
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
