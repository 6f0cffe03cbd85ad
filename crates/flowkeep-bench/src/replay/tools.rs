//! The tools that are compared, and how each reads a capture without a network.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

/// A tool.
pub(super) struct Tool {
    pub(super) name: &'static str,
    /// Its program, by name or by path.
    program: PathBuf,
    /// The Debian package that has it.
    pub(super) package: &'static str,
    /// True if it is given only the beginning of the capture, and once.
    pub(super) slow: bool,
    /// What it does and what to know about its numbers.
    pub(super) remark: &'static str,
    /// What makes it tell its version.
    version_argument: &'static str,
    /// Arguments before and after the capture's path.
    before: Vec<OsString>,
    after: Vec<OsString>,
    /// A directory that it writes to, to be empty before each run and gone after the last.
    scratch: Option<PathBuf>,
}

/// All tools, Flowkeep first. `directory` is where they may write, `port` where somebody on
/// 127.0.0.1 takes NetFlow.
pub(super) fn all(flowkeep: &Path, directory: &Path, port: u16) -> Vec<Tool> {
    let flows = directory.join("nfpcapd");
    let exporter = directory.join("softflowd");
    vec![
        Tool {
            name: "flowkeep replay",
            program: flowkeep.to_owned(),
            package: "none: built here",
            slow: false,
            remark: "reads, tracks, summarises",
            version_argument: "--version",
            before: vec!["replay".into()],
            after: ["--summary"].map(OsString::from).into(),
            scratch: None,
        },
        Tool {
            name: "capinfos",
            program: "capinfos".into(),
            package: "wireshark-common",
            slow: false,
            remark: "reads and hashes the file; keeps no connections",
            version_argument: "--version",
            before: Vec::new(),
            after: Vec::new(),
            scratch: None,
        },
        Tool {
            name: "argus",
            program: "argus".into(),
            package: "argus-server",
            slow: false,
            remark: "flow records to /dev/null; waits a second at the end, so look at its CPU time",
            version_argument: "-h",
            before: ["-F", "/dev/null", "-w", "/dev/null", "-r"]
                .map(OsString::from)
                .into(),
            after: Vec::new(),
            scratch: None,
        },
        Tool {
            name: "nfpcapd",
            program: "nfpcapd".into(),
            package: "nfdump",
            slow: false,
            remark: "flow records to files; skips frames with two VLAN tags",
            version_argument: "-V",
            before: vec!["-l".into(), flows.clone().into(), "-r".into()],
            after: Vec::new(),
            scratch: Some(flows),
        },
        Tool {
            name: "softflowd",
            program: "softflowd".into(),
            package: "softflowd",
            slow: false,
            remark: "NetFlow 9 to loopback, room for a million flows; skips frames with two VLAN tags",
            version_argument: "-h",
            before: vec![
                "-d".into(),
                "-6".into(),
                "-v".into(),
                "9".into(),
                "-m".into(),
                "1000000".into(),
                "-p".into(),
                exporter.join("pid").into(),
                "-c".into(),
                exporter.join("control").into(),
                "-n".into(),
                format!("127.0.0.1:{port}").into(),
                "-r".into(),
            ],
            after: Vec::new(),
            scratch: Some(exporter),
        },
        Tool {
            name: "tshark",
            program: "tshark".into(),
            package: "tshark",
            slow: true,
            remark: "TCP and UDP conversations; dissects every protocol",
            version_argument: "--version",
            before: ["-q", "-n", "-z", "conv,tcp", "-z", "conv,udp", "-r"]
                .map(OsString::from)
                .into(),
            after: Vec::new(),
            scratch: None,
        },
    ]
}

impl Tool {
    /// Where its program is, if it is installed.
    pub(super) fn find(&self) -> Option<PathBuf> {
        // Daemons live where the path of an ordinary user does not lead.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let daemons = [PathBuf::from("/usr/local/sbin"), PathBuf::from("/usr/sbin")];
        let mut places = std::env::split_paths(&path).chain(daemons);
        // Joining an absolute path gives that path.
        places.find_map(|place| Some(place.join(&self.program)).filter(|file| file.is_file()))
    }

    /// Its arguments to read a capture.
    pub(super) fn arguments(&self, capture: &Path) -> Vec<OsString> {
        let capture = [capture.as_os_str().to_owned()];
        self.before
            .iter()
            .chain(&capture)
            .chain(&self.after)
            .cloned()
            .collect()
    }

    /// The first thing it says that looks like a version.
    pub(super) fn version(&self) -> Option<String> {
        let output = Command::new(self.find()?)
            .arg(self.version_argument)
            .output()
            .ok()?;
        let said = [output.stdout, output.stderr].concat();
        find_version(&String::from_utf8_lossy(&said))
    }

    /// Makes sure that it has an empty directory to write to.
    pub(super) fn prepare(&self) -> Result<()> {
        let Some(scratch) = &self.scratch else {
            return Ok(());
        };
        self.clean_up()?;
        Ok(fs::create_dir_all(scratch)?)
    }

    /// Removes what it has written.
    pub(super) fn clean_up(&self) -> Result<()> {
        match &self.scratch {
            Some(scratch) if scratch.exists() => Ok(fs::remove_dir_all(scratch)?),
            _ => Ok(()),
        }
    }
}

/// The first word that begins with a digit and has a dot in it.
fn find_version(said: &str) -> Option<String> {
    let words = said.split(|letter: char| letter.is_whitespace() || "(),:".contains(letter));
    let version = words.map(|word| word.trim_end_matches('.')).find(|word| {
        word.starts_with(|letter: char| letter.is_ascii_digit()) && word.contains('.')
    });
    version.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found() {
        let cases = [
            ("Argus Version 3.0.8.2\nusage: argus", Some("3.0.8.2")),
            (
                "TShark (Wireshark) 4.0.17 (Git v4.0.17 packaged as 4.0.17-0+deb12u3).",
                Some("4.0.17"),
            ),
            (
                "Usage: softflowd [options]\nThis is softflowd version 1.1.0. Valid",
                Some("1.1.0"),
            ),
            ("nfpcapd: Version: 1.7.1\n", Some("1.7.1")),
            ("flowkeep 0.1.0\n", Some("0.1.0")),
            ("no number", None),
        ];
        for (said, version) in cases {
            assert_eq!(find_version(said).as_deref(), version, "{said}");
        }
    }

    #[test]
    fn every_tool_gets_the_capture_once() {
        for tool in all(Path::new("/nowhere/flowkeep"), Path::new("scratch"), 9995) {
            let arguments = tool.arguments(Path::new("some.pcap"));
            let times = arguments
                .iter()
                .filter(|argument| *argument == "some.pcap")
                .count();
            assert_eq!(times, 1, "{}: {arguments:?}", tool.name);
        }
    }

    #[test]
    fn a_missing_program_is_not_found() {
        let tools = all(Path::new("/nowhere/flowkeep"), Path::new("scratch"), 9995);
        assert_eq!(tools[0].find(), None);
    }
}
