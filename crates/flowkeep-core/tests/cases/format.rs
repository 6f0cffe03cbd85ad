//! The files: one case or one flood a line. `docs/states.md` describes their fields.

use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::Value;

use crate::tracker::{Host, Mode};

/// A line of a file.
pub(crate) enum Line {
    Case(Case),
    Flood(Box<Flood>),
    /// One that the harness does not understand, and why: it fails.
    Unreadable(String, String),
}

/// The initial sequence numbers.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Isn {
    client: u32,
    server: u32,
}

impl Isn {
    pub(crate) const fn of(&self, host: Host) -> u32 {
        match host {
            Host::Client => self.client,
            Host::Server => self.server,
        }
    }
}

/// A sequence of packets with what each does.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) mode: Mode,
    pub(crate) ip: u8,
    pub(crate) isn: Isn,
    pub(crate) packets: Vec<Packet>,
    pub(crate) end: End,
}

/// After the last packet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    pub(crate) entry: bool,
    pub(crate) state: String,
    pub(crate) originator: Option<Host>,
    pub(crate) assured: Option<bool>,
    #[serde(rename = "note", default)]
    _note: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sender {
    Client,
    Server,
    Router,
    /// Of a forgery: a coin decides.
    Either,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Bad {
    Checksum,
    Short,
    Offset,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Packet {
    pub(crate) at_ms: u64,
    pub(crate) from: Sender,
    #[serde(default)]
    pub(crate) flags: String,
    #[serde(default)]
    pub(crate) seq: i64,
    #[serde(default)]
    pub(crate) ack: Option<i64>,
    #[serde(default)]
    pub(crate) abs: bool,
    #[serde(default)]
    pub(crate) len: usize,
    #[serde(default)]
    pub(crate) win: u16,
    #[serde(default)]
    pub(crate) urg: u16,
    #[serde(default)]
    pub(crate) opts: Options,
    #[serde(default)]
    pub(crate) bad: Option<Bad>,
    #[serde(default)]
    pub(crate) icmp: Option<Icmp>,
    pub(crate) want: String,
    pub(crate) want_state: String,
    #[serde(default)]
    pub(crate) want_timeout: Option<String>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
    #[serde(rename = "note", default)]
    _note: Option<String>,
    // What the kernel's tracker did is for the reader.
    #[serde(rename = "nf", default)]
    _nf: Value,
    #[serde(rename = "nf_state", default)]
    _nf_state: Value,
    #[serde(rename = "nf_timeout_s", default)]
    _nf_timeout: Value,
    #[serde(rename = "nf_assured", default)]
    _nf_assured: Value,
    #[serde(rename = "nf_ms", default)]
    _nf_at: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    pub(crate) mss: Option<u16>,
    #[serde(default)]
    pub(crate) sack_ok: bool,
    pub(crate) wscale: Option<u8>,
    #[serde(default)]
    pub(crate) sack: Vec<[i64; 2]>,
    pub(crate) ts: Option<[u32; 2]>,
    #[serde(default)]
    pub(crate) raw: Vec<(u8, String)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Icmp {
    #[serde(rename = "type")]
    pub(crate) icmp_type: u8,
    pub(crate) code: u8,
    #[serde(default)]
    pub(crate) mtu: u16,
    pub(crate) quote: Quote,
}

/// The header of a client's packet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quote {
    /// `"flow"`, or another source port.
    pub(crate) port: Value,
    pub(crate) flags: String,
    pub(crate) seq: i64,
    pub(crate) ack: i64,
    #[serde(default)]
    pub(crate) abs: bool,
    pub(crate) len: usize,
}

/// Forgeries between a set-up and genuine packets.
#[derive(Debug, Deserialize)]
pub(crate) struct Flood {
    pub(crate) id: String,
    pub(crate) mode: Mode,
    pub(crate) ip: u8,
    pub(crate) isn: Isn,
    pub(crate) setup: Vec<Packet>,
    pub(crate) forge: Forge,
    #[serde(default)]
    pub(crate) exact: Sides<Vec<i64>>,
    #[serde(default)]
    pub(crate) exact_ack: Sides<Vec<i64>>,
    pub(crate) count: u64,
    pub(crate) flood_ms: u64,
    pub(crate) then: Vec<Packet>,
    pub(crate) check: Check,
}

/// Something of each side.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sides<T> {
    #[serde(default)]
    client: T,
    #[serde(default)]
    server: T,
}

impl<T> Sides<T> {
    pub(crate) const fn of(&self, host: Host) -> &T {
        match host {
            Host::Client => &self.client,
            Host::Server => &self.server,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ForgedSeq {
    Random,
    InWindowInexact,
    OutOfWindow,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ForgedAck {
    None,
    Random,
    Exact,
    SynPlusOne,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum ForgedFlags {
    One(String),
    OneOf(Vec<String>),
}

impl ForgedFlags {
    pub(crate) fn all(&self) -> &[String] {
        match self {
            Self::One(flags) => std::slice::from_ref(flags),
            Self::OneOf(list) => list,
        }
    }
}

/// Drawn anew for each packet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Forge {
    pub(crate) from: Sender,
    pub(crate) flags: ForgedFlags,
    pub(crate) seq: ForgedSeq,
    #[serde(default)]
    pub(crate) seq_range: Option<Sides<[i64; 2]>>,
    #[serde(default)]
    pub(crate) seq_not_in: Option<Sides<[i64; 2]>>,
    pub(crate) ack: ForgedAck,
    pub(crate) len: usize,
    pub(crate) win: u16,
    #[serde(default)]
    pub(crate) followed_by: Option<Box<Self>>,
}

/// What has to hold at every moment of a flood.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    pub(crate) states: Vec<String>,
    pub(crate) verdicts: Vec<String>,
    pub(crate) min_timeout_s: u64,
}

/// The lines of a `.jsonl` or `.jsonl.gz` file.
pub(crate) fn read(path: &Path) -> Vec<Line> {
    let file =
        std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    let read = if path.extension().is_some_and(|extension| extension == "gz") {
        MultiGzDecoder::new(file).read_to_string(&mut text)
    } else {
        { file }.read_to_string(&mut text)
    };
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(parse)
        .collect()
}

fn parse(line: &str) -> Line {
    let value: Value = match serde_json::from_str(line) {
        Ok(value) => value,
        Err(error) => return Line::Unreadable("?".into(), error.to_string()),
    };
    let id = value.get("id").map_or_else(|| "?".into(), Value::to_string);
    let parsed = if value.get("forge").is_some() {
        serde_json::from_value(value).map(|flood| Line::Flood(Box::new(flood)))
    } else {
        serde_json::from_value(value).map(Line::Case)
    };
    parsed.unwrap_or_else(|error| Line::Unreadable(id, error.to_string()))
}
