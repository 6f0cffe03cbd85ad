//! Holds TCP's rules to the recorded cases and to floods of forgeries.
//!
//! `cargo test --release -p flowkeep-core --test cases` plays the files in `tests/data/cases`;
//! `FLOWKEEP_CASES=DIR` plays every `*.jsonl` and `*.jsonl.gz` of that folder instead. What lies
//! in a folder `arguable` beside them is played and listed, and need not come out as written.
//! `FLOWKEEP_FLOOD=N` makes N forgeries of each flood instead of as many as it says;
//! `FLOWKEEP_SEED=N` draws others. An argument plays only what has it in its name.
//!
//! Every tracker is told of the packets as frames, and a case has passed when it has with all.

mod decode;
mod flood;
#[path = "../states/flow.rs"]
mod flow;
mod format;
mod frame;
mod machine;
mod model;
mod play;
#[path = "../states/model/mod.rs"]
mod states;
mod tracker;

use std::path::{Path, PathBuf};

use format::Line;
use tracker::Tracker;

fn main() {
    let directory = std::env::var_os("FLOWKEEP_CASES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases"),
        PathBuf::from,
    );
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let files = files(&directory);
    assert!(
        !files.is_empty(),
        "{}: no *.jsonl there",
        directory.display()
    );
    let forgeries = number("FLOWKEEP_FLOOD");
    let seed = number("FLOWKEEP_SEED").unwrap_or(1);
    let mut trackers: Vec<Box<dyn Tracker>> = vec![
        Box::new(model::ModelTracker::new()),
        Box::new(machine::MachineTracker::new()),
    ];

    let (mut cases, mut passed) = (0, 0);
    for line in files.iter().flat_map(|path| format::read(path)) {
        let name = line.name();
        if filter.as_ref().is_some_and(|filter| !name.contains(filter)) {
            continue;
        }
        cases += 1;
        let mut right = true;
        for tracker in &mut trackers {
            if let Err(difference) = line.play(forgeries, seed, tracker.as_mut()) {
                println!("{name} ({}): {difference}", tracker.name());
                right = false;
            }
        }
        passed += usize::from(right);
    }
    for line in self::files(&directory.join("arguable"))
        .iter()
        .flat_map(|path| format::read(path))
    {
        let Line::Case(case) = &line else { continue };
        for tracker in &mut trackers {
            let outcome = match line.play(forgeries, seed, tracker.as_mut()) {
                Ok(()) => "as written".into(),
                Err(difference) => format!("otherwise: {difference}"),
            };
            println!(
                "arguable {} ({}): {outcome};{}",
                case.id,
                tracker.name(),
                play::listing(case, tracker.as_mut())
            );
        }
    }
    println!("cases {cases} passed {passed}");
    if passed != cases {
        std::process::exit(1);
    }
}

impl Line {
    fn name(&self) -> &str {
        match self {
            Self::Case(case) => &case.id,
            Self::Flood(flood) => &flood.id,
            Self::Unreadable(name, _) => name,
        }
    }

    fn play(
        &self,
        forgeries: Option<u64>,
        seed: u64,
        tracker: &mut dyn Tracker,
    ) -> Result<(), String> {
        match self {
            Self::Case(case) => play::case(case, tracker),
            Self::Flood(flood) => {
                flood::flood(flood, forgeries.unwrap_or(flood.count), seed, tracker)
            }
            Self::Unreadable(_, why) => Err(why.clone()),
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={value}: not a number")),
    )
}

/// The files of a folder, in order; none if there is no such folder.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder that opened can be listed").path())
        .filter(|path| {
            let name = path.to_string_lossy();
            name.ends_with(".jsonl") || name.ends_with(".jsonl.gz")
        })
        .collect();
    files.sort();
    files
}
