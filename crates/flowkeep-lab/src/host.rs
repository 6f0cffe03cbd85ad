//! A host: a network namespace with its own BPF file system.

use std::env;
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::CommandExt as _;
use std::panic;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigHandler, Signal, signal};

/// Where the BPF file system is mounted.
const BPFFS: &str = "/sys/fs/bpf";

/// A host of the lab: a network namespace, and a mount namespace whose `/sys/fs/bpf` is its own BPF
/// file system. Both exist as long as this value, the processes started on the host, and the sockets
/// created on it.
#[derive(Debug)]
pub struct Host {
    network: File,
    mounts: File,
}

impl Host {
    /// A host with a loopback device that is up. It sends no router solicitations and no tests for
    /// duplicate addresses, and it does not limit the rate of ICMP errors.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN and CAP_NET_ADMIN, or if the kernel has no BPF file system.
    pub fn new() -> Result<Self> {
        let host = on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
                .context("no new namespaces, which need CAP_SYS_ADMIN")?;
            // Mounts must not be visible outside.
            let nothing = None::<&str>;
            mount(
                nothing,
                "/",
                nothing,
                MsFlags::MS_REC | MsFlags::MS_PRIVATE,
                nothing,
            )
            .context("can't make mounts private")?;
            mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), nothing)
                .context("can't mount a BPF file system")?;
            let own = |name| {
                let path = Path::new("/proc/thread-self/ns").join(name);
                File::open(&path).with_context(|| path.display().to_string())
            };
            anyhow::Ok(Self {
                network: own("net")?,
                mounts: own("mnt")?,
            })
        })?;
        for (key, value) in [
            ("ipv4/icmp_ratelimit", "0"),
            ("ipv6/icmp/ratelimit", "0"),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            ("ipv6/conf/default/accept_ra", "0"),
            ("ipv6/conf/default/accept_dad", "0"),
            ("ipv6/conf/default/router_solicitations", "0"),
        ] {
            host.set(key, value)?;
        }
        host.ip("link set lo up")?;
        Ok(host)
    }

    /// Runs `work` on a thread on this host, and waits for it. Its sockets, interface names and
    /// `/sys/fs/bpf` are those of the host, and threads that it starts are on the host too. Relative
    /// paths mean the same as outside.
    ///
    /// # Panics
    /// If `work` does, or the kernel refuses to enter the namespaces.
    pub fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        on_a_thread(|| {
            let folder = env::current_dir().and_then(|path| text(path.into_os_string()));
            // A thread that shares its root and current folder with others may not change its
            // mount namespace.
            unshare(CloneFlags::CLONE_FS)
                .map_err(io::Error::from)
                .and_then(|()| self.join(&folder?))
                .unwrap_or_else(|error| panic!("can't enter a namespace: {error}"));
            work()
        })
    }

    /// A command that runs on this host. Relative paths mean the same as outside. Signals from a
    /// terminal end it, even if this process ignores them, as with nohup or in the background of a
    /// shell script.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let folder = env::current_dir().and_then(|path| text(path.into_os_string()));
        let (network, mounts) = (self.network.try_clone(), self.mounts.try_clone());
        let ready = folder.and_then(|folder| {
            let host = Self {
                network: network?,
                mounts: mounts?,
            };
            Ok((host, folder))
        });
        // SAFETY: between fork and exec only system calls are made, with arguments that were prepared
        // before. Nothing is allocated and no lock is taken. No signal handler is replaced by another.
        unsafe {
            command.pre_exec(move || {
                for ignored in [Signal::SIGINT, Signal::SIGHUP] {
                    signal(ignored, SigHandler::SigDfl)?;
                }
                match &ready {
                    Ok((host, folder)) => host.join(folder),
                    Err(error) => Err(error.kind().into()),
                }
            })
        };
        command
    }

    /// Runs `ip` of iproute2 with these arguments, separated by spaces.
    ///
    /// # Errors
    /// What `ip` says, if it fails.
    pub fn ip(&self, arguments: &str) -> Result<()> {
        self.run("ip", arguments)
    }

    /// Runs a program with these arguments, separated by spaces.
    ///
    /// # Errors
    /// What it says, if it fails.
    pub fn run(&self, program: &str, arguments: &str) -> Result<()> {
        let mut command = self.command(program);
        done(program, command.args(arguments.split_whitespace()))
    }

    /// Sets a `net.` variable of this host's kernel: `key` is its path below `/proc/sys/net`.
    ///
    /// # Errors
    /// If there is no such variable, or it refuses the value.
    pub fn set(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys/net").join(key);
        self.enter(|| fs::write(&path, value))
            .with_context(|| path.display().to_string())
    }

    /// Adds rules to this host's packet filter, in the syntax of nftables.
    ///
    /// # Errors
    /// What `nft` says, if it fails.
    pub fn ruleset(&self, rules: &str) -> Result<()> {
        let mut command = self.command("nft");
        done("nft", command.arg(rules))
    }

    /// Makes this host a router, for IPv4 and IPv6.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn forward(&self) -> Result<()> {
        self.set("ipv4/ip_forward", "1")?;
        self.set("ipv6/conf/all/forwarding", "1")
    }

    /// The path of the namespace for `ip link … netns`. It is valid while this process lives.
    pub(crate) fn path(&self) -> String {
        use std::os::fd::AsRawFd as _;
        format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.network.as_raw_fd()
        )
    }

    /// Moves the calling thread to this host, by system calls only.
    fn join(&self, folder: &CString) -> io::Result<()> {
        setns(&self.network, CloneFlags::CLONE_NEWNET)?;
        // This changes the current folder to the root.
        setns(&self.mounts, CloneFlags::CLONE_NEWNS)?;
        nix::unistd::chdir(folder.as_c_str())?;
        Ok(())
    }
}

/// Runs a command, which has to succeed.
fn done(program: &str, command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("{program} can't be run"))?;
    if !output.status.success() {
        let arguments: Vec<_> = command
            .get_args()
            .map(|word| word.to_string_lossy())
            .collect();
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{program} {}: {}: {}",
            arguments.join(" "),
            output.status,
            complaint.trim()
        );
    }
    Ok(())
}

fn text(path: std::ffi::OsString) -> io::Result<CString> {
    CString::new(path.into_vec()).map_err(io::Error::from)
}

/// Runs `work` on its own thread, which shares its namespaces with no other thread.
fn on_a_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let joined = thread::scope(|scope| scope.spawn(work).join());
    joined.unwrap_or_else(|panic| panic::resume_unwind(panic))
}
