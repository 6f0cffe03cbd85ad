//! The core in the kernel plays the steps.

use std::mem::offset_of;
use std::sync::atomic::Ordering::Relaxed;

use aya::include_bytes_aligned;
use aya::maps::{HashMap, Map, MapData};
use aya::programs::{TestRun, TestRunOptions};
use flowkeep_bpf::{Kernel, Options};
use flowkeep_core::Error;
use flowkeep_core::cilium::{Creation, Scope, State};
use flowkeep_core::entry::Entry;
use flowkeep_core::error::Refusal;
use flowkeep_core::packet::{FragmentKey, FragmentPorts};
use flowkeep_core::rules::RuleSet;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{Seed, Table};
use flowkeep_core::tracker::{Direction, Instant, Request, Status};
use flowkeep_core::tuple::{Address, Family, Tuple};
use flowkeep_memory::Words;

use crate::call::{
    CALL_WORDS, Call, NONE, STATE_WORDS, UNANSWERED, direction, operation, refusal, scope, state,
    state_words,
};
use crate::harness::{Answer, Driver, Looked, Operation};
use crate::otherwise::{Otherwise, Why};
use crate::packet::Packet;

static DEFAULT: &[u8] = include_bytes_aligned!("../object/vectors-default.o");
static CILIUM_18: &[u8] = include_bytes_aligned!("../object/vectors-cilium18.o");
static CILIUM_119: &[u8] = include_bytes_aligned!("../object/vectors-cilium119.o");

/// Of the table's hash.
pub(crate) const SEED: u64 = 42;

/// Ticks of the programs' clock in a second.
pub(crate) const NANOSECONDS: u64 = 1_000_000_000;

/// The programs of one set of rules, with their table.
pub(crate) struct Programs {
    kernel: Kernel,
    /// The only element of the map `CALL`.
    call: Words,
    /// Whether fragments are tracked.
    fragments: bool,
}

impl Programs {
    /// Loads the programs that track by these rules.
    pub(crate) fn load(rules: RuleSet, buckets: u32) -> Self {
        let object = match rules {
            RuleSet::Default => DEFAULT,
            RuleSet::Cilium18 => CILIUM_18,
            RuleSet::Cilium119 => CILIUM_119,
        };
        let mut options = Options::new(Settings::default(), buckets, Seed::from_u64(SEED));
        options.clock_is_set = true;
        options.object = Some(object);
        let mut kernel = Kernel::load(&options).unwrap_or_else(|error| panic!("{error}"));
        let call = match kernel.map_mut("CALL") {
            Ok(Map::Array(data)) => Words::shared(data.fd(), CALL_WORDS * 8),
            other => panic!("CALL: {other:?}"),
        };
        Self {
            call: call.unwrap_or_else(|error| panic!("CALL: {error}")),
            kernel,
            fragments: false,
        }
    }

    /// Plays scenarios, and counts what is played otherwise.
    pub(crate) fn driver<'p>(&'p mut self, otherwise: &'p mut Otherwise) -> InKernel<'p> {
        InKernel {
            programs: self,
            otherwise,
        }
    }

    fn set(&self, at: usize, value: u64) {
        self.call[at / 8].store(value, Relaxed);
    }

    fn get(&self, at: usize) -> u64 {
        self.call[at / 8].load(Relaxed)
    }

    fn set_all(&self, at: usize, values: &[u64]) {
        for (word, value) in self.call[at / 8..].iter().zip(values) {
            word.store(*value, Relaxed);
        }
    }

    fn get_all<const N: usize>(&self, at: usize) -> [u64; N] {
        std::array::from_fn(|index| self.get(at + 8 * index))
    }

    fn set_state(&self, state: Option<&State>) {
        self.set(offset_of!(Call, has_state), u64::from(state.is_some()));
        let words = state_words(&state.copied().unwrap_or_default());
        self.set_all(offset_of!(Call, state), &words);
    }

    fn set_tuple(&self, tuple: &Tuple) {
        self.set_all(offset_of!(Call, tuple), &tuple.words());
    }

    fn tuple(&self) -> Tuple {
        Tuple::from_words(self.get_all(offset_of!(Call, tuple)))
    }

    fn set_direction(&self, direction: Direction) {
        let direction = match direction {
            Direction::Egress => direction::EGRESS,
            Direction::Ingress => direction::INGRESS,
            Direction::Service => direction::SERVICE,
            Direction::Forwarded => panic!("no scenario has forwarded packets"),
        };
        self.set(offset_of!(Call, direction), direction);
    }

    /// Has a program answer the call at a time.
    fn run(&mut self, program: &str, packet: &[u8], now: Instant) -> Result<(), Error> {
        self.set(offset_of!(Call, failed), UNANSWERED);
        let clock = now.ticks.checked_mul(NANOSECONDS);
        let clock = clock.unwrap_or_else(|| panic!("{} seconds: beyond the clock", now.ticks));
        self.kernel
            .set_clock(clock)
            .and_then(|()| {
                let program = self.kernel.program_named(program)?;
                let options = TestRunOptions {
                    data_in: Some(packet),
                    ..TestRunOptions::default()
                };
                let run = program.test_run(options);
                Ok(run.unwrap_or_else(|error| panic!("{error}: {packet:02x?}")))
            })
            .unwrap_or_else(|error| panic!("{error}"));
        match self.get(offset_of!(Call, failed)) {
            0 => Ok(()),
            UNANSWERED => panic!("the program {program} gave up"),
            error => match Error::ALL.get(error as usize - 1) {
                Some(Error::NotCreated(_)) => Err(Error::NotCreated(self.refusal())),
                Some(error) => Err(*error),
                None => panic!("{error}: no error of the core"),
            },
        }
    }

    fn refusal(&self) -> Refusal {
        match self.get(offset_of!(Call, refusal)) {
            refusal::FULL => Refusal::Full,
            refusal::CONTENDED => Refusal::Contended,
            number => Refusal::Other((number as u32).cast_signed()),
        }
    }

    /// First fragments: those that the map has.
    fn first_fragments(&mut self) -> HashMap<&mut MapData, [u64; 5], [u64; 2]> {
        let map = self.kernel.map_mut("FIRST_FRAGMENTS");
        map.unwrap_or_else(|error| panic!("{error}"))
            .try_into()
            .unwrap_or_else(|error| panic!("FIRST_FRAGMENTS: {error}"))
    }
}

/// The programs as what plays a scenario.
pub(crate) struct InKernel<'p> {
    programs: &'p mut Programs,
    otherwise: &'p mut Otherwise,
}

/// What a program runs with that needs no packet.
const EMPTY: [u8; 64] = [0; 64];

impl Driver for InKernel<'_> {
    fn begin(&mut self, settings: &Settings, fragments: bool) {
        let programs = &mut *self.programs;
        programs.kernel.configure(settings);
        for (handle, ..) in programs.kernel.table().iter() {
            assert!(
                programs.kernel.table().remove(&handle, 0),
                "nobody else is here"
            );
        }
        let mut known = programs.first_fragments();
        let keys: Vec<_> = known.keys().filter_map(Result::ok).collect();
        for key in keys {
            known
                .remove(&key)
                .unwrap_or_else(|error| panic!("FIRST_FRAGMENTS: {error}"));
        }
        programs.set(offset_of!(Call, fail_in), 0);
        programs.set(offset_of!(Call, fragments), u64::from(fragments));
        programs.fragments = fragments;
    }

    fn lookup(
        &mut self,
        frame: &[u8],
        family: Family,
        request: &Request,
        given: Option<&mut State>,
    ) -> Result<Looked, Error> {
        let packet = Packet::of(frame);
        self.otherwise.count(if packet.start != 0 {
            Some(Why::Short)
        } else if packet.grows() {
            Some(Why::Long)
        } else {
            None
        });
        let programs = &mut *self.programs;
        programs.set_direction(request.direction);
        let scope = match request.scope {
            Scope::Forward => scope::FORWARD,
            Scope::Reverse => scope::REVERSE,
            Scope::Both => scope::BOTH,
        };
        programs.set(offset_of!(Call, scope), scope);
        programs.set(offset_of!(Call, kinds), u64::from(request.kinds.0));
        let forget = u64::from(request.forget_related);
        programs.set(offset_of!(Call, forget_related), forget);
        let family = if family == Family::V4 { 4 } else { 6 };
        programs.set(offset_of!(Call, family), family);
        programs.set(offset_of!(Call, start), packet.start as u64);
        programs.set(offset_of!(Call, whole), packet.whole as u64);
        programs.set(offset_of!(Call, length), request.length);
        programs.set_state(given.as_deref());
        programs.run("lookup", &packet.bytes, request.now)?;
        if let Some(given) = given {
            *given = state(&programs.get_all::<STATE_WORDS>(offset_of!(Call, state)));
        }
        let monitor = programs.get(offset_of!(Call, monitor));
        Ok(Looked {
            status: match programs.get(offset_of!(Call, status)) {
                0 => Status::New,
                1 => Status::Established,
                2 => Status::Reply,
                3 => Status::Related,
                other => panic!("{other}: no status"),
            },
            monitor: (monitor != NONE).then_some(monitor as u32),
            tuple: programs.tuple(),
        })
    }

    fn create(&mut self, tuple: &mut Tuple, creation: &Creation<'_>) -> Result<(), Error> {
        self.otherwise.count(Some(Why::NoPacket));
        let programs = &mut *self.programs;
        programs.set_direction(creation.direction);
        programs.set_state(creation.state);
        programs.set_tuple(tuple);
        programs.set(offset_of!(Call, related), u64::from(creation.related));
        programs.set(offset_of!(Call, length), creation.length);
        let created = programs.run("create", &EMPTY, creation.now);
        *tuple = programs.tuple();
        created
    }

    fn single(&mut self, tuple: &Tuple, operation: Operation, now: Instant) -> Answer {
        self.otherwise.count(Some(Why::NoPacket));
        let (number, argument) = match operation {
            Operation::KeepAlive => (operation::KEEP_ALIVE, 0),
            Operation::SetBackend(backend) => (operation::SET_BACKEND, u64::from(backend)),
            Operation::SetRevNatIndex(index) => (operation::SET_REV_NAT_INDEX, u64::from(index)),
            Operation::SetDsr(dsr) => (operation::SET_DSR, u64::from(dsr)),
            Operation::IsReply => (operation::IS_REPLY, 0),
            Operation::HasEgressEntry => (operation::HAS_EGRESS_ENTRY, 0),
            Operation::HasEgressEntryWith(flags) => {
                (operation::HAS_EGRESS_ENTRY_WITH, u64::from(flags.0))
            }
            Operation::NodePortEgress { or_dsr } => {
                (operation::NODE_PORT_EGRESS, u64::from(or_dsr))
            }
        };
        let programs = &mut *self.programs;
        programs.set_tuple(tuple);
        programs.set(offset_of!(Call, operation), number);
        programs.set(offset_of!(Call, argument), argument);
        programs.set(offset_of!(Call, index), NONE);
        programs
            .run("single", &EMPTY, now)
            .unwrap_or_else(|error| panic!("{operation:?}: {error}"));
        let index = programs.get(offset_of!(Call, index));
        Answer {
            found: programs.get(offset_of!(Call, found)) != 0,
            rev_nat_index: (index != NONE).then_some(index as u16),
        }
    }

    fn fail(&mut self, n: u32, error: i32) {
        let programs = &self.programs;
        programs.set(offset_of!(Call, fail_in), u64::from(n));
        let error = u64::from(error.cast_unsigned());
        programs.set(offset_of!(Call, fail_with), error);
    }

    fn remove(&mut self, tuple: &Tuple) {
        self.otherwise.count(Some(Why::UserSpace));
        let table = self.programs.kernel.table();
        let handle = table.find(table.hash(tuple), tuple);
        let handle = handle.expect("it was just listed");
        assert!(table.remove(&handle, 0), "nobody else is here");
    }

    fn entries(&self) -> Vec<(Tuple, Entry)> {
        let entries = self.programs.kernel.table().iter();
        entries.map(|(_, tuple, entry)| (tuple, entry)).collect()
    }

    fn fragments(&mut self) -> Vec<(FragmentKey, FragmentPorts)> {
        if !self.programs.fragments {
            return Vec::new();
        }
        let known = self.programs.first_fragments();
        let known = known.iter().map(|row| {
            let (key, ports) = row.unwrap_or_else(|error| panic!("FIRST_FRAGMENTS: {error}"));
            (fragment_key(key), fragment_ports(ports))
        });
        known.collect()
    }
}

/// The inverse of what the programs make of a key.
fn fragment_key([d0, d1, s0, s1, rest]: [u64; 5]) -> FragmentKey {
    let address = |words: [u64; 2]| {
        let octets: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
        Address::from_octets(octets.try_into().expect("two words are 16 bytes"))
    };
    let family = rest >> 40 & 0xff;
    FragmentKey {
        destination: address([d0, d1]),
        source: address([s0, s1]),
        id: rest as u32,
        protocol: (rest >> 32) as u8,
        family: if family == Family::V4 as u64 {
            Family::V4
        } else {
            Family::V6
        },
    }
}

/// The words of an [`abi::FirstFragment`](flowkeep_abi::FirstFragment).
fn fragment_ports([times, rest]: [u64; 2]) -> FragmentPorts {
    let [_, _, _, _, s0, s1, d0, d1] = times.to_ne_bytes();
    FragmentPorts {
        source: u16::from_ne_bytes([s0, s1]),
        destination: u16::from_ne_bytes([d0, d1]),
        protocol: rest as u8,
        length: (rest >> 32) as u16,
    }
}
