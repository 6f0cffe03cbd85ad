//! What this machine offers for tracking, and what to do about what it lacks.

use std::fs;
use std::path::Path;

use flowkeep_bpf::support;
use nix::sys::utsname::uname;
use serde::Serialize;

use super::{Error, Folder};

/// One thing that tracking needs or profits from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name.
    pub name: &'static str,
    /// Whether this machine has it; `None` if that could not be found out.
    pub present: Option<bool>,
    /// Whether nothing works without it.
    pub needed: bool,
    /// What was found.
    pub found: String,
    /// What to do if this machine lacks it.
    pub remedy: &'static str,
}

/// The oldest supported kernel.
const KERNEL: (u32, u32) = (5, 15);

/// Checks everything, in the order in which it is needed. The last check tries it all: it loads and
/// verifies the programs and drops them.
#[must_use]
pub fn check(folder: &Path) -> Vec<Finding> {
    let mut findings = vec![kernel(), privileges(), btf(), bpf_file_system(folder)];
    let permitted = privileges().present == Some(true);
    let tried = |name, feature: Result<bool, _>, needed, remedy| Finding {
        name,
        present: feature.as_ref().ok().copied(),
        needed,
        found: match feature {
            Ok(true) => "supported by the kernel".to_owned(),
            Ok(false) => "not supported by the kernel".to_owned(),
            Err(_) if !permitted => "cannot be tried without privileges".to_owned(),
            Err(error) => one_line(&error),
        },
        remedy,
    };
    findings.push(tried(
        "ring buffers",
        support::ring_buffer(),
        true,
        "use Linux 5.8 or later with CONFIG_BPF_SYSCALL",
    ));
    findings.push(tried(
        "mapped arrays",
        support::mapped_array(),
        true,
        "use Linux 5.5 or later with CONFIG_MMU",
    ));
    findings.push(tried(
        "tcx links",
        support::tcx(),
        false,
        "nothing to do: filters of the clsact queueing discipline are used instead (tcx needs \
         Linux 6.6)",
    ));
    let programs = support::programs();
    findings.push(Finding {
        name: "programs",
        present: (programs.is_ok() || permitted).then_some(programs.is_ok()),
        needed: true,
        found: match &programs {
            Ok(()) => "loaded and verified".to_owned(),
            Err(_) if !permitted => "cannot be tried without privileges".to_owned(),
            Err(error) => one_line(error),
        },
        remedy: "see above for what is missing; if nothing is, please report it with the version \
                 of the kernel",
    });
    findings
}

/// Finds out whether an error of the kernel comes from something that this machine lacks.
pub(super) fn explain(error: flowkeep_bpf::Error) -> Error {
    let error = match error {
        flowkeep_bpf::Error::Pinned { path, what } => return Error::Pinned { path, what },
        flowkeep_bpf::Error::Untrusted { path, reason } => {
            return Error::Untrusted { path, reason };
        }
        error => error,
    };
    let missing = [kernel(), privileges()]
        .into_iter()
        .find(|finding| finding.present == Some(false));
    match missing {
        Some(finding) => Error::Missing {
            what: finding.found,
            remedy: finding.remedy.to_owned(),
        },
        None => Error::Kernel(error),
    }
}

/// An error and its sources, in one line.
pub(super) fn one_line(error: &dyn std::error::Error) -> String {
    // The verifier's log may follow, a page long.
    let first = |error: &dyn std::error::Error| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().to_owned()
    };
    let mut text = first(error);
    let mut source = error.source();
    while let Some(error) = source {
        let cause = first(error);
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

fn kernel() -> Finding {
    let release = uname().ok();
    let release = release.as_ref().and_then(|name| name.release().to_str());
    let release = release.unwrap_or("unknown");
    let present = version(release).is_some_and(|version| version >= KERNEL);
    let verdict = if present { "" } else { " is too old" };
    Finding {
        name: "kernel",
        present: Some(present),
        needed: true,
        found: format!("Linux {release}{verdict}"),
        remedy: "use Linux 5.15 or later",
    }
}

/// The first two numbers of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|char: char| !char.is_ascii_digit());
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

/// Capabilities by their numbers in linux/capability.h.
const CAPABILITIES: [(&str, u32); 4] = [
    ("CAP_NET_ADMIN", 12),
    ("CAP_SYS_ADMIN", 21),
    ("CAP_PERFMON", 38),
    ("CAP_BPF", 39),
];

fn privileges() -> Finding {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = effective(&status);
    let has = |name| {
        CAPABILITIES
            .iter()
            .any(|&(other, bit)| other == name && set >> bit & 1 == 1)
    };
    let may = |name| has(name) || name != "CAP_NET_ADMIN" && has("CAP_SYS_ADMIN");
    let missing: Vec<_> = ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]
        .into_iter()
        .filter(|name| !may(name))
        .collect();
    Finding {
        name: "privileges",
        present: Some(missing.is_empty()),
        needed: true,
        found: if missing.is_empty() {
            "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN".to_owned()
        } else {
            format!("no {}", missing.join(", "))
        },
        remedy: "run it as root, with sudo",
    }
}

/// The effective capabilities in a `/proc/PID/status`.
fn effective(status: &str) -> u64 {
    let mut lines = status.lines();
    lines
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hexadecimal| u64::from_str_radix(hexadecimal.trim(), 16).ok())
        .unwrap_or(0)
}

fn btf() -> Finding {
    let present = Path::new("/sys/kernel/btf/vmlinux").exists();
    Finding {
        name: "BTF",
        present: Some(present),
        needed: false,
        found: if present {
            "/sys/kernel/btf/vmlinux"
        } else {
            "no /sys/kernel/btf/vmlinux"
        }
        .to_owned(),
        remedy: "nothing to do: the programs do not need the kernel's types",
    }
}

fn bpf_file_system(folder: &Path) -> Finding {
    let there = Folder::at(folder);
    Finding {
        name: "BPF file system",
        present: Some(there.is_ok()),
        needed: true,
        found: match there {
            Ok(_) => folder.display().to_string(),
            Err(_) => format!("none at {}", folder.display()),
        },
        remedy: "mount one with 'mount -t bpf bpf /sys/fs/bpf'; 'ip netns exec' hides it: use \
                 'nsenter --net=/run/netns/NAME' instead",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_have_versions() {
        for (release, expected) in [
            ("6.18.44-fc-v669", Some((6, 18))),
            ("5.15.0-91-generic", Some((5, 15))),
            ("6.1", Some((6, 1))),
            ("unknown", None),
            ("6", None),
        ] {
            assert_eq!(version(release), expected, "{release}");
        }
        assert!(version("5.4.0") < Some(KERNEL));
        assert!(version("5.15.0") >= Some(KERNEL));
    }

    #[test]
    fn effective_capabilities_are_read() {
        let status = "Name:\tx\nCapPrm:\t0000000000000001\nCapEff:\t000001ffffffffff\n";
        assert_eq!(effective(status), 0x1ff_ffff_ffff);
        assert_eq!(effective("Name:\tx\n"), 0);
    }
}
