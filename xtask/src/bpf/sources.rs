//! What an object is built from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::workspace::root;

/// Files that make every object.
const COMMON: [&str; 3] = [
    "ebpf/Cargo.toml",
    "ebpf/Cargo.lock",
    "ebpf/.cargo/config.toml",
];

/// The SHA-256 of names and contents of all sources, in hexadecimal digits: of these files and
/// folders, and of what makes every object.
pub(super) fn hash(sources: &[&str]) -> Result<String> {
    let mut files = Vec::new();
    for source in COMMON.iter().chain(sources) {
        collect(&root().join(source), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let name = file.strip_prefix(root()).unwrap_or(&file);
        let contents =
            fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        hash.update(name.to_string_lossy().as_bytes());
        hash.update([0]);
        hash.update((contents.len() as u64).to_le_bytes());
        hash.update(contents);
    }
    let digest = hash.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else {
        files.push(path.to_owned());
    }
    Ok(())
}
