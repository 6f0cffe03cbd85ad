//! The programs, their table, and a clock that only the tests move.

use std::collections::HashMap;
use std::time::Duration;

use aya::programs::{SchedClassifier, TestRun, TestRunOptions};
use flowkeep_bpf::{Device, Hook, Kernel, Options};
use flowkeep_core::entry::Entry;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{Seed, Statistic};
use flowkeep_core::tuple::Tuple;

use crate::packets::ClientNumber;
use crate::pair::Processors;
use flowkeep_lab::{Missing, can_load, skip};

const SECOND: u64 = 1_000_000_000;
/// What happens before the pairs happens so many seconds earlier.
const LATER: u64 = 7;

/// The programs and their table.
pub(crate) struct Arena {
    kernel: Kernel,
    programs: HashMap<Hook, SchedClassifier>,
    pub(crate) processors: Processors,
    /// The second in which the connections of this batch begin.
    began: u64,
}

/// What became of one connection: its entries, without what names the client, with times in seconds
/// since the batch began, and without the times of reports. Those decide only how soon a packet is
/// reported again.
pub(crate) type Outcome = Vec<(Tuple, Entry)>;

impl Arena {
    /// `None`, and a word about it, where programs can't be loaded or there is one processor.
    pub(crate) fn new(buckets: u32) -> Option<Self> {
        if !can_load() {
            return None;
        }
        let Some(processors) = Processors::two() else {
            skip(&Missing::new("one processor", "run it on two"));
            return None;
        };
        let mut options = Options::new(Settings::default(), buckets, seed());
        options.clock_is_set = true;
        let mut kernel = Kernel::load(&options).unwrap_or_else(|error| panic!("{error}"));
        let programs = Hook::ALL.map(|hook| {
            let program = kernel.program(hook, Device::Ethernet);
            let info = program.unwrap_or_else(|error| panic!("{error}")).info();
            let info = info.unwrap_or_else(|error| panic!("{error}"));
            let name = hook.name().into();
            let shared = SchedClassifier::from_program_info(info, name);
            (hook, shared.unwrap_or_else(|error| panic!("{error}")))
        });
        let mut arena = Self {
            kernel,
            programs: programs.into(),
            processors,
            began: 0,
        };
        arena.next_batch();
        Some(arena)
    }

    pub(crate) const fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Shows a hook's program a packet, `repeat` times in a row. How long it ran, all in all.
    pub(crate) fn show(&self, hook: Hook, frame: &[u8], repeat: u32) -> Duration {
        let run = self.programs[&hook].test_run(TestRunOptions {
            data_in: Some(frame),
            repeat,
            ..TestRunOptions::default()
        });
        run.unwrap_or_else(|error| panic!("{error}")).duration * repeat
    }

    /// Removes all connections, and goes on to the next batch.
    pub(crate) fn next_batch(&mut self) {
        let table = self.kernel.table();
        for (handle, ..) in table.iter() {
            assert!(table.remove(&handle, self.now()), "nobody else does");
        }
        self.next_time();
    }

    /// The second in which the pairs happen, or later.
    pub(crate) const fn now(&self) -> u32 {
        (self.began + LATER) as u32
    }

    /// The time at which the connections of the next batch begin.
    pub(crate) fn next_time(&mut self) {
        self.began += 1_000;
        self.set_clock(self.began);
    }

    /// The time of the pairs.
    pub(crate) fn later(&mut self) {
        self.set_clock(self.began + LATER);
    }

    fn set_clock(&mut self, seconds: u64) {
        self.kernel
            .set_clock(seconds * SECOND)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// What became of each connection, by its client.
    pub(crate) fn outcomes(&self) -> HashMap<ClientNumber, Outcome> {
        let mut outcomes: HashMap<ClientNumber, Outcome> = HashMap::new();
        for (_, tuple, entry) in self.kernel.table().iter() {
            let (client, tuple) = ClientNumber::taken_out(&tuple).expect("all have one");
            let entries = outcomes.entry(client).or_default();
            entries.push((tuple, self.relative(entry)));
        }
        for entries in outcomes.values_mut() {
            entries.sort_unstable_by_key(|(tuple, _)| *tuple);
        }
        outcomes
    }

    fn relative(&self, mut entry: Entry) -> Entry {
        let progress = &mut entry.progress;
        progress.lifetime = progress.lifetime.wrapping_sub(self.began as u32);
        (progress.last_tx_report, progress.last_rx_report) = (0, 0);
        for ticks in [&mut entry.created, &mut entry.last_seen] {
            *ticks = ticks.wrapping_sub(self.began * SECOND);
        }
        entry
    }

    pub(crate) fn statistic(&self, statistic: Statistic) -> u64 {
        let counted = self.kernel.statistic(statistic);
        counted.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The seed of every table.
pub(crate) const fn seed() -> Seed {
    Seed::from_u64(11)
}

/// The lifetime of an entry of an [`Outcome`] that was given this timeout by a pair's packet.
pub(crate) const fn lives(timeout: u32) -> u32 {
    LATER as u32 + timeout
}

/// What is different between what became of a connection and what should have: the fewest words
/// that tell one kind of loss from another.
pub(crate) fn difference(left: &Outcome, right: &Outcome) -> String {
    let ([(tuple, entry)], [(other_tuple, other)]) = (&left[..], &right[..]) else {
        return format!("{} entries", left.len());
    };
    let progress = (&entry.progress, &other.progress);
    let differences = [
        (tuple != other_tuple, "direction"),
        (
            (entry.tx.packets, entry.rx.packets) != (other.tx.packets, other.rx.packets),
            "packets",
        ),
        (
            (entry.tx.bytes, entry.rx.bytes) != (other.tx.bytes, other.rx.bytes),
            "bytes",
        ),
        (progress.0.entry_flags != progress.1.entry_flags, "flags"),
        (
            (progress.0.tx_flags, progress.0.rx_flags)
                != (progress.1.tx_flags, progress.1.rx_flags),
            "TCP flags",
        ),
        (progress.0.lifetime != progress.1.lifetime, "lifetime"),
        (
            (entry.created, entry.last_seen) != (other.created, other.last_seen),
            "times",
        ),
    ];
    let words = differences.into_iter().filter(|(differs, _)| *differs);
    let words: Vec<&str> = words.map(|(_, word)| word).collect();
    format!("wrong {}", words.join(", "))
}
