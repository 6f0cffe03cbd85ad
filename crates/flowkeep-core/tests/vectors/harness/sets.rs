//! Plays all scenarios of a folder of files, and counts.

use std::path::{Path, PathBuf};

use super::format::{self, Meta, Scenario};

/// Has every scenario of every `*.jsonl.gz` of a folder played: of the one that
/// `FLOWKEEP_VECTORS` names, else of `folder`. Prints the first differences, and how many scenarios
/// of each file passed. Whether all did.
pub(crate) fn play(
    folder: &Path,
    mut run: impl FnMut(&Meta, &Scenario) -> Result<(), String>,
) -> bool {
    let folder =
        std::env::var_os("FLOWKEEP_VECTORS").map_or_else(|| folder.to_owned(), PathBuf::from);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder that opened can be listed").path())
        .filter(|path| path.to_string_lossy().ends_with(".jsonl.gz"))
        .collect();
    files.sort();
    assert!(
        !files.is_empty(),
        "{}: no *.jsonl.gz there",
        folder.display()
    );

    let (mut scenarios, mut passed, mut shown) = (0, 0, 0);
    for path in &files {
        let mut of_file = (0, 0);
        let (meta, cases) = format::read(path);
        assert_eq!(
            meta.scenarios,
            cases.len(),
            "{}: the meta line counts",
            path.display()
        );
        for case in &cases {
            of_file.0 += 1;
            match run(&meta, case) {
                Ok(()) => of_file.1 += 1,
                Err(difference) => {
                    shown += 1;
                    if shown <= 20 {
                        println!("{} of {}: {difference}", case.name, path.display());
                    }
                }
            }
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        println!("{name}: scenarios {} passed {}", of_file.0, of_file.1);
        scenarios += of_file.0;
        passed += of_file.1;
    }
    println!("scenarios {scenarios} passed {passed}");
    passed == scenarios
}
