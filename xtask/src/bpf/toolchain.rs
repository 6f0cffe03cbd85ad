//! The compilers that can build for BPF.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::{root, target_dir};

const TARGET: &str = "bpfel-unknown-none";

/// A compiler with a core library for BPF, or the sources of one.
pub(super) struct Toolchain {
    pub(super) name: &'static str,
    cargo: PathBuf,
    rustc: PathBuf,
    build_std: bool,
    llvm: PathBuf,
}

/// The first toolchain that this machine has.
pub(super) fn find() -> Result<Toolchain> {
    let llvm = PathBuf::from("/usr/lib/llvm-22/bin");
    ensure!(
        llvm.join("llc").is_file(),
        "there is no llc of LLVM 22: apt-get install llvm-22-dev libpolly-22-dev"
    );
    ensure!(
        succeeds(Command::new("bpf-linker").arg("--version")),
        "there is no bpf-linker: LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker \
         --version 0.13.0 --no-default-features --features llvm-22"
    );
    let rustc = Path::new("/usr/bin/rustc");
    if let Some(root) = line(Command::new(rustc).args(["--print", "sysroot"]))
        && Path::new(&root).join("lib/rustlib").join(TARGET).is_dir()
    {
        return Ok(Toolchain {
            name: "Debian's rustc",
            cargo: "/usr/bin/cargo".into(),
            rustc: rustc.into(),
            build_std: false,
            llvm,
        });
    }
    if let Some([cargo, rustc]) = nightly() {
        return Ok(Toolchain {
            name: "rustup's nightly",
            cargo,
            rustc,
            build_std: true,
            llvm,
        });
    }
    bail!(
        "no compiler for BPF that speaks to LLVM 22. On Debian `apt-get install rustc-web \
         cargo-web libstd-rust-web-dev-bpf`, else `rustup toolchain install nightly --component \
         rust-src`"
    )
}

/// Cargo and rustc of rustup's nightly, if it has the sources of the core library and makes code
/// that the linker, which is built with LLVM 22, can read.
fn nightly() -> Option<[PathBuf; 2]> {
    let which = |tool| {
        let path = line(Command::new("rustup").args(["which", "--toolchain", "nightly", tool]))?;
        Some(PathBuf::from(path))
    };
    let (cargo, rustc) = (which("cargo")?, which("rustc")?);
    let version = line(Command::new(&rustc).arg("-vV"))?;
    if !version.contains("LLVM version: 22.") {
        return None;
    }
    let sources = rustc
        .parent()?
        .parent()?
        .join("lib/rustlib/src/rust/library/core");
    sources.is_dir().then_some([cargo, rustc])
}

impl Toolchain {
    /// Builds the programs of a crate, with these features.
    pub(super) fn build(&self, package: &str, features: &str) -> Result<()> {
        let mut command = Command::new(&self.cargo);
        command
            .args(["build", "--quiet", "--release", "--locked"])
            .args(["--package", package, "--features", features])
            .args(["--config", &relative_paths()])
            .args(["--target", TARGET])
            // Its configuration is looked for from here.
            .current_dir(root().join("ebpf"))
            .env("RUSTC", &self.rustc)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_DIR", directory());
        if self.build_std {
            command.arg("-Zbuild-std=core");
        }
        for theirs in [
            "RUSTUP_TOOLCHAIN",
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
        ] {
            command.env_remove(theirs);
        }
        ensure!(
            command.status().context("cannot start cargo")?.success(),
            "cannot build the programs"
        );
        Ok(())
    }

    /// LLVM's intermediate code for the programs of a crate, once they are built.
    pub(super) fn intermediate(&self, package: &str) -> Result<String> {
        let built = directory().join(TARGET).join("release").join(package);
        fs::read_to_string(&built).with_context(|| format!("cannot read {}", built.display()))
    }

    /// Compiles intermediate code to an object without line numbers and the like.
    pub(super) fn compile(&self, code: &str) -> Result<Vec<u8>> {
        let (full, bare) = (directory().join("full.o"), directory().join("bare.o"));
        let mut llc = Command::new(self.llvm.join("llc"))
            .args(["-march=bpf", "-mcpu=v3", "-O3", "-filetype=obj"])
            .args(["-mattr=+alu32,+allows-misaligned-mem-access", "-o"])
            .arg(&full)
            .stdin(Stdio::piped())
            .spawn()
            .context("cannot start llc")?;
        llc.stdin
            .take()
            .context("llc has no input")?
            .write_all(code.as_bytes())?;
        ensure!(llc.wait()?.success(), "llc failed");
        // What BTF says of functions stays: it is how the verifier knows the global ones.
        let strip: [&OsStr; 5] = [
            "--strip-debug".as_ref(),
            "-R".as_ref(),
            ".rel.BTF.ext".as_ref(),
            full.as_ref(),
            bare.as_ref(),
        ];
        let status = Command::new(self.llvm.join("llvm-objcopy"))
            .args(strip)
            .status()
            .context("cannot start llvm-objcopy")?;
        ensure!(status.success(), "llvm-objcopy failed");
        Ok(fs::read(&bare)?)
    }
}

/// Where the programs are built.
fn directory() -> PathBuf {
    target_dir().join("bpf")
}

/// Cargo's setting that has panics name their source relative to the checkout, or to the crate that
/// it is of: the object is to be the same wherever it is built.
fn relative_paths() -> String {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let registries = home.and_then(|home| fs::read_dir(home.join("registry/src")).ok());
    let registries = registries.into_iter().flatten().flatten();
    let folders = registries.map(|registry| registry.path());
    let remaps: Vec<String> = folders
        .chain([root().to_owned()])
        .map(|folder| format!("'--remap-path-prefix={}/='", folder.display()))
        .collect();
    format!("target.{TARGET}.rustflags=[{}]", remaps.join(","))
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What a command prints, if it succeeds.
fn line(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
