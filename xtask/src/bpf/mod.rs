//! `cargo xtask bpf`: builds the objects that are committed: the programs' in
//! `crates/flowkeep-bpf`, with those that its tests load, that of what they are measured against in
//! `crates/flowkeep-bench`, and that of the example `firewall`.

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
    /// Only these objects, by name.
    #[arg(value_name = "OBJECT")]
    only: Vec<String>,
}

/// A committed object.
struct Object {
    /// Its name, without extension.
    name: &'static str,
    /// The crate of the workspace in the folder `ebpf` that it is built from.
    package: &'static str,
    /// The features that it is built with.
    features: &'static str,
    /// The folder that it is committed in.
    home: &'static str,
    /// Files and folders whose contents make it, beside those that make every object.
    sources: &'static [&'static [&'static str]],
}

/// What the programs are built from.
const PROGRAMS: [&str; 5] = [
    "ebpf/src",
    "crates/flowkeep-core/src",
    "crates/flowkeep-core/Cargo.toml",
    "crates/flowkeep-abi/src",
    "crates/flowkeep-abi/Cargo.toml",
];

const OBJECTS: [Object; 8] = [
    programs("flowkeep", ""),
    programs("flowkeep-cilium18", "cilium18"),
    programs("flowkeep-cilium119", "cilium119"),
    vectors("vectors-default", ""),
    vectors("vectors-cilium18", "cilium18"),
    vectors("vectors-cilium119", "cilium119"),
    Object {
        name: "firewall",
        package: "flowkeep-firewall",
        features: "",
        home: "examples/firewall",
        sources: &[
            &["examples/firewall/src", "examples/firewall/Cargo.toml"],
            &PROGRAMS,
        ],
    },
    Object {
        name: "reference",
        package: "flowkeep-reference",
        features: "",
        home: "crates/flowkeep-bench/object",
        sources: &[&["ebpf/reference"]],
    },
];

/// The programs under some rules.
const fn programs(name: &'static str, rules: &'static str) -> Object {
    Object {
        name,
        package: "flowkeep-ebpf",
        features: rules,
        home: "crates/flowkeep-bpf/object",
        sources: &[&PROGRAMS],
    }
}

/// The operations of the core under some rules, for the recorded scenarios.
const fn vectors(name: &'static str, rules: &'static str) -> Object {
    Object {
        name,
        package: "flowkeep-vectors",
        features: rules,
        home: "crates/flowkeep-bpf/tests/object",
        sources: &[&["ebpf/vectors"], &PROGRAMS],
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let is_wanted =
        |object: &&Object| args.only.is_empty() || args.only.iter().any(|name| name == object.name);
    let mut objects = OBJECTS.iter().filter(is_wanted);
    if args.check {
        return objects.try_for_each(Object::check);
    }
    let toolchain = toolchain::find()?;
    println!("building with {}", toolchain.name);
    objects.try_for_each(|object| object.make(&toolchain))
}

impl Object {
    fn check(&self) -> Result<()> {
        let home = root().join(self.home);
        let record = home.join(self.name).with_extension("sources");
        let recorded = fs::read_to_string(&record)
            .with_context(|| format!("cannot read {}", record.display()))?;
        ensure!(
            recorded.trim() == sources::hash(&self.sources.concat())?,
            "the committed object {} was built from other sources: run `cargo xtask bpf`",
            self.name
        );
        let object = record.with_extension("o");
        ensure!(object.is_file(), "there is no {}", object.display());
        Ok(())
    }

    /// Builds the object.
    fn make(&self, toolchain: &Toolchain) -> Result<()> {
        toolchain.build(self.package, self.features)?;
        let intermediate = toolchain.intermediate(self.package)?;
        let mut bytes = toolchain.compile(&code::without_undefined(&intermediate))?;
        btf::repair(&mut bytes)?;
        btf::without_lines(&mut bytes)?;
        let home = root().join(self.home);
        fs::create_dir_all(&home)?;
        let object = home.join(self.name).with_extension("o");
        fs::write(&object, &bytes).with_context(|| format!("cannot write {}", object.display()))?;
        let sources = sources::hash(&self.sources.concat())?;
        fs::write(object.with_extension("sources"), sources + "\n")?;
        println!("{} ({} KiB)", object.display(), bytes.len() >> 10);
        Ok(())
    }
}
