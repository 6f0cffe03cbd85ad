//! Replays one scenario.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use flowkeep_core::Error;
use flowkeep_core::cilium::{Creation, Kinds, Scope, State};
use flowkeep_core::entry::EntryFlags;
use flowkeep_core::error::Refusal;
use flowkeep_core::packet::{
    FragmentKey, FragmentPorts, Fragments, NoFragments, Packet, network, transport,
};
use flowkeep_core::rules::Rules;
use flowkeep_core::settings::Settings;
use flowkeep_core::tracker::{Direction, Instant, Request, Tracker};
use flowkeep_core::tuple::{Family, Tuple};
use serde_json::{Value, json};

use super::format::{self, Config, Deltas, Dir, Meta, Scenario, Step, Version};
use super::render;
use super::tables::{Failing, Inspected};

/// Where the frame's IP header begins: behind an Ethernet header.
const NETWORK: usize = 14;

type Shadow = BTreeMap<String, BTreeMap<String, Value>>;

/// First fragments seen.
#[derive(Default)]
struct FragmentMap(HashMap<FragmentKey, FragmentPorts>);

impl Fragments for FragmentMap {
    fn record(&mut self, key: &FragmentKey, ports: FragmentPorts) {
        self.0.insert(*key, ports);
    }

    fn ports(&mut self, key: &FragmentKey) -> Option<FragmentPorts> {
        self.0.get(key).copied()
    }
}

struct Run<'a, T> {
    version: Version,
    config: Config,
    settings: Settings,
    table: &'a Failing<T>,
    fragments: FragmentMap,
    shadow: Shadow,
    clock: u64,
    /// What the last look-up or creation left.
    tuple: Tuple,
    length: u64,
}

pub(crate) fn replay<R: Rules>(
    meta: &Meta,
    case: &Scenario,
    table: impl Inspected,
) -> Result<(), String> {
    check_names(meta)?;
    let table = Failing {
        table,
        countdown: Cell::new(0),
        error: Cell::new(0),
    };
    let mut run = Run {
        version: meta.version,
        config: case.config,
        settings: settings(meta, case)?,
        table: &table,
        fragments: FragmentMap::default(),
        shadow: Shadow::new(),
        clock: case.start,
        tuple: Tuple::default(),
        length: 0,
    };
    for (index, step) in case.steps.iter().enumerate() {
        run.step::<R>(step)
            .map_err(|difference| format!("step {index}: {difference}"))?;
    }
    let expected: Shadow = case
        .r#final
        .iter()
        .map(|(name, rows)| {
            let rows = rows
                .iter()
                .map(|(key, value)| (key.to_string(), value.clone()));
            (name.clone(), rows.collect())
        })
        .collect();
    same_tables("final tables", &run.tables(), &expected)?;
    same("end", &run.clock, &case.end)
}

/// The names and numbers of the meta line have to be the ones that the harness means.
fn check_names(meta: &Meta) -> Result<(), String> {
    let numbers = |pairs: &[(&str, i64)]| -> BTreeMap<String, i64> {
        pairs
            .iter()
            .map(|&(name, number)| (name.to_owned(), number))
            .collect()
    };
    let status = [("NEW", 0), ("ESTABLISHED", 1), ("REPLY", 2), ("RELATED", 3)];
    same("status", &meta.status, &numbers(&status))?;
    same(
        "dir",
        &meta.dir,
        &numbers(&[("egress", 0), ("ingress", 1), ("service", 2)]),
    )?;
    let flags = [("OUT", 0), ("IN", 1), ("RELATED", 2), ("SERVICE", 4)];
    same("tuple flags", &meta.tuple_flags, &numbers(&flags))?;
    let errors = [
        ("INVALID", Error::NetworkTruncated),
        ("CT_INVALID_HDR", Error::TransportTruncated),
        ("CT_UNKNOWN_PROTO", Error::UnknownProtocol),
        ("CT_CREATE_FAILED", Error::NotCreated(Refusal::Full)),
        ("INVALID_EXTHDR", Error::ExtensionHeaders),
        ("FRAG_NOSUPPORT", Error::FragmentUnsupported),
        ("FRAG_NOT_FOUND", Error::FragmentUnknown),
    ];
    let errors = errors.map(|(name, error)| (name, i64::from(error.code())));
    same("errors", &meta.errors, &numbers(&errors))?;
    if meta.version == Version::Y2026 {
        same(
            "scope",
            &meta.scope,
            &numbers(&[("forward", 0), ("reverse", 1), ("bidir", 2)]),
        )?;
        let kinds = [
            ("ANY", Kinds::ANY),
            ("NODEPORT", Kinds::NODE_PORT),
            ("DSR", Kinds::DSR),
            ("SVC", Kinds::SERVICE),
        ];
        let kinds = kinds.map(|(name, kind)| (name, i64::from(kind.0)));
        same("entry types", &meta.entry_types, &numbers(&kinds))?;
    }
    let tuple_fields = ["daddr", "saddr", "dport", "sport", "nexthdr", "flags"];
    same(
        "tuple fields",
        &meta.tuple_fields,
        &tuple_fields.map(str::to_owned).to_vec(),
    )?;
    let names = |value: Value| -> Vec<String> {
        let mut names: Vec<String> = value
            .as_object()
            .into_iter()
            .flat_map(|fields| fields.keys().cloned())
            .collect();
        names.sort();
        names
    };
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    let state = names(render::state(&State::default(), meta.version));
    same("state fields", &sorted(&meta.state_fields), &state)?;
    let mut entry = names(render::entry(
        &Default::default(),
        &Tuple::default(),
        meta.version,
    ));
    if meta.version == Version::Y2026 {
        entry.push("backend_id".to_owned());
        entry.sort();
    }
    same("entry fields", &sorted(&meta.entry_fields), &entry)
}

fn settings(meta: &Meta, case: &Scenario) -> Result<Settings, String> {
    let mut settings = Settings {
        accounting: case.config != Config::Noacct,
        sctp: case.config == Config::Sctp,
        other_protocols: case.config == Config::Extproto,
        ..Settings::default()
    };
    for (name, &value) in meta.constants.iter().chain(&case.constants) {
        let setting = match name.as_str() {
            "lifetime_tcp" => &mut settings.tcp,
            "lifetime_nontcp" => &mut settings.non_tcp,
            "svc_lifetime_tcp" => &mut settings.service_tcp,
            "svc_lifetime_nontcp" => &mut settings.service_non_tcp,
            "syn_timeout" => &mut settings.syn,
            "close_timeout" => &mut settings.close,
            "close_rebalance" => &mut settings.close_rebalance,
            "report_interval" => &mut settings.report_interval,
            "trace_payload_len" => &mut settings.report_headers,
            "mtu" => &mut settings.report_all,
            "report_flags" => {
                settings.report_flags = value.try_into().map_err(|_| "report_flags".to_owned())?;
                continue;
            }
            _ => return Err(format!("an unknown constant: {name}")),
        };
        *setting = value;
    }
    Ok(settings)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, recorded: &T) -> Result<(), String> {
    if ours == recorded {
        Ok(())
    } else {
        Err(format!("{what}: ours {ours:?}, recorded {recorded:?}"))
    }
}

/// Names the first row that differs.
fn same_tables(what: &str, ours: &Shadow, recorded: &Shadow) -> Result<(), String> {
    if ours == recorded {
        return Ok(());
    }
    let names: BTreeSet<&String> = ours.keys().chain(recorded.keys()).collect();
    for name in names {
        let empty = BTreeMap::new();
        let (ours, recorded) = (
            ours.get(name).unwrap_or(&empty),
            recorded.get(name).unwrap_or(&empty),
        );
        let keys: BTreeSet<&String> = ours.keys().chain(recorded.keys()).collect();
        for key in keys {
            let (ours, recorded) = (ours.get(key), recorded.get(key));
            same(&format!("{what}: {name} {key}"), &ours, &recorded)?;
        }
    }
    Err(format!(
        "{what}: one has an empty table that the other has not"
    ))
}

impl<T: Inspected> Run<'_, T> {
    fn now(&self) -> Instant {
        Instant {
            seconds: self.clock as u32,
            ticks: self.clock,
        }
    }

    fn step<R: Rules>(&mut self, step: &Step) -> Result<(), String> {
        let none = Deltas::new();
        let deltas = match step {
            Step::Adv(step) => {
                self.clock += step.s;
                &none
            }
            Step::Fail(step) => {
                self.table.countdown.set(step.n);
                self.table.error.set(step.err);
                &none
            }
            Step::Gc(step) => {
                let now = self.now().seconds;
                let expired: Vec<Tuple> = (self.table.table.dump().into_iter())
                    .filter(|(_, entry)| entry.progress.expired(now))
                    .map(|(tuple, _)| tuple)
                    .collect();
                for tuple in &expired {
                    self.table.table.remove(tuple);
                }
                same("deleted", &expired.len(), &step.out.deleted)?;
                &step.d
            }
            Step::Lookup(step) => {
                self.lookup::<R>(step)?;
                &step.d
            }
            Step::Create(step) => {
                self.create::<R>(step)?;
                &step.d
            }
            Step::KeepAlive(step) => {
                let found = self.tracker::<R>().keep_alive(&self.key(step), self.now());
                answered(step, Some(found), None)?;
                &step.d
            }
            Step::UpdateBackendId(step) => {
                let backend = step.backend_id.ok_or("backend_id is missing")?;
                self.tracker::<R>().update_backend(&self.key(step), backend);
                answered(step, None, None)?;
                &step.d
            }
            Step::UpdateRevNatIndex(step) => {
                let index = step.rev_nat_index.ok_or("rev_nat_index is missing")?;
                self.tracker::<R>()
                    .update_rev_nat_index(&self.key(step), index);
                answered(step, None, None)?;
                &step.d
            }
            Step::UpdateSvcEntry(step) => {
                let backend = step.backend_id.ok_or("backend_id is missing")?;
                let index = step.rev_nat_index.ok_or("rev_nat_index is missing")?;
                let key = self.key(step);
                self.tracker::<R>().update_backend(&key, backend);
                self.tracker::<R>().update_rev_nat_index(&key, index);
                answered(step, None, None)?;
                &step.d
            }
            Step::UpdateDsr(step) => {
                let dsr = step.dsr.ok_or("dsr is missing")? != 0;
                self.tracker::<R>().update_dsr(&self.key(step), dsr);
                answered(step, None, None)?;
                &step.d
            }
            Step::IsReply(step) => {
                answered(
                    step,
                    Some(self.tracker::<R>().is_reply(&self.key(step))),
                    None,
                )?;
                &step.d
            }
            Step::HasEgressEntry(step) => {
                let found = self.tracker::<R>().has_egress_entry(&self.key(step));
                answered(step, Some(found), None)?;
                &step.d
            }
            Step::HasLoopbackEgressEntry(step) => {
                let key = self.key(step);
                let found = self
                    .tracker::<R>()
                    .has_egress_entry_with(&key, EntryFlags::LOOPBACK);
                answered(step, Some(found), None)?;
                &step.d
            }
            Step::HasDsrEgressEntry(step) => {
                let key = self.key(step);
                let found = self
                    .tracker::<R>()
                    .has_egress_entry_with(&key, EntryFlags::DSR);
                answered(step, Some(found), None)?;
                &step.d
            }
            Step::HasNodeportEgressEntry(step) => {
                let or_dsr = match step.check_dsr {
                    Some(Value::Bool(check)) => check,
                    Some(ref check) => check.as_u64() == Some(1),
                    None => return Err("check_dsr is missing".to_owned()),
                };
                let before = step.rev_nat_index_in.ok_or("rev_nat_index_in is missing")?;
                let query = self
                    .tracker::<R>()
                    .node_port_egress(&self.key(step), or_dsr);
                let index = query.rev_nat_index.unwrap_or(before);
                answered(step, Some(query.found), Some(index))?;
                &step.d
            }
        };
        self.apply(deltas);
        same_tables("tables", &self.tables(), &self.shadow)
    }

    fn tracker<R: Rules>(&self) -> Tracker<'_, R, Failing<T>> {
        Tracker::new(&self.settings, self.table)
    }

    fn key(&self, step: &format::Single) -> Tuple {
        render::parse_tuple(&step.tuple, step.fam)
    }

    fn lookup<R: Rules>(&mut self, step: &format::Lookup) -> Result<(), String> {
        let mut frame = hex(&step.pkt)?;
        frame.resize(frame.len() + step.pad, 0);
        self.length = frame.len() as u64;
        let direction = direction(step.dir);
        let mut request = Request::new(direction, self.length, self.now());
        match (self.version, step.api, step.scope) {
            (Version::Y2020, None, None) => {}
            (Version::Y2026, Some(api), Some(scope)) => {
                request.forget_related = api == format::Api::Lazy;
                request.kinds = Kinds(step.types);
                request.scope = match scope {
                    format::Scope::Forward => Scope::Forward,
                    format::Scope::Reverse => Scope::Reverse,
                    format::Scope::Bidir => Scope::Both,
                };
            }
            _ => return Err("api and scope belong to 2026, and there to every look-up".to_owned()),
        }
        let mut state = render::parse_state(&step.state_in, self.version)?;
        let parsed = self.parse::<R>(&frame, step.fam);
        let result = parsed.as_ref().map_err(|error| *error).and_then(|packet| {
            let tracker: Tracker<'_, R, _> = Tracker::new(&self.settings, self.table);
            let verdict =
                tracker.lookup(packet, &request, (!step.state_null).then_some(&mut state));
            match verdict.reason {
                None => Ok(verdict),
                Some(reason) => Err(reason),
            }
        });
        let (ret, monitor) = match &result {
            Ok(found) => {
                let packet = parsed.as_ref().map_err(|error| error.to_string())?;
                self.tuple = found.tuple(packet, &request);
                (
                    found.status as i32,
                    found.monitor.unwrap_or(step.monitor_in),
                )
            }
            Err(error) => (error.code(), step.monitor_in),
        };
        same("ret", &ret, &step.out.ret)?;
        same("monitor", &monitor, &step.out.monitor)?;
        if ret >= 0 {
            same("tuple", &render::tuple(&self.tuple), &step.out.tuple)?;
        } else {
            // The tuple after an error has no meaning, but a creation may follow: it begins with
            // what the reference left.
            self.tuple = render::parse_tuple(&step.out.tuple, step.fam);
        }
        let state = (!step.state_null).then(|| render::state(&state, self.version));
        same("state", &state, &step.out.state)
    }

    fn parse<R: Rules>(&mut self, frame: &[u8], family: u8) -> Result<Packet, Error> {
        let family = if family == 4 { Family::V4 } else { Family::V6 };
        let network = network::<R, [u8]>(frame, family, NETWORK)?;
        if self.config == Config::Frag {
            transport::<R, [u8]>(frame, &network, &self.settings, &mut self.fragments)
        } else {
            transport::<R, [u8]>(frame, &network, &self.settings, &mut NoFragments)
        }
    }

    fn create<R: Rules>(&mut self, step: &format::Create) -> Result<(), String> {
        let mut state = render::parse_state(&step.state, self.version)?;
        match (self.version, step.proxy_redirect) {
            // An argument of its own; the state's mark is ignored.
            (Version::Y2020, Some(proxy)) => state.proxy_redirect = proxy != 0,
            (Version::Y2026, None) => {}
            _ => return Err("proxy_redirect belongs to 2020, and there to every create".to_owned()),
        }
        let creation = Creation {
            direction: direction(step.dir),
            state: (!step.state_null).then_some(&state),
            tcp_flags: 0,
            related: step.related,
            length: self.length,
            packets: 1,
            now: self.now(),
        };
        let mut tuple = self.tuple;
        let result = self
            .tracker::<R>()
            .create(&mut tuple, &creation)
            .map(|_| ());
        let (ret, ext_err) = match result {
            Ok(()) => (0, 0),
            Err(error @ Error::NotCreated(Refusal::Other(number))) => (error.code(), number),
            Err(error) => (error.code(), 0),
        };
        same("ret", &ret, &step.out.ret)?;
        if self.version == Version::Y2026 {
            same("ext_err", &Some(ext_err), &step.out.ext_err)?;
        }
        let changed = (tuple != self.tuple).then(|| render::tuple(&tuple));
        same("tuple", &changed, &step.out.tuple)?;
        self.tuple = tuple;
        Ok(())
    }

    /// Every table in full, as the files have it.
    fn tables(&self) -> Shadow {
        let mut tables = Shadow::new();
        for (tuple, entry) in self.table.table.dump() {
            tables
                .entry(render::table_of(&tuple).to_owned())
                .or_default()
                .insert(
                    render::tuple(&tuple).to_string(),
                    render::entry(&entry, &tuple, self.version),
                );
        }
        for (key, ports) in &self.fragments.0 {
            let name = if key.family == Family::V4 {
                "frag4"
            } else {
                "frag6"
            };
            let row = json!([
                key.destination.to_ip(key.family),
                key.source.to_ip(key.family),
                key.id,
                key.protocol,
            ]);
            let value = json!({ "sport": ports.source, "dport": ports.destination });
            tables
                .entry(name.to_owned())
                .or_default()
                .insert(row.to_string(), value);
        }
        tables
    }

    /// Applies the recorded changes to the shadow.
    fn apply(&mut self, deltas: &Deltas) {
        for (name, delta) in deltas {
            let table = self.shadow.entry(name.clone()).or_default();
            for key in &delta.del {
                table.remove(&key.to_string());
            }
            for (key, value) in &delta.set {
                table.insert(key.to_string(), value.clone());
            }
        }
        self.shadow.retain(|_, table| !table.is_empty());
    }
}

/// Compares what a single-entry operation answered.
fn answered(
    step: &format::Single,
    ret: Option<bool>,
    rev_nat_index: Option<u16>,
) -> Result<(), String> {
    same("ret", &ret.map(i32::from), &step.out.ret)?;
    same("rev_nat_index", &rev_nat_index, &step.out.rev_nat_index)
}

fn direction(dir: Dir) -> Direction {
    match dir {
        Dir::Egress => Direction::Egress,
        Dir::Ingress => Direction::Ingress,
        Dir::Service => Direction::Service,
    }
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    (0..text.len())
        .step_by(2)
        .map(|at| {
            text.get(at..at + 2)
                .and_then(|byte| u8::from_str_radix(byte, 16).ok())
        })
        .collect::<Option<_>>()
        .ok_or_else(|| format!("not hex: {text}"))
}
