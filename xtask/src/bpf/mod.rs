//! `cargo xtask bpf`: builds the objects that are committed: the programs' in
//! `crates/flowkeep-bpf`, that of what they are measured against in `crates/flowkeep-bench`, and that
//! of the example `firewall`.

mod btf;
mod code;
mod sources;
mod toolchain;

use std::fs;

use anyhow::{Context, Result, ensure};

use self::toolchain::Toolchain;
use crate::workspace::root;

/// Build the programs for the kernel, and write the objects beside their loaders.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Build nothing; fail if a committed object was built from other sources.
    #[arg(long)]
    check: bool,
}

/// A committed object.
struct Object {
    /// Its name, without extension.
    name: &'static str,
    /// The crate of the workspace in the folder `ebpf` that it is built from.
    package: &'static str,
    /// The folder that it is committed in.
    home: &'static str,
    /// Files and folders whose contents make it, beside those that make every object.
    sources: &'static [&'static str],
}

const OBJECTS: [Object; 3] = [
    Object {
        name: "flowkeep",
        package: "flowkeep-ebpf",
        home: "crates/flowkeep-bpf/object",
        sources: &[
            "ebpf/src",
            "crates/flowkeep-core/src",
            "crates/flowkeep-core/Cargo.toml",
            "crates/flowkeep-abi/src",
            "crates/flowkeep-abi/Cargo.toml",
        ],
    },
    Object {
        name: "firewall",
        package: "flowkeep-firewall",
        home: "examples/firewall",
        sources: &[
            "examples/firewall/src",
            "examples/firewall/Cargo.toml",
            "ebpf/src",
            "crates/flowkeep-core/src",
            "crates/flowkeep-core/Cargo.toml",
            "crates/flowkeep-abi/src",
            "crates/flowkeep-abi/Cargo.toml",
        ],
    },
    Object {
        name: "reference",
        package: "flowkeep-reference",
        home: "crates/flowkeep-bench/object",
        sources: &["ebpf/reference"],
    },
];

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.check {
        return OBJECTS.iter().try_for_each(Object::check);
    }
    let toolchain = toolchain::find()?;
    println!("building with {}", toolchain.name);
    toolchain.build()?;
    OBJECTS
        .iter()
        .try_for_each(|object| object.make(&toolchain))
}

impl Object {
    fn check(&self) -> Result<()> {
        let home = root().join(self.home);
        let record = home.join(self.name).with_extension("sources");
        let recorded = fs::read_to_string(&record)
            .with_context(|| format!("cannot read {}", record.display()))?;
        ensure!(
            recorded.trim() == sources::hash(self.sources)?,
            "the committed object {} was built from other sources: run `cargo xtask bpf`",
            self.name
        );
        let object = record.with_extension("o");
        ensure!(object.is_file(), "there is no {}", object.display());
        Ok(())
    }

    /// Makes the object of what cargo has built.
    fn make(&self, toolchain: &Toolchain) -> Result<()> {
        let intermediate = toolchain.intermediate(self.package)?;
        let mut bytes = toolchain.compile(&code::without_undefined(&intermediate))?;
        btf::repair(&mut bytes)?;
        btf::without_lines(&mut bytes)?;
        let home = root().join(self.home);
        fs::create_dir_all(&home)?;
        let object = home.join(self.name).with_extension("o");
        fs::write(&object, &bytes).with_context(|| format!("cannot write {}", object.display()))?;
        let sources = sources::hash(self.sources)?;
        fs::write(object.with_extension("sources"), sources + "\n")?;
        println!("{} ({} KiB)", object.display(), bytes.len() >> 10);
        Ok(())
    }
}
