//! The list of weakenings: a text file of patches.
//!
//! ```text
//! @@ a name in one line
//! file src/table/home.rs
//! tests fast_path:: no_reader        # optional: names, or parts of names, of tests to run first
//! survives a reason                  # optional: why no test fails
//!  a line that stays
//! -a line that goes
//! +a line that comes
//! ```
//!
//! Lines that stay and lines that go have to be in the file exactly once, one after the other.

use anyhow::{Context as _, Result, bail, ensure};

use super::copy::Test;

/// A change that makes the table's protocol weaker.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Weakening {
    pub(super) name: String,
    /// The file that it changes, from the crate's folder.
    pub(super) file: String,
    /// Parts of names of tests that are expected to fail, and run first.
    pub(super) tests: Vec<String>,
    /// Why no test fails, if none does.
    pub(super) survives: Option<String>,
    search: String,
    replace: String,
}

impl Weakening {
    /// Whether a test is expected to fail.
    pub(super) fn expects(&self, test: &Test) -> bool {
        self.tests.iter().any(|name| test.name.contains(name))
    }

    /// The file's text, weakened.
    ///
    /// # Errors
    /// If what is searched for is not there, or more than once.
    pub(super) fn apply(&self, text: &str) -> Result<String> {
        let found = text.matches(&self.search).count();
        ensure!(
            found == 1,
            "'{}': {} has what it changes {found} times:\n{}",
            self.name,
            self.file,
            self.search
        );
        Ok(text.replacen(&self.search, &self.replace, 1))
    }
}

/// Reads the list.
///
/// # Errors
/// What is wrong with it, and where.
pub(super) fn parse(text: &str) -> Result<Vec<Weakening>> {
    let mut weakenings: Vec<Weakening> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let at = || format!("line {number}");
        if let Some(name) = line.strip_prefix("@@ ") {
            let known = weakenings.iter().any(|known| known.name == name);
            ensure!(!known, "{}: '{name}' is there twice", at());
            weakenings.push(Weakening {
                name: name.to_owned(),
                file: String::new(),
                tests: Vec::new(),
                survives: None,
                search: String::new(),
                replace: String::new(),
            });
            continue;
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let weakening = weakenings.last_mut();
        let weakening = weakening.with_context(|| format!("{}: it has no name", at()))?;
        let add = |kept: &mut [&mut String], line: &str| {
            for text in kept {
                text.push_str(line);
                text.push('\n');
            }
        };
        let (search, replace) = (&mut weakening.search, &mut weakening.replace);
        match line.split_at_checked(1) {
            Some((" ", line)) => add(&mut [search, replace], line),
            Some(("-", line)) => add(&mut [search], line),
            Some(("+", line)) => add(&mut [replace], line),
            _ => match line.split_once(' ') {
                Some(("file", file)) => weakening.file = file.to_owned(),
                Some(("tests", names)) => {
                    weakening.tests = names.split(' ').map(str::to_owned).collect();
                }
                Some(("survives", why)) => weakening.survives = Some(why.to_owned()),
                _ => bail!("{}: what is '{line}'?", at()),
            },
        }
    }
    for Weakening {
        name,
        file,
        search,
        replace,
        ..
    } in &weakenings
    {
        ensure!(!file.is_empty(), "'{name}': no file");
        ensure!(!search.is_empty(), "'{name}': nothing to search for");
        ensure!(search != replace, "'{name}': nothing changes");
    }
    Ok(weakenings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
# What this is.

@@ no fence
file src/a.rs
tests one two
 fn f() {
-    fence();
 }

@@ a load
file src/b.rs
survives nobody looks
-acquire
+relaxed
";

    #[test]
    fn a_list_is_read() {
        let [fence, load] = &parse(LIST).expect("a list")[..] else {
            panic!("there are two");
        };
        assert_eq!(fence.tests, ["one", "two"]);
        assert_eq!(fence.survives, None);
        assert_eq!(load.survives.as_deref(), Some("nobody looks"));
        let text = "fn f() {\n    fence();\n}\nfn g() {}\n";
        let weakened = fence.apply(text).expect("it is there once");
        assert_eq!(weakened, "fn f() {\n}\nfn g() {}\n");
    }

    #[test]
    fn what_is_not_there_exactly_once_is_an_error() {
        let load = &parse(LIST).expect("a list")[1];
        assert!(load.apply("relaxed\n").is_err());
        assert!(load.apply("acquire\nacquire\n").is_err());
        assert!(load.apply("acquire\n").is_ok());
    }

    #[test]
    fn nonsense_is_an_error() {
        for list in [
            "file src/a.rs\n",
            "@@ a\nfile b\n",
            "@@ a\n-b\n",
            "@@ a\nfile b\n c\n",
            "@@ a\nfile b\n-c\n@@ a\nfile b\n-c\n",
            "@@ a\nfile b\nwhat c\n",
        ] {
            assert!(parse(list).is_err(), "{list}");
        }
    }
}
