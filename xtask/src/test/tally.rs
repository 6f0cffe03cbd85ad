//! What tests say of themselves, counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::exit;

/// Tests that have been run so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// Tests that were skipped, by what they lack.
    lacking: BTreeMap<String, Vec<String>>,
    target: Target,
}

/// The test program that is running.
#[derive(Debug, Default)]
struct Target {
    skipped: BTreeSet<String>,
    /// Whether it has said that a test of it failed.
    has_failed: bool,
}

impl Tally {
    /// Takes a line of what cargo and the tests say.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some((before, lacking)) = line.split_once(" ... skipped: ") {
            // The harness may have begun to write of the test.
            let name = before.rsplit("test ").next().unwrap_or(before);
            self.skip(name, lacking);
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            let [passed, failed, ignored] = numbers(counts);
            self.passed += passed.saturating_sub(self.target.skipped.len());
            self.fail(failed);
            self.skipped += ignored;
        } else if let Some((all, passed)) = recorded_cases(line) {
            self.passed += passed;
            self.fail(all.saturating_sub(passed));
        } else if line.starts_with("error: ") && line.contains(" failed, to rerun pass ") {
            // Of a program that crashed, or has no tests that it counts, this is all that is said.
            if !self.target.has_failed {
                self.fail(1);
            }
        } else if begins_target(line) {
            self.target = Target::default();
        }
    }

    /// Takes the end of a run: cargo may have failed to build the tests.
    pub(crate) fn end_of_run(&mut self, succeeded: bool) {
        self.target = Target::default();
        if !succeeded && self.failed == 0 {
            self.fail(1);
        }
    }

    /// Takes a test that is no test of cargo's.
    pub(crate) fn count(&mut self, name: &str, succeeded: bool) {
        let result = if succeeded { "ok" } else { "FAILED" };
        println!("test {name} ... {result}");
        if succeeded {
            self.passed += 1;
        } else {
            self.fail(1);
        }
    }

    /// Prints the sum, and ends this program with an error if there is one.
    pub(crate) fn end(&self) {
        println!();
        for (lacking, names) in &self.lacking {
            println!("{} skipped: {lacking}", names.len());
            for name in names {
                println!("    {name}");
            }
        }
        println!("{self}");
        let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        if self.failed > 0 || in_ci && self.skipped > 0 {
            exit(1);
        }
    }

    fn skip(&mut self, name: &str, lacking: &str) {
        // Some say it of each part.
        if self.target.skipped.insert(name.to_owned()) {
            self.skipped += 1;
            let names = self.lacking.entry(lacking.to_owned()).or_default();
            names.push(name.to_owned());
        }
    }

    fn fail(&mut self, tests: usize) {
        self.failed += tests;
        self.target.has_failed |= tests > 0;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
            ..
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// Whether cargo, or the virtual machine of `cargo xtask live`, begins the next test program.
fn begins_target(line: &str) -> bool {
    ["     Running ", "   Doc-tests ", "@ "]
        .iter()
        .any(|beginning| line.starts_with(beginning))
}

/// The numbers in `scenarios 10 passed 8`, the sum of a program that replays recorded cases.
fn recorded_cases(line: &str) -> Option<(usize, usize)> {
    let words: Vec<&str> = line.split(' ').collect();
    let [_, all, "passed", passed] = words[..] else {
        return None;
    };
    Some((all.parse().ok()?, passed.parse().ok()?))
}

/// The numbers among words, in order; 0 for those that are not there.
fn numbers<const N: usize>(words: &str) -> [usize; N] {
    let mut numbers = words.split(' ').filter_map(|word| word.parse().ok());
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::Tally;

    fn tally(said: &str) -> Tally {
        let mut tally = Tally::default();
        said.lines().for_each(|line| tally.read(line));
        tally
    }

    #[test]
    fn what_is_skipped_has_not_passed() {
        let tally = tally(
            "     Running tests/live/main.rs (target/tests/deps/live-06cc)
test one ... skipped: no program nft; install nftables
test two ... test two ... skipped: no program nft; install nftables
test two ... skipped: no program nft; install nftables
test two ... ok
test three ... ok
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s
     Running tests/vectors/main.rs (target/tests/deps/vectors-06cc)
test main ... skipped: no CAP_BPF; run it as root
   Doc-tests flowkeep
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s",
        );
        assert_eq!(tally.to_string(), "3 passed, 0 failed, 4 skipped");
        assert_eq!(
            tally.lacking["no program nft; install nftables"],
            ["one", "two"]
        );
    }

    #[test]
    fn programs_that_fail_are_counted_once() {
        let tally = tally(
            "     Running unittests src/lib.rs (target/tests/deps/flowkeep-06cc)
test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s
error: test failed, to rerun pass `-p flowkeep --lib`
     Running tests/vectors/main.rs (target/tests/deps/vectors-06cc)
one.jsonl.gz: scenarios 4 passed 2
scenarios 10 passed 8
error: test failed, to rerun pass `-p flowkeep-core --test vectors`
     Running tests/cases/main.rs (target/tests/deps/cases-06cc)
cases 3 passed 3
     Running tests/crash.rs (target/tests/deps/crash-06cc)
error: test failed, to rerun pass `-p flowkeep-core --test crash`
error: 3 targets failed:",
        );
        assert_eq!(tally.to_string(), "16 passed, 5 failed, 0 skipped");
    }

    #[test]
    fn cargo_may_fail_before_any_test() {
        let mut tally = Tally::default();
        tally.end_of_run(false);
        assert_eq!(tally.to_string(), "0 passed, 1 failed, 0 skipped");
    }
}
