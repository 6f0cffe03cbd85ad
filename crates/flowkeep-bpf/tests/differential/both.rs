//! Two trackers side by side.

use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::sync::atomic::AtomicU64;

use aya::programs::{TestRun, TestRunOptions};
use flowkeep_bpf::{Device, Hook, Kernel, Options};
use flowkeep_core::Error;
use flowkeep_core::entry::Entry;
use flowkeep_core::packet::{FragmentKey, FragmentPorts, Fragments, FromWire, LinkType};
use flowkeep_core::rules::{self, RuleSet, Rules};
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{BucketTable, KernelBounds, Memory, Seed, Statistic};
use flowkeep_core::tracker::{Context, Direction, Instant, Tracker};
use flowkeep_core::tuple::Tuple;
use flowkeep_lab::can_load;

use crate::memory::Owned;

const SECOND: u64 = 1_000_000_000;
/// Of both tables.
const SEED: u64 = 7;

/// Memory whose table is bounded as the programs' is.
type AsInKernel = Owned<AtomicU64, true, KernelBounds>;

/// Both track by the rules `R`.
pub(crate) struct Both<R> {
    kernel: Kernel,
    host: BucketTable<AsInKernel>,
    fragments: FirstFragments,
    settings: Settings,
    errors: HashMap<usize, u64>,
    seconds: u64,
    rules: PhantomData<R>,
}

impl Both<rules::Default> {
    /// By Flowkeep's own rules.
    pub(crate) fn new(buckets: u32) -> Option<Self> {
        Self::with(RuleSet::Default, buckets)
    }
}

impl<R: Rules> Both<R> {
    /// By the rules `R`, of which `rules` is the value. `None`, and a word about it, where programs
    /// can't be loaded.
    pub(crate) fn with(rules: RuleSet, buckets: u32) -> Option<Self> {
        let settings = Settings::default();
        let mut options = Options::new(settings, buckets, Seed::from_u64(SEED));
        options.rules = Some(rules);
        options.clock_is_set = true;
        if !can_load() {
            return None;
        }
        let kernel = Kernel::load(&options).unwrap_or_else(|error| panic!("{error}"));
        let mut both = Self {
            kernel,
            host: BucketTable::new(AsInKernel::new(buckets as usize, SEED)),
            fragments: FirstFragments::default(),
            settings,
            errors: HashMap::new(),
            seconds: 0,
            rules: PhantomData,
        };
        both.set_clock(1_000);
        Some(both)
    }

    pub(crate) fn set_clock(&mut self, seconds: u64) {
        self.seconds = seconds;
        self.kernel
            .set_clock(seconds * SECOND)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Shows both a packet.
    pub(crate) fn see(&mut self, hook: Hook, device: Device, frame: &[u8]) {
        if !can_run(frame) {
            return;
        }
        let program = self
            .kernel
            .program(hook, device)
            .unwrap_or_else(|error| panic!("{error}"));
        let mut after = vec![0; frame.len()];
        let result = program
            .test_run(TestRunOptions {
                data_in: Some(frame),
                data_out: Some(&mut after),
                ..TestRunOptions::default()
            })
            .unwrap_or_else(|error| panic!("{error}: {frame:02x?}"));
        assert_eq!(result.return_value, u32::MAX, "left to whoever comes next");
        assert_eq!(after, frame, "left as it was");
        if let Err(error) = self.see_here(hook, device, frame) {
            *self.errors.entry(error.index()).or_default() += 1;
        }
    }

    fn see_here(&mut self, hook: Hook, device: Device, frame: &[u8]) -> Result<(), Error> {
        let link_type = match device {
            Device::Ethernet => LinkType::Ethernet,
            Device::Ip => LinkType::RawIp,
        };
        let direction = match hook {
            Hook::Ingress => Direction::Ingress,
            Hook::Egress => Direction::Egress,
            Hook::Forward => Direction::Forwarded,
        };
        let now = Instant {
            seconds: self.seconds as u32,
            ticks: self.seconds * SECOND,
        };
        self.fragments.seconds = self.seconds;
        let context = Context::new(link_type, direction, frame.len() as u32, now);
        let tracker: Tracker<'_, R, _> = Tracker::new(&self.settings, &self.host);
        let verdict = tracker.track(&FromWire(frame), &context, &mut self.fragments);
        match verdict.reason {
            None => Ok(()),
            Some(reason) => Err(reason),
        }
    }

    /// Holds the kernel's entries and counters to the host's.
    pub(crate) fn compare(&self) {
        let (kernel, host) = (self.dump(self.kernel.table()), self.dump(&self.host));
        for (tuple, entry) in &host {
            assert_eq!(kernel.get(tuple), Some(entry), "{tuple:?}");
        }
        assert_eq!(kernel.len(), host.len(), "{kernel:#?}");
        for error in Error::ALL {
            let here = self.errors(error);
            let there = self
                .kernel
                .errors(error)
                .unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(there, here, "{error}");
        }
    }

    /// Holds what the kernel's table has counted to what the host's has. How often each happened.
    pub(crate) fn compare_statistics(&self) -> [u64; Statistic::ALL.len()] {
        Statistic::ALL.map(|statistic| {
            let here = self.host.memory().counted(statistic);
            let there = self.kernel.statistic(statistic);
            let there = there.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(there, here, "{}", statistic.name());
            here
        })
    }

    /// How often a packet was not tracked for this.
    pub(crate) fn errors(&self, error: Error) -> u64 {
        self.errors.get(&error.index()).copied().unwrap_or(0)
    }

    pub(crate) fn entries(&self) -> usize {
        self.dump(&self.host).len()
    }

    /// Where nothing finds what has expired, that is left out.
    fn dump<M: Memory>(&self, table: &BucketTable<M>) -> BTreeMap<Tuple, Entry> {
        let now = self.seconds as u32;
        table
            .iter()
            .filter(|(_, _, entry)| !R::EXPIRED_IS_MISS || !entry.progress.expired(now))
            .map(|(_, tuple, entry)| (tuple, entry))
            .collect()
    }
}

/// Whether the kernel's test runs take a frame: it has to hold the Ethernet header, and the IP
/// header that this announces.
fn can_run(frame: &[u8]) -> bool {
    let shortest = match frame.get(12..14) {
        Some([0x08, 0x00]) => 14 + 20,
        Some([0x86, 0xdd]) => 14 + 40,
        _ => 14 + 1,
    };
    frame.len() >= shortest
}

/// First fragments, as the kernel's programs remember them.
#[derive(Default)]
struct FirstFragments {
    seconds: u64,
    known: HashMap<FragmentKey, (u64, FragmentPorts)>,
}

impl Fragments for FirstFragments {
    fn record(&mut self, key: &FragmentKey, ports: FragmentPorts) {
        self.known.insert(*key, (self.seconds, ports));
    }

    fn ports(&mut self, key: &FragmentKey) -> Option<FragmentPorts> {
        let (seconds, ports) = *self.known.get(key)?;
        (self.seconds - seconds <= 60).then_some(ports)
    }
}
