//! Replays one scenario.

use std::collections::{BTreeMap, BTreeSet};

use flowkeep_core::Error;
use flowkeep_core::cilium::{Creation, Kinds, Scope};
use flowkeep_core::entry::EntryFlags;
use flowkeep_core::error::Refusal;
use flowkeep_core::tracker::{Direction, Instant, Request};
use flowkeep_core::tuple::{Family, Tuple};
use serde_json::{Value, json};

use super::driver::{Driver, Operation};
use super::format::{self, Config, Deltas, Dir, Meta, Scenario, Step, Version};
use super::names::{check_names, settings};
use super::render;

type Shadow = BTreeMap<String, BTreeMap<String, Value>>;

struct Run<'a, D> {
    version: Version,
    driver: &'a mut D,
    shadow: Shadow,
    clock: u64,
    /// What the last look-up or creation left.
    tuple: Tuple,
    length: u64,
}

/// Has a tracker play a scenario, and compares everything that it does.
pub(crate) fn replay(meta: &Meta, case: &Scenario, driver: &mut impl Driver) -> Result<(), String> {
    check_names(meta)?;
    let mut run = Run::begin(meta, case, driver)?;
    for (index, step) in case.steps.iter().enumerate() {
        run.step(step)
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

/// Has a tracker play a scenario, whatever comes of it: for rules under which nothing is recorded.
#[allow(dead_code, reason = "each test uses its part")]
pub(crate) fn follow(meta: &Meta, case: &Scenario, driver: &mut impl Driver) -> Result<(), String> {
    let mut run = Run::begin(meta, case, driver)?;
    for step in &case.steps {
        // The difference is to the recording, which is under other rules.
        let _ = run.step(step);
    }
    Ok(())
}

/// Compares one thing.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    ours: &T,
    recorded: &T,
) -> Result<(), String> {
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

impl<'a, D: Driver> Run<'a, D> {
    fn begin(meta: &Meta, case: &Scenario, driver: &'a mut D) -> Result<Self, String> {
        driver.begin(&settings(meta, case)?, case.config == Config::Frag);
        Ok(Self {
            version: meta.version,
            driver,
            shadow: Shadow::new(),
            clock: case.start,
            tuple: Tuple::default(),
            length: 0,
        })
    }

    fn now(&self) -> Instant {
        Instant {
            seconds: self.clock as u32,
            ticks: self.clock,
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        let none = Deltas::new();
        let deltas = match step {
            Step::Adv(step) => {
                self.clock += step.s;
                &none
            }
            Step::Fail(step) => {
                self.driver.fail(step.n, step.err);
                &none
            }
            Step::Gc(step) => {
                same("deleted", &self.collect(), &step.out.deleted)?;
                &step.d
            }
            Step::Lookup(step) => {
                self.lookup(step)?;
                &step.d
            }
            Step::Create(step) => {
                self.create(step)?;
                &step.d
            }
            Step::KeepAlive(step) => {
                self.query(step, Operation::KeepAlive)?;
                &step.d
            }
            Step::UpdateBackendId(step) => {
                self.set(step, &[Operation::SetBackend(given(step.backend_id)?)])?;
                &step.d
            }
            Step::UpdateRevNatIndex(step) => {
                let index = given(step.rev_nat_index)?;
                self.set(step, &[Operation::SetRevNatIndex(index)])?;
                &step.d
            }
            Step::UpdateSvcEntry(step) => {
                let backend = Operation::SetBackend(given(step.backend_id)?);
                let index = Operation::SetRevNatIndex(given(step.rev_nat_index)?);
                self.set(step, &[backend, index])?;
                &step.d
            }
            Step::UpdateDsr(step) => {
                self.set(step, &[Operation::SetDsr(given(step.dsr)? != 0)])?;
                &step.d
            }
            Step::IsReply(step) => {
                self.query(step, Operation::IsReply)?;
                &step.d
            }
            Step::HasEgressEntry(step) => {
                self.query(step, Operation::HasEgressEntry)?;
                &step.d
            }
            Step::HasLoopbackEgressEntry(step) => {
                self.query(step, Operation::HasEgressEntryWith(EntryFlags::LOOPBACK))?;
                &step.d
            }
            Step::HasDsrEgressEntry(step) => {
                self.query(step, Operation::HasEgressEntryWith(EntryFlags::DSR))?;
                &step.d
            }
            Step::HasNodeportEgressEntry(step) => {
                let or_dsr = match step.check_dsr {
                    Some(Value::Bool(check)) => check,
                    Some(ref check) => check.as_u64() == Some(1),
                    None => return Err("check_dsr is missing".to_owned()),
                };
                self.query(step, Operation::NodePortEgress { or_dsr })?;
                &step.d
            }
        };
        self.apply(deltas);
        same_tables("tables", &self.tables(), &self.shadow)
    }

    /// Removes what has expired, as the agent's collector does. Returns how many entries.
    fn collect(&mut self) -> usize {
        let now = self.now().seconds;
        let entries = self.driver.entries().into_iter();
        let expired: Vec<Tuple> = entries
            .filter(|(_, entry)| entry.progress.expired(now))
            .map(|(tuple, _)| tuple)
            .collect();
        for tuple in &expired {
            self.driver.remove(tuple);
        }
        expired.len()
    }

    /// Asks about an entry, and compares the answer.
    fn query(&mut self, step: &format::Single, operation: Operation) -> Result<(), String> {
        let answer = self.driver.single(&self.key(step), operation, self.now());
        same("ret", &Some(i32::from(answer.found)), &step.out.ret)?;
        let index = match operation {
            Operation::NodePortEgress { .. } => {
                let before = given(step.rev_nat_index_in)?;
                Some(answer.rev_nat_index.unwrap_or(before))
            }
            _ => answer.rev_nat_index,
        };
        same("rev_nat_index", &index, &step.out.rev_nat_index)
    }

    /// Changes an entry, which answers nothing.
    fn set(&mut self, step: &format::Single, operations: &[Operation]) -> Result<(), String> {
        for &operation in operations {
            self.driver.single(&self.key(step), operation, self.now());
        }
        same("ret", &None, &step.out.ret)?;
        same("rev_nat_index", &None, &step.out.rev_nat_index)
    }

    fn key(&self, step: &format::Single) -> Tuple {
        render::parse_tuple(&step.tuple, step.fam)
    }

    fn lookup(&mut self, step: &format::Lookup) -> Result<(), String> {
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
        let family = if step.fam == 4 {
            Family::V4
        } else {
            Family::V6
        };
        let given = (!step.state_null).then_some(&mut state);
        let (ret, monitor) = match self.driver.lookup(&frame, family, &request, given) {
            Ok(looked) => {
                self.tuple = looked.tuple;
                let monitor = looked.monitor.unwrap_or(step.monitor_in);
                (looked.status as i32, monitor)
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

    fn create(&mut self, step: &format::Create) -> Result<(), String> {
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
        let result = self.driver.create(&mut tuple, &creation);
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
    fn tables(&mut self) -> Shadow {
        let mut tables = Shadow::new();
        for (tuple, entry) in self.driver.entries() {
            tables
                .entry(render::table_of(&tuple).to_owned())
                .or_default()
                .insert(
                    render::tuple(&tuple).to_string(),
                    render::entry(&entry, &tuple, self.version),
                );
        }
        for (key, ports) in self.driver.fragments() {
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

/// An input that the operation needs.
fn given<T>(input: Option<T>) -> Result<T, String> {
    input.ok_or_else(|| "an input is missing".to_owned())
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
