//! What this machine must allow, and have.

use std::io::ErrorKind;
use std::process::{Command, Stdio};
use std::{fmt, fs};

/// A capability, by its number in linux/capability.h.
type Capability = (u32, &'static str);

const NET_ADMIN: Capability = (12, "CAP_NET_ADMIN");
const NET_RAW: Capability = (13, "CAP_NET_RAW");
const SYS_ADMIN: Capability = (21, "CAP_SYS_ADMIN");
const BPF: Capability = (39, "CAP_BPF");

/// Something that this machine lacks, and what to do about it.
#[derive(Debug)]
pub struct Missing {
    what: String,
    remedy: String,
}

impl Missing {
    /// Both in a few words, such as `no program nft` and `install nftables`.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (what, remedy) = (what.into(), remedy.into());
        Self { what, remedy }
    }

    /// All of them as one; nothing if there are none.
    fn all(missing: impl IntoIterator<Item = Self>) -> Option<Self> {
        missing.into_iter().reduce(|one, other| Self {
            what: one.what + ", " + &other.what,
            remedy: one.remedy + ", " + &other.remedy,
        })
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// What a lab lacks that runs `programs`, beside `ip` and `ethtool`.
#[must_use]
pub fn missing(programs: &[&str]) -> Option<Missing> {
    let capability = missing_capability(&[BPF, NET_ADMIN, NET_RAW, SYS_ADMIN]);
    let programs = ["ip", "ethtool"].iter().chain(programs);
    let programs = programs.filter_map(|program| missing_program(program));
    Missing::all(capability.into_iter().chain(missing_bpf()).chain(programs))
}

/// What loading a program for the kernel takes, and this process lacks.
pub(crate) fn missing_to_load() -> Option<Missing> {
    let capability = missing_capability(&[BPF, NET_ADMIN]);
    Missing::all(capability.into_iter().chain(missing_bpf()))
}

/// What pinning to `/sys/fs/bpf` lacks.
pub(crate) fn missing_bpf_file_system() -> Option<Missing> {
    let mounts = fs::read_to_string("/proc/thread-self/mounts").unwrap_or_default();
    let is_there = mounts
        .lines()
        .any(|mount| mount.split(' ').skip(1).take(2).eq(["/sys/fs/bpf", "bpf"]));
    (!is_there).then(|| {
        Missing::new(
            "no BPF file system",
            "mount one: mount -t bpf bpf /sys/fs/bpf",
        )
    })
}

fn missing_capability(needed: &[Capability]) -> Option<Missing> {
    let effective = effective_capabilities().unwrap_or(0);
    let (_, name) = needed
        .iter()
        .find(|(number, _)| effective & 1 << number == 0)?;
    Some(Missing::new(format!("no {name}"), "run it as root"))
}

fn missing_bpf() -> Option<Missing> {
    let file_systems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let is_there = file_systems.split_whitespace().any(|name| name == "bpf");
    (!is_there).then(|| {
        Missing::new(
            "no BPF in this kernel",
            "install one with CONFIG_BPF_SYSCALL",
        )
    })
}

fn missing_program(program: &str) -> Option<Missing> {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let started = command.arg("--version").status();
    let is_missing = started.is_err_and(|error| error.kind() == ErrorKind::NotFound);
    is_missing.then(|| {
        let package = debian_package(program);
        Missing::new(
            format!("no program {program}"),
            format!("install {package}"),
        )
    })
}

/// The package that has a program, in Debian and its like.
fn debian_package(program: &str) -> &str {
    match program {
        "ip" | "tc" => "iproute2",
        "nft" => "nftables",
        "ping" => "iputils-ping",
        "setarch" | "setpriv" => "util-linux",
        other => other,
    }
}

/// The capabilities of this thread, a bit each.
fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}
