//! The core in user space and in the kernel play the same steps: under Flowkeep's own rules, by which
//! nothing is recorded, the one is what the other is held to.

use std::fmt::Debug;

use flowkeep_core::Error;
use flowkeep_core::cilium::{Creation, State};
use flowkeep_core::entry::Entry;
use flowkeep_core::packet::{FragmentKey, FragmentPorts};
use flowkeep_core::rules;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::KernelBounds;
use flowkeep_core::tracker::{Instant, Request};
use flowkeep_core::tuple::{Family, Tuple};

use crate::harness::{Answer, Driver, Looked, Operation};
use crate::host::Host;
use crate::kernel::{InKernel, NANOSECONDS, SEED};
use crate::memory::plain_table;
use crate::tables::OwnTable;

/// Both, with tables of the same size.
pub(crate) struct Both<'p> {
    kernel: InKernel<'p>,
    host: Host<rules::Default, OwnTable<KernelBounds>>,
    difference: Option<String>,
}

impl<'p> Both<'p> {
    pub(crate) fn new(kernel: InKernel<'p>, buckets: u32) -> Self {
        Self {
            kernel,
            host: Host::new(plain_table(buckets as usize, SEED)),
            difference: None,
        }
    }

    /// The first difference between them is an error.
    pub(crate) fn result(self) -> Result<(), String> {
        self.difference.map_or(Ok(()), Err)
    }

    /// Compares what came of a step, and everything that it left.
    fn compare<T: Debug + PartialEq>(&mut self, what: &str, kernel: &T, host: &T) {
        self.same(what, kernel, host);
        let sorted = |mut entries: Vec<(Tuple, Entry)>| {
            entries.sort_by_key(|(tuple, _)| tuple.words());
            entries
        };
        let (kernel, host) = (sorted(self.kernel.entries()), sorted(self.host.entries()));
        self.same(&format!("the table after {what}"), &kernel, &host);
        let sorted = |mut known: Vec<(FragmentKey, FragmentPorts)>| {
            known.sort_by_key(|(key, _)| format!("{key:?}"));
            known
        };
        let (kernel, host) = (
            sorted(self.kernel.fragments()),
            sorted(self.host.fragments()),
        );
        self.same(&format!("the fragments after {what}"), &kernel, &host);
    }

    fn same<T: Debug + PartialEq>(&mut self, what: &str, kernel: &T, host: &T) {
        if kernel != host && self.difference.is_none() {
            self.difference = Some(format!("{what}: kernel {kernel:?}, host {host:?}"));
        }
    }
}

/// The same time, in the ticks that the programs count.
const fn in_nanoseconds(now: Instant) -> Instant {
    Instant {
        ticks: now.ticks * NANOSECONDS,
        ..now
    }
}

impl Driver for Both<'_> {
    fn begin(&mut self, settings: &Settings, fragments: bool) {
        self.kernel.begin(settings, fragments);
        self.host.begin(settings, fragments);
    }

    fn lookup(
        &mut self,
        frame: &[u8],
        family: Family,
        request: &Request,
        mut state: Option<&mut State>,
    ) -> Result<Looked, Error> {
        let mut copy = state.as_deref().copied();
        let kernel = self.kernel.lookup(frame, family, request, copy.as_mut());
        let request = Request {
            now: in_nanoseconds(request.now),
            ..*request
        };
        let host = self
            .host
            .lookup(frame, family, &request, state.as_deref_mut());
        self.compare("a look-up", &(kernel, copy), &(host, state.copied()));
        host
    }

    fn create(&mut self, tuple: &mut Tuple, creation: &Creation<'_>) -> Result<(), Error> {
        let mut copy = *tuple;
        let kernel = self.kernel.create(&mut copy, creation);
        let creation = Creation {
            now: in_nanoseconds(creation.now),
            ..*creation
        };
        let host = self.host.create(tuple, &creation);
        self.compare("a creation", &(kernel, copy), &(host, *tuple));
        host
    }

    fn single(&mut self, tuple: &Tuple, operation: Operation, now: Instant) -> Answer {
        let kernel = self.kernel.single(tuple, operation, now);
        let host = self.host.single(tuple, operation, in_nanoseconds(now));
        self.compare(&format!("{operation:?}"), &kernel, &host);
        host
    }

    fn fail(&mut self, n: u32, error: i32) {
        self.kernel.fail(n, error);
        self.host.fail(n, error);
    }

    fn remove(&mut self, tuple: &Tuple) {
        self.kernel.remove(tuple);
        self.host.remove(tuple);
    }

    fn entries(&self) -> Vec<(Tuple, Entry)> {
        self.host.entries()
    }

    fn fragments(&mut self) -> Vec<(FragmentKey, FragmentPorts)> {
        self.host.fragments()
    }
}
