//! The lab: a host with Flowkeep, and its neighbour.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use aya::programs::{SchedClassifier, TcAttachType};
use flowkeep_lab::{Background, Host, available, cable, eventually};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Far more than anything takes: whoever waits this long waits in vain.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program.
const FLOWKEEP: &str = env!("CARGO_BIN_EXE_flowkeep");

/// A host that tracks, and its neighbour, who answers.
pub(crate) struct Lab {
    pub(crate) here: Host,
    pub(crate) there: Host,
}

impl Lab {
    /// 192.0.2.1 here and 192.0.2.2 there, on interfaces called eth0; nothing if this machine does
    /// not allow it.
    pub(crate) fn new() -> Option<Self> {
        if !available(&["ping"]) {
            return None;
        }
        let hosts = || {
            let (here, there) = (Host::new()?, Host::new()?);
            cable(&here, "eth0", &there, "eth0")?;
            here.ip("address add 192.0.2.1/24 dev eth0")?;
            there.ip("address add 192.0.2.2/24 dev eth0")?;
            anyhow::Ok(Self { here, there })
        };
        Some(hosts().expect("a lab"))
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = self.here.command(FLOWKEEP);
        command.args(arguments.split_whitespace());
        command
    }

    /// The same, started by another program, given with its arguments.
    pub(crate) fn command_by(&self, starter: &str, arguments: &str) -> Command {
        let mut words = starter.split_whitespace();
        let mut command = self.here.command(words.next().expect("a program"));
        command.args(words).arg(FLOWKEEP);
        command.args(arguments.split_whitespace());
        command
    }

    pub(crate) fn flowkeep(&self, arguments: &str) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// What it writes when all goes well.
    pub(crate) fn success(&self, arguments: &str) -> String {
        let output = self.flowkeep(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{arguments}: {out}{err}");
        assert_eq!(err, "", "{arguments}");
        out
    }

    /// What it complains of, and the status that it ends with.
    pub(crate) fn failure(&self, arguments: &str) -> (String, Option<i32>) {
        complaint(&mut self.command(arguments))
    }

    pub(crate) fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.success(arguments)).expect("JSON")
    }

    /// Starts one that goes on. Its lines come as it writes them.
    pub(crate) fn start(&self, arguments: &str) -> (Background, Receiver<String>) {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Background::start(&mut command).expect("the program runs");
        let stdout = running.child().stdout.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        // Ends with the program.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                // Nobody may want to hear more.
                let _ = sender.send(line.expect("text"));
            }
        });
        (running, lines)
    }

    pub(crate) fn run(&self, arguments: &str) -> Background {
        let (mut running, lines) = self.start(&format!("run {arguments}"));
        let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            let mut said = String::new();
            if let Some(mut stderr) = running.child().stderr.take() {
                let _ = running.signal(Signal::SIGTERM);
                let _ = stderr.read_to_string(&mut said);
            }
            panic!("no line of run {arguments}, {error}: {said}");
        });
        assert!(line.starts_with("tracking "), "{line}");
        running
    }

    pub(crate) fn ping(&self) {
        self.here
            .run("ping", "-q -c 1 192.0.2.2")
            .expect("an answer");
    }

    /// The names of what is in the folder of trackers; nothing if it is not there.
    pub(crate) fn pins(&self) -> Option<Vec<String>> {
        self.here.enter(|| {
            let entries = std::fs::read_dir("/sys/fs/bpf/flowkeep").ok()?;
            let names = entries.map(|entry| entry.expect("readable").file_name());
            Some(
                names
                    .map(|name| name.into_string().expect("text"))
                    .collect(),
            )
        })
    }

    /// Pings that are tracked, as `flowkeep list` has them.
    pub(crate) fn pings(&self) -> Vec<Value> {
        let list = self.json("list -o json -p icmp");
        list["connections"].as_array().expect("a list").clone()
    }
}

/// Programs on an interface of this host, by tcx links and by filters.
pub(crate) fn attached(lab: &Lab) -> usize {
    let links = lab.here.enter(|| {
        [TcAttachType::Ingress, TcAttachType::Egress].map(|side| {
            // Kernels before 6.6 have no links to ask for.
            SchedClassifier::query_tcx("eth0", side).map_or(0, |(_, programs)| programs.len())
        })
    });
    let filters = ["ingress", "egress"].map(|side| {
        let mut tc = lab.here.command("tc");
        let output = tc.args(["filter", "show", "dev", "eth0", side]).output();
        text(&output.expect("tc runs").stdout).lines().count()
    });
    links.into_iter().chain(filters).sum()
}

/// Waits until there are no pins and no programs: the kernel detaches a moment after the last one
/// who held a link has let it go.
pub(crate) fn nothing_is_left(lab: &Lab) {
    let left = eventually(|| match (lab.pins(), attached(lab)) {
        (None, 0) => Ok(()),
        left => Err(left),
    });
    assert_eq!(left, Ok(()), "nothing is left");
}

/// The one sentence that a command complains with, and the status that it ends with.
pub(crate) fn complaint(command: &mut Command) -> (String, Option<i32>) {
    let output = command.output().expect("the program runs");
    assert_eq!(text(&output.stdout), "", "{command:?}");
    let complaint = text(&output.stderr);
    assert_eq!(complaint.lines().count(), 1, "one sentence: {complaint}");
    let complaint = complaint.strip_prefix("flowkeep: ").expect("our name");
    (complaint.trim_end().to_owned(), output.status.code())
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// What a process complains of until it ends, and the status that it ends with.
pub(crate) fn end(mut running: Background) -> (String, Option<i32>) {
    let status = eventually(|| {
        running
            .child()
            .try_wait()
            .ok()
            .flatten()
            .ok_or("it goes on")
    });
    let stderr = running.child().stderr.take().expect("piped");
    let complaints = io::read_to_string(stderr).expect("text");
    (complaints, status.expect("it ends").code())
}
