//! `cargo xtask agree`: whether Flowkeep finds the connections that others have recorded of the
//! same captures.

mod arkime;
mod compare;
mod explained;
mod flowkeep;
mod ndpi;
mod record;
#[cfg(test)]
mod tests;
mod zeek;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use flowkeep_generate::program;

use self::compare::Comparison;
use self::record::Records;

/// Replay captures and compare every connection with what Zeek, nDPI or Arkime recorded of it.
///
/// Beside a capture `name.pcap` its record is `name.pcap.zeek.conn.log` (or `.zeek.conn.cut.tsv`
/// with some of its columns), `name.pcap.ndpi.out` or `name.pcap.arkime.json`. Captures without
/// a record have to be read without complaint. Differences that docs/agreement.md explains are
/// expected; any other is an error.
#[derive(Parser)]
#[command(name = "cargo xtask agree", bin_name = "cargo xtask agree")]
struct Args {
    /// Where the captures are
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Show every difference, explained or not
    #[arg(long)]
    all: bool,
    /// Take this program instead of building one
    #[arg(long, value_name = "PROGRAM")]
    flowkeep: Option<PathBuf>,
}

/// What came of all captures that one tool has recorded.
#[derive(Default)]
struct Totals {
    captures: usize,
    theirs: usize,
    equal: usize,
    differences: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let program = program::find(args.flowkeep.as_deref(), "tests")?;
    let list = explained::read()?;
    let captures = captures(&args.directory)?;
    let mut by_tool: BTreeMap<&str, Totals> = BTreeMap::new();
    let mut wrong = 0;
    for capture in &captures {
        let name = file_name(capture);
        let ours = match flowkeep::replay(&program, capture) {
            Ok(ours) => ours,
            Err(error) => {
                println!("{name}: {error:#}");
                wrong += 1;
                continue;
            }
        };
        let Some((tool, records)) = records(capture)? else {
            println!("{name}: no record, {} connections", ours.len());
            continue;
        };
        let comparison = compare::compare(ours, &records);
        let unexplained = explained::unexplained(&name, &comparison.differences, &list);
        show(&name, &comparison, args.all || !unexplained.is_empty());
        for (kind, found, expected) in &unexplained {
            println!(
                "  {}: {found} differ, docs/agreement.md explains {expected}",
                kind.name()
            );
        }
        let totals = by_tool.entry(tool).or_default();
        totals.captures += 1;
        totals.theirs += comparison.theirs;
        totals.equal += comparison.equal;
        totals.differences += comparison.differences.len();
        wrong += usize::from(!unexplained.is_empty());
    }
    for (tool, totals) in &by_tool {
        let Totals {
            captures,
            theirs,
            equal,
            differences,
        } = totals;
        println!(
            "{tool}: {captures} captures, {theirs} connections recorded, {equal} equal; \
             {differences} differences"
        );
    }
    ensure!(
        wrong == 0,
        "{wrong} captures differ from what docs/agreement.md explains"
    );
    Ok(())
}

/// The captures of a directory, by name.
fn captures(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut captures = Vec::new();
    for entry in
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?
    {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("pcap" | "pcapng")) {
            captures.push(path);
        }
    }
    if captures.is_empty() {
        bail!("there are no captures in {}", directory.display());
    }
    captures.sort();
    Ok(captures)
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// What others have recorded of a capture, and with which tool.
fn records(capture: &Path) -> Result<Option<(&'static str, Records)>> {
    const FORMATS: [(&str, &str, Parse); 4] = [
        ("zeek.conn.log", "Zeek", zeek::read),
        ("zeek.conn.cut.tsv", "Zeek", zeek::read),
        ("ndpi.out", "nDPI", ndpi::read),
        ("arkime.json", "Arkime", arkime::read),
    ];
    for (extension, tool, parse) in FORMATS {
        let mut path = capture.as_os_str().to_owned();
        path.push(".");
        path.push(extension);
        let path = PathBuf::from(path);
        if path.is_file() {
            let shown = path.display();
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {shown}"))?;
            let records = parse(&text).with_context(|| format!("in {shown}"))?;
            return Ok(Some((tool, records)));
        }
    }
    Ok(None)
}

type Parse = fn(&str) -> Result<Records>;

fn show(name: &str, comparison: &Comparison, differences: bool) {
    let Comparison { theirs, equal, .. } = comparison;
    let count = comparison.differences.len();
    println!("{name}: {equal} of {theirs} equal, {count} differences");
    if differences {
        for difference in &comparison.differences {
            println!("  {difference}");
        }
    }
}
