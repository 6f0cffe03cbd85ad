//! `cargo xtask weaken`: whether the tests of the table notice when its protocol is weakened.
//!
//! A fence taken out, an acquire load made relaxed, a second look forgotten: each by itself, in a
//! copy of the core crate, has to make a test fail, or to have a written reason why none does.

mod copy;
mod list;

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use self::copy::{CRATE, Copy, Ended, Program, TARGETS, Test};
use self::list::Weakening;
use crate::workspace;

/// Weaken the table's protocol, one fence or check at a time, and see whether a test fails.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only weakenings whose name or file has this in it.
    filter: Option<String>,
    /// Only make sure that each can be applied.
    #[arg(long)]
    check: bool,
    /// Only say which there are.
    #[arg(long)]
    list: bool,
    /// Run only the tests that a weakening is expected to make fail, where it names some.
    #[arg(long)]
    expected: bool,
}

/// The list of weakenings, in the crate.
const LIST: &str = "tests/weakenings.txt";

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = workspace::root().join(CRATE);
    let mut weakenings = list::parse(&copy::read(&folder.join(LIST))?).context(LIST)?;
    for weakening in &weakenings {
        weakening.apply(&copy::read(&folder.join(&weakening.file))?)?;
    }
    if let Some(filter) = &args.filter {
        weakenings.retain(|one| one.name.contains(filter) || one.file.contains(filter));
    }
    if args.check {
        println!("{} weakenings can be applied", weakenings.len());
        return Ok(());
    }
    if args.list {
        for Weakening { file, name, .. } in &weakenings {
            println!("{file}: {name}");
        }
        return Ok(());
    }
    let copy = Copy::new()?;
    // Of all tests, or only of those that are run.
    let is_run = |test: &Test| {
        let expect = |one: &Weakening| one.tests.is_empty() || one.expects(test);
        !args.expected || weakenings.iter().any(expect)
    };
    let tests = passing(&copy, is_run)?;
    let mut results = Results::default();
    for weakening in &weakenings {
        print!("{}: {}: ", weakening.file, weakening.name);
        io::stdout().flush()?;
        let begun = Instant::now();
        let killer = killer(&copy, weakening, &tests, args.expected)?;
        let seconds = begun.elapsed().as_secs();
        results.add(weakening, killer, seconds);
    }
    results.finish()
}

/// The tests that pass if nothing is weakened, the fastest first.
fn passing(copy: &Copy, is_run: impl Fn(&Test) -> bool) -> Result<Vec<Test>> {
    // Long enough for a busy machine.
    const MOST: Duration = Duration::from_secs(600);
    let (mut tests, mut failing) = (Vec::new(), 0);
    for target in TARGETS {
        let program = copy.build(target)?.context("the tests can't be built")?;
        for mut test in program.tests()?.into_iter().filter(&is_run) {
            let (ended, takes) = program.run(&test, MOST)?;
            if ended == Ended::Passed {
                test.takes = takes;
                tests.push(test);
            } else {
                println!("{test} fails unweakened, and is left out");
                failing += 1;
            }
        }
    }
    ensure!(!tests.is_empty(), "no test passes");
    tests.sort_by_key(|test| test.takes);
    let all: Duration = tests.iter().map(|test| test.takes).sum();
    println!(
        "{} tests pass unweakened, in {} s; {failing} are left out",
        tests.len(),
        all.as_secs()
    );
    Ok(tests)
}

/// What became of a weakened crate.
enum Killer {
    /// This test failed, or took too long.
    Test(String),
    None,
    /// It can't be built.
    Unbuilt,
}

fn killer(
    copy: &Copy,
    weakening: &Weakening,
    tests: &[Test],
    expected_only: bool,
) -> Result<Killer> {
    let _original = copy.weaken(weakening)?;
    // What is expected decides what is built first: most often nothing else has to be.
    let mut targets = TARGETS.map(|target| {
        let tests = tests.iter().filter(|test| test.target == target);
        let (expected, others): (Vec<&Test>, Vec<&Test>) =
            tests.partition(|test| weakening.expects(test));
        (target, expected, others)
    });
    targets.sort_by_key(|(_, expected, _)| expected.is_empty());
    let mut built = Vec::new();
    for (target, expected, _) in &targets {
        if expected.is_empty() {
            continue;
        }
        let Some(program) = copy.build(target)? else {
            return Ok(Killer::Unbuilt);
        };
        if let Some(test) = first_failure(&program, expected)? {
            return Ok(Killer::Test(test));
        }
        built.push((*target, program));
    }
    if expected_only && !built.is_empty() {
        return Ok(Killer::None);
    }
    for (target, _, others) in &targets {
        let program = match built.iter().position(|(known, _)| known == target) {
            Some(at) => Some(built.swap_remove(at).1),
            None => copy.build(target)?,
        };
        let Some(program) = program else {
            return Ok(Killer::Unbuilt);
        };
        if let Some(test) = first_failure(&program, others)? {
            return Ok(Killer::Test(test));
        }
    }
    Ok(Killer::None)
}

fn first_failure(program: &Program, tests: &[&Test]) -> Result<Option<String>> {
    for test in tests {
        // A weakened table may loop for ever. Others may use the machine meanwhile.
        let most = test.takes * 10 + Duration::from_secs(60);
        let (ended, _) = program.run(test, most)?;
        match ended {
            Ended::Passed => {}
            Ended::Failed => return Ok(Some(test.to_string())),
            Ended::TooLate => return Ok(Some(format!("{test}, which does not end"))),
        }
    }
    Ok(None)
}

/// What became of all.
#[derive(Default)]
struct Results {
    killed: usize,
    explained: usize,
    survivors: Vec<String>,
    /// What is wrong with the list.
    wrong: Vec<String>,
}

impl Results {
    fn add(&mut self, weakening: &Weakening, killer: Killer, seconds: u64) {
        let name = format!("{}: {}", weakening.file, weakening.name);
        match (killer, &weakening.survives) {
            (Killer::Test(test), None) => {
                println!("killed by {test} ({seconds} s)");
                self.killed += 1;
            }
            (Killer::Test(test), Some(_)) => {
                println!("killed by {test}, against its reason ({seconds} s)");
                self.wrong
                    .push(format!("{name}: is killed, and has a reason why not"));
            }
            (Killer::None, Some(why)) => {
                println!("survives: {why} ({seconds} s)");
                self.explained += 1;
            }
            (Killer::None, None) => {
                println!("SURVIVES ({seconds} s)");
                self.survivors.push(name);
            }
            (Killer::Unbuilt, _) => {
                println!("can't be built");
                self.wrong.push(format!("{name}: can't be built"));
            }
        }
    }

    fn finish(self) -> Result<()> {
        println!(
            "\n{} killed, {} survive with a reason, {} survive without",
            self.killed,
            self.explained,
            self.survivors.len()
        );
        for name in self.survivors.iter().chain(&self.wrong) {
            println!("  {name}");
        }
        ensure!(
            self.survivors.is_empty() && self.wrong.is_empty(),
            "write a test that fails, or the reason why none does, into {CRATE}/{LIST}"
        );
        Ok(())
    }
}
