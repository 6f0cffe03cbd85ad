//! A machine without a disk: its root file system is made of this machine's files, in memory.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::debian::{Kernel, unpacked};
use super::programs::Programs;
use super::{name, succeed};
use crate::test::Tally;

/// A root file system, packed.
pub(super) struct System {
    archive: PathBuf,
}

/// The kernel's modules that tests need are in these folders,
const MODULES: [&str; 3] = ["kernel/net", "kernel/lib", "kernel/crypto"];
/// or are these of this folder, compressed or not.
const DEVICES: (&str, [&str; 2]) = ("kernel/drivers/net", ["veth.ko", "tun.ko"]);

/// The first process. `@` begins what this program reads.
const INIT: &str = r#"#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t bpf bpf /sys/fs/bpf
modprobe -a veth tun 8021q nf_tables nft_ct nf_conntrack_netlink sch_ingress cls_bpf
status=0
for test in /tests/*; do
    echo "@ ${test##*/}"
    $test --test-threads=2 $FILTER || status=1
done
echo "@ status $status"
poweroff -f
"#;

/// Programs of busybox that the first process, the kernel and the tests run.
const APPLETS: [&str; 7] = ["sh", "mount", "modprobe", "poweroff", "pwd", "sleep", "cat"];

impl System {
    pub(super) fn build(kernel: &Kernel, programs: &Programs, folder: &Path) -> Result<Self> {
        let root = folder.join("root");
        let _ = fs::remove_dir_all(&root);
        for empty in [
            "bin", "sbin", "dev", "proc", "sys", "tmp", "run", "tests", "usr/bin",
        ] {
            fs::create_dir_all(root.join(empty))?;
        }
        let busybox = unpacked("busybox-static", folder)?.join("bin/busybox");
        copy(&busybox, &root.join("bin/busybox"))?;
        for applet in APPLETS {
            symlink("busybox", root.join("bin").join(applet))?;
        }
        // Where a kernel looks for it.
        symlink("../bin/busybox", root.join("sbin/modprobe"))?;
        let init = root.join("init");
        fs::write(&init, INIT)?;
        fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
        for (index, test) in programs.tests.iter().enumerate() {
            let to = root.join(format!("tests/{index}-{}", name(test).display()));
            copy(test, &to)?;
            // What is not there need not be unpacked by a slow machine.
            succeed(Command::new("strip").arg(&to))?;
        }
        for tool in &programs.tools {
            copy(tool, &root.join("bin").join(name(tool)))?;
        }
        for file in &programs.files {
            copy(file, &root.join(file.strip_prefix("/")?))?;
        }
        let modules = root.join("lib/modules").join(&kernel.release);
        fs::create_dir_all(modules.join("kernel"))?;
        for part in MODULES {
            let (from, to) = (kernel.modules.join(part), modules.join(part));
            succeed(Command::new("cp").arg("-r").arg(from).arg(to))?;
        }
        let (devices, names) = DEVICES;
        for entry in fs::read_dir(kernel.modules.join(devices))? {
            let path = entry?.path();
            let file = name(&path).to_string_lossy();
            if names.iter().any(|name| file.starts_with(name)) {
                copy(&path, &modules.join(devices).join(name(&path)))?;
            }
        }
        // Busybox loads what is not compressed.
        let mut find = Command::new("find");
        find.arg(&modules).args(["-name", "*.ko.xz", "-exec"]);
        succeed(find.arg(&busybox).args(["unxz", "{}", "+"]))?;
        for list in ["modules.builtin", "modules.order"] {
            copy(&kernel.modules.join(list), &modules.join(list))?;
        }
        let mut depmod = Command::new(&busybox);
        succeed(
            depmod
                .arg("depmod")
                .arg("-b")
                .arg(&root)
                .arg(&kernel.release),
        )?;

        let archive = folder.join("root.cpio");
        let mut files = Command::new("find")
            .arg(".")
            .current_dir(&root)
            .stdout(Stdio::piped())
            .spawn()?;
        let list = files.stdout.take().context("find writes nothing")?;
        let mut cpio = Command::new(&busybox);
        cpio.args(["cpio", "-o", "-H", "newc", "-F"]).arg(&archive);
        succeed(cpio.current_dir(&root).stdin(list).stderr(Stdio::null()))?;
        ensure!(files.wait()?.success(), "find failed");
        Ok(Self { archive })
    }

    /// How large it is, in words.
    pub(super) fn size(&self) -> String {
        let bytes = fs::metadata(&self.archive).map_or(0, |data| data.len());
        format!("{}: {} MiB", self.archive.display(), bytes >> 20)
    }

    /// Runs the tests, shows what they say, and counts it.
    pub(super) fn run(&self, kernel: &Kernel, filter: Option<&str>) -> Result<Tally> {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args("-nographic -no-reboot -m 2048 -smp 2 -net none".split(' '));
        // In software: where hardware's help is nested, it may fail in the middle.
        qemu.args(["-accel", "tcg", "-cpu", "max"]);
        qemu.arg("-kernel").arg(&kernel.image);
        qemu.arg("-initrd").arg(&self.archive);
        // The kernel gives unknown variables to the first process.
        let filter = filter.map_or_else(String::new, |filter| format!(" FILTER={filter}"));
        qemu.arg("-append")
            .arg(format!("console=ttyS0 quiet panic=-1{filter}"));
        let mut running = qemu
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("qemu-system-x86_64 can't be run: apt-get install qemu-system-x86")?;
        let console = running.stdout.take().context("qemu writes nothing")?;
        let (mut tally, mut has_ended) = (Tally::default(), false);
        for line in BufReader::new(console).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
            println!("{line}");
            tally.read(&line);
            if let Some(status) = line.strip_prefix("@ status ") {
                tally.end_of_run(status == "0");
                has_ended = true;
            }
        }
        running.wait()?;
        ensure!(has_ended, "the machine stopped before the tests' end");
        Ok(tally)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).with_context(|| from.display().to_string())?;
    Ok(())
}
