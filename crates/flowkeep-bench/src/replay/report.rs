//! The results, for people and for machines.

use std::fmt;
use std::fs;

use flowkeep_generate::Traffic;
use serde::Serialize;

use super::capture::Capture;
use crate::measure::Cost;

/// What was measured, on what.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    input: Input,
    /// The processor's name.
    processor: Option<String>,
    tools: Vec<Row>,
    /// Of Flowkeep.
    memory: Option<Memory>,
}

#[derive(Debug, Serialize)]
struct Input {
    packets: u64,
    connections: u32,
    file_bytes: u64,
    seed: u64,
    snaplen: u32,
}

/// One tool.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) tool: &'static str,
    pub(super) version: Option<String>,
    /// How many packets it was given.
    pub(super) packets: u64,
    pub(super) runs: u32,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
    pub(super) remark: &'static str,
}

/// How it went.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum Outcome {
    /// Medians.
    Measured {
        packets_per_second: f64,
        #[serde(flatten)]
        cost: Cost,
    },
    /// It did not end well.
    Failed { error: String },
    /// It is not on this machine.
    NotInstalled { debian_package: &'static str },
}

impl Outcome {
    /// The outcome of some runs over `packets` packets.
    pub(super) fn median(costs: &[Cost], packets: u64) -> Self {
        match Cost::median(costs) {
            Some(cost) => Self::Measured {
                packets_per_second: packets as f64 / cost.wall_seconds,
                cost,
            },
            None => Self::Failed {
                error: "it was never run".to_owned(),
            },
        }
    }
}

/// What connections cost in memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Memory {
    /// Peak on a capture of one connection.
    start_bytes: u64,
    /// Peak on this one.
    peak_bytes: u64,
    bytes_per_connection: f64,
}

impl Memory {
    pub(super) fn new(start_bytes: u64, peak_bytes: u64, connections: u32) -> Self {
        let grown = peak_bytes.saturating_sub(start_bytes);
        let bytes_per_connection = grown as f64 / f64::from(connections);
        Self {
            start_bytes,
            peak_bytes,
            bytes_per_connection,
        }
    }
}

impl Report {
    pub(super) fn new(
        traffic: &Traffic,
        capture: &Capture,
        tools: Vec<Row>,
        memory: Option<Memory>,
    ) -> Self {
        let input = Input {
            packets: capture.packets,
            connections: traffic.connections,
            file_bytes: capture.bytes,
            seed: traffic.seed,
            snaplen: traffic.snaplen,
        };
        Self {
            input,
            processor: processor(),
            tools,
            memory,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Input {
            packets,
            connections,
            file_bytes,
            seed,
            snaplen,
        } = self.input;
        writeln!(
            f,
            "{packets} packets of {connections} connections, {:.0} MB, seed {seed}, snaplen {snaplen}",
            file_bytes as f64 / 1e6
        )?;
        let processor = self.processor.as_deref().unwrap_or("unknown processor");
        writeln!(
            f,
            "one CPU of {processor}; whole processes, medians, capture in the page cache"
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "{:<24} {:>10} {:>4} {:>11} {:>8} {:>8} {:>9} {:>10}  remark",
            "tool", "packets", "runs", "packets/s", "wall s", "CPU s", "peak MiB", "× flowkeep"
        )?;
        let base = self.tools.first().and_then(Row::cpu_per_packet);
        for row in &self.tools {
            row.write(f, base)?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "× flowkeep: CPU time per packet, compared with Flowkeep's"
        )?;
        if let Some(memory) = self.memory {
            writeln!(
                f,
                "memory of flowkeep: {:.0} bytes per connection beyond {:.1} MiB at start",
                memory.bytes_per_connection,
                mebibytes(memory.start_bytes)
            )?;
        }
        Ok(())
    }
}

impl Row {
    fn cpu_per_packet(&self) -> Option<f64> {
        match &self.outcome {
            Outcome::Measured { cost, .. } => Some(cost.cpu_seconds() / self.packets as f64),
            _ => None,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, base: Option<f64>) -> fmt::Result {
        let name = match &self.version {
            Some(version) => format!("{} {version}", self.tool),
            None => self.tool.to_owned(),
        };
        write!(f, "{name:<24} {:>10} {:>4} ", self.packets, self.runs)?;
        match &self.outcome {
            Outcome::Measured {
                packets_per_second,
                cost,
            } => {
                let ratio = match (self.cpu_per_packet(), base) {
                    (Some(own), Some(base)) if base > 0.0 => format!("{:.1}", own / base),
                    _ => "-".to_owned(),
                };
                writeln!(
                    f,
                    "{packets_per_second:>11.0} {:>8.2} {:>8.2} {:>9.1} {ratio:>10}  {}",
                    cost.wall_seconds,
                    cost.cpu_seconds(),
                    mebibytes(cost.peak_bytes),
                    self.remark
                )
            }
            Outcome::Failed { error } => writeln!(f, "failed: {error}"),
            Outcome::NotInstalled { debian_package } => {
                writeln!(f, "not installed (Debian package {debian_package})")
            }
        }
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn processor() -> Option<String> {
    let information = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = information
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let cost = |seconds| Cost {
            wall_seconds: seconds,
            user_seconds: seconds,
            system_seconds: 0.0,
            peak_bytes: 3 << 20,
        };
        let row = |tool, packets, outcome| Row {
            tool,
            version: None,
            packets,
            runs: 1,
            outcome,
            remark: "",
        };
        let capture = Capture {
            path: "some.pcap".into(),
            packets: 1000,
            bytes: 400_000,
        };
        let tools = vec![
            row("flowkeep", 1000, Outcome::median(&[cost(2.0)], 1000)),
            row("other", 500, Outcome::median(&[cost(4.0)], 500)),
            row(
                "absent",
                1000,
                Outcome::NotInstalled {
                    debian_package: "some-package",
                },
            ),
            row(
                "broken",
                1000,
                Outcome::Failed {
                    error: "killed by signal 11".to_owned(),
                },
            ),
        ];
        let memory = Memory::new(1 << 20, 3 << 20, 1024);
        Report::new(&Traffic::default(), &capture, tools, Some(memory))
    }

    #[test]
    fn a_table_has_every_tool() {
        let table = report().to_string();
        let line = |name: &str| {
            let line = table.lines().find(|line| line.starts_with(name));
            line.unwrap_or_else(|| panic!("no {name} in\n{table}"))
                .split_whitespace()
                .collect()
        };
        let flowkeep: Vec<&str> = line("flowkeep");
        assert_eq!(
            flowkeep[1..],
            ["1000", "1", "500", "2.00", "2.00", "3.0", "1.0"]
        );
        let other: Vec<&str> = line("other");
        assert_eq!(
            other[1..],
            ["500", "1", "125", "4.00", "4.00", "3.0", "4.0"]
        );
        assert!(line("absent").contains(&"some-package)"));
        assert!(line("broken").contains(&"failed:"));
        assert!(table.contains("2048 bytes per connection"), "{table}");
    }

    #[test]
    fn json_has_every_tool() {
        let json = serde_json::to_value(report()).expect("it is plain data");
        assert_eq!(json["input"]["connections"], 5000);
        assert_eq!(json["tools"][0]["packets_per_second"], 500.0);
        assert_eq!(json["tools"][0]["peak_bytes"], 3 << 20);
        assert_eq!(json["tools"][2]["outcome"], "not_installed");
        assert_eq!(json["tools"][3]["error"], "killed by signal 11");
        assert_eq!(json["memory"]["bytes_per_connection"], 2048.0);
    }
}
