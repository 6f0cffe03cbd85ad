//! Kernels and tools from Debian's packages, unpacked without being installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{output, succeed};

/// A kernel.
pub(super) struct Kernel {
    pub(super) release: String,
    pub(super) image: PathBuf,
    /// The folder of its modules.
    pub(super) modules: PathBuf,
}

/// Fetches the newest kernel of a series, for virtual machines.
pub(super) fn kernel(series: &str, folder: &Path) -> Result<Kernel> {
    const PREFIX: &str = "linux-image-";
    const FLAVOUR: &str = "-cloud-amd64";
    ensure!(
        cfg!(target_arch = "x86_64"),
        "kernels are fetched for x86-64 only"
    );
    let names =
        output(Command::new("apt-cache").args(["pkgnames", &format!("{PREFIX}{series}.")]))?;
    let package = names
        .lines()
        .filter(|name| name.ends_with(FLAVOUR))
        .max_by_key(|name| numbers(name))
        .with_context(|| {
            format!("Debian's package lists have no kernel {series}: apt-get update")
        })?;
    let release = package.trim_start_matches(PREFIX).to_owned();
    let root = unpacked(package, folder)?;
    Ok(Kernel {
        image: root.join("boot").join(format!("vmlinuz-{release}")),
        modules: root.join("lib/modules").join(&release),
        release,
    })
}

/// The numbers in a name, in order: so that .10 comes after .9.
fn numbers(name: &str) -> Vec<u64> {
    let digits = name.split(|letter: char| !letter.is_ascii_digit());
    digits.filter_map(|digits| digits.parse().ok()).collect()
}

/// The folder of a package's files, fetched if they are not there.
pub(super) fn unpacked(package: &str, folder: &Path) -> Result<PathBuf> {
    let root = folder.join(package);
    if root.exists() {
        return Ok(root);
    }
    let fetched = folder.join("fetched");
    fs::create_dir_all(&fetched)?;
    succeed(
        Command::new("apt-get")
            .args(["-q", "download", package])
            .current_dir(&fetched),
    )?;
    let file = fs::read_dir(&fetched)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            super::name(path)
                .to_string_lossy()
                .starts_with(&format!("{package}_"))
        })
        .with_context(|| format!("apt-get did not download {package}"))?;
    // Under another name until it is whole.
    let unpacking = folder.join("unpacking");
    let _ = fs::remove_dir_all(&unpacking);
    succeed(
        Command::new("dpkg-deb")
            .arg("-x")
            .arg(&file)
            .arg(&unpacking),
    )?;
    fs::rename(&unpacking, &root)?;
    fs::remove_dir_all(&fetched)?;
    Ok(root)
}
