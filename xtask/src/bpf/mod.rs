//! `cargo xtask bpf`: builds the object that is committed in `crates/flowkeep-bpf`.

mod btf;
mod code;
mod sources;
mod toolchain;

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::workspace::root;

/// Build the programs for the kernel, and write the object beside its loader.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Build nothing; fail if the committed object was built from other sources.
    #[arg(long)]
    check: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let home = root().join("crates/flowkeep-bpf/object");
    let (object, record) = (home.join("flowkeep.o"), home.join("flowkeep.sources"));
    let sources = sources::hash()?;
    if args.check {
        let recorded = fs::read_to_string(&record)
            .with_context(|| format!("cannot read {}", record.display()))?;
        ensure!(
            recorded.trim() == sources,
            "the committed object was built from other sources: run `cargo xtask bpf`"
        );
        ensure!(object.is_file(), "there is no {}", object.display());
        return Ok(());
    }
    let toolchain = toolchain::find()?;
    println!("building with {}", toolchain.name);
    let intermediate = toolchain.build()?;
    let mut bytes = toolchain.compile(&code::without_undefined(&intermediate))?;
    btf::repair(&mut bytes)?;
    fs::create_dir_all(&home)?;
    fs::write(&object, &bytes).with_context(|| format!("cannot write {}", object.display()))?;
    fs::write(&record, sources + "\n")?;
    println!("{} ({} KiB)", object.display(), bytes.len() >> 10);
    Ok(())
}
