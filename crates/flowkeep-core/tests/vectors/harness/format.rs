//! The files: a line of meta data, then one scenario a line. Unknown fields are refused.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash)]
pub(crate) enum Version {
    #[serde(rename = "2020")]
    Y2020,
    #[serde(rename = "2026")]
    Y2026,
}

pub(crate) type Constants = BTreeMap<String, u32>;
type Numbers = BTreeMap<String, i64>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meta {
    #[serde(rename = "type")]
    _kind: String,
    pub(crate) format: u32,
    pub(crate) version: Version,
    #[serde(rename = "set")]
    _set: String,
    pub(crate) scenarios: usize,
    #[serde(rename = "source")]
    _source: String,
    pub(crate) constants: Constants,
    pub(crate) status: Numbers,
    pub(crate) errors: Numbers,
    pub(crate) dir: Numbers,
    pub(crate) tuple_flags: Numbers,
    #[serde(default)]
    pub(crate) scope: Numbers,
    #[serde(default)]
    pub(crate) entry_types: Numbers,
    #[serde(rename = "maps")]
    _maps: Vec<String>,
    pub(crate) entry_fields: Vec<String>,
    pub(crate) state_fields: Vec<String>,
    pub(crate) tuple_fields: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Config {
    Base,
    Frag,
    Noacct,
    Sctp,
    Extproto,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    #[serde(rename = "type")]
    _kind: String,
    pub(crate) name: String,
    #[serde(default, rename = "note")]
    _note: String,
    #[serde(default, rename = "tags")]
    _tags: Vec<String>,
    pub(crate) config: Config,
    #[serde(default, rename = "const")]
    pub(crate) constants: Constants,
    pub(crate) start: u64,
    pub(crate) steps: Vec<Step>,
    pub(crate) end: u64,
    pub(crate) r#final: BTreeMap<String, Vec<(Value, Value)>>,
}

impl Scenario {
    /// The most entries that it can store at once: each creation stores three at most.
    pub(crate) fn most_entries(&self) -> usize {
        let creations = self.steps.iter();
        3 * creations
            .filter(|step| matches!(step, Step::Create(_)))
            .count()
    }
}

/// Changes of one table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delta {
    #[serde(default)]
    pub(crate) set: Vec<(Value, Value)>,
    #[serde(default)]
    pub(crate) del: Vec<Value>,
}

pub(crate) type Deltas = BTreeMap<String, Delta>;
/// An object whose fields are looked at one by one.
pub(crate) type Fields = Map<String, Value>;

#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Step {
    Adv(Advance),
    Lookup(Box<Lookup>),
    Create(Box<Create>),
    KeepAlive(Single),
    UpdateBackendId(Single),
    UpdateRevNatIndex(Single),
    UpdateSvcEntry(Single),
    UpdateDsr(Single),
    IsReply(Single),
    HasEgressEntry(Single),
    HasLoopbackEgressEntry(Single),
    HasDsrEgressEntry(Single),
    HasNodeportEgressEntry(Single),
    Gc(Collect),
    Fail(Fail),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Advance {
    pub(crate) s: u64,
    #[serde(default, rename = "note")]
    _note: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lookup {
    pub(crate) dir: Dir,
    pub(crate) fam: u8,
    pub(crate) pkt: String,
    #[serde(default)]
    pub(crate) pad: usize,
    #[serde(default)]
    pub(crate) monitor_in: u32,
    #[serde(default)]
    pub(crate) state_in: Fields,
    pub(crate) api: Option<Api>,
    pub(crate) scope: Option<Scope>,
    #[serde(default)]
    pub(crate) types: u8,
    #[serde(default)]
    pub(crate) state_null: bool,
    pub(crate) out: LookupOut,
    #[serde(default)]
    pub(crate) d: Deltas,
    #[serde(default, rename = "note")]
    _note: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LookupOut {
    pub(crate) ret: i32,
    pub(crate) monitor: u32,
    pub(crate) state: Option<Value>,
    pub(crate) tuple: Value,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dir {
    Egress,
    Ingress,
    Service,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Api {
    Lookup,
    Lazy,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    Forward,
    Reverse,
    Bidir,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    pub(crate) dir: Dir,
    pub(crate) related: bool,
    #[serde(default)]
    pub(crate) state: Fields,
    #[serde(default)]
    pub(crate) state_null: bool,
    pub(crate) proxy_redirect: Option<u8>,
    pub(crate) out: CreateOut,
    #[serde(default)]
    pub(crate) d: Deltas,
    #[serde(default, rename = "note")]
    _note: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateOut {
    pub(crate) ret: i32,
    pub(crate) ext_err: Option<i32>,
    pub(crate) tuple: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Single {
    pub(crate) fam: u8,
    pub(crate) tuple: Value,
    pub(crate) backend_id: Option<u32>,
    pub(crate) rev_nat_index: Option<u16>,
    pub(crate) dsr: Option<u8>,
    pub(crate) check_dsr: Option<Value>,
    pub(crate) rev_nat_index_in: Option<u16>,
    pub(crate) out: SingleOut,
    #[serde(default)]
    pub(crate) d: Deltas,
    #[serde(default, rename = "note")]
    _note: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SingleOut {
    pub(crate) ret: Option<i32>,
    pub(crate) rev_nat_index: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Collect {
    pub(crate) out: CollectOut,
    #[serde(default)]
    pub(crate) d: Deltas,
    #[serde(default, rename = "note")]
    _note: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CollectOut {
    pub(crate) deleted: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fail {
    pub(crate) n: u32,
    pub(crate) err: i32,
    #[serde(default, rename = "note")]
    _note: String,
}

/// Reads a set.
pub(crate) fn read(path: &Path) -> (Meta, Vec<Scenario>) {
    let wrong = |what: &dyn std::fmt::Display, line: usize| -> ! {
        panic!("{}: line {line}: {what}", path.display())
    };
    let file = std::fs::File::open(path).unwrap_or_else(|error| wrong(&error, 0));
    let mut lines = BufReader::new(MultiGzDecoder::new(BufReader::new(file))).lines();
    let first = lines.next().unwrap_or_else(|| wrong(&"empty", 1));
    let first = first.unwrap_or_else(|error| wrong(&error, 1));
    let meta: Meta = serde_json::from_str(&first).unwrap_or_else(|error| wrong(&error, 1));
    assert_eq!(
        meta.format,
        1,
        "{}: a format that is not known",
        path.display()
    );
    let scenarios = lines
        .enumerate()
        .map(|(index, line)| {
            let line = line.unwrap_or_else(|error| wrong(&error, index + 2));
            serde_json::from_str(&line).unwrap_or_else(|error| wrong(&error, index + 2))
        })
        .collect();
    (meta, scenarios)
}
