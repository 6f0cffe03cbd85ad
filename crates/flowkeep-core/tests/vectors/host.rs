//! The core in user space plays the steps, over a table of any kind.

use std::collections::HashMap;
use std::marker::PhantomData;

use flowkeep_core::Error;
use flowkeep_core::cilium::{Creation, State};
use flowkeep_core::entry::Entry;
use flowkeep_core::packet::{
    FragmentKey, FragmentPorts, Fragments, NoFragments, Packet, network, transport,
};
use flowkeep_core::rules::Rules;
use flowkeep_core::settings::Settings;
use flowkeep_core::tracker::{Instant, Request, Tracker};
use flowkeep_core::tuple::{Family, Tuple};

use crate::harness::{Answer, Driver, Looked, Operation};
use crate::tables::{Failing, Inspected};

/// Where the frame's IP header begins: behind an Ethernet header.
const NETWORK: usize = 14;

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

/// A tracker under the rules `R`.
pub(crate) struct Host<R, T> {
    table: Failing<T>,
    settings: Settings,
    /// `None` if they are not tracked.
    fragments: Option<FragmentMap>,
    rules: PhantomData<R>,
}

impl<R: Rules, T: Inspected> Host<R, T> {
    /// One over an empty table.
    pub(crate) fn new(table: T) -> Self {
        Self {
            table: Failing::new(table),
            settings: Settings::default(),
            fragments: None,
            rules: PhantomData,
        }
    }

    fn tracker(&self) -> Tracker<'_, R, Failing<T>> {
        Tracker::new(&self.settings, &self.table)
    }

    fn parse(&mut self, frame: &[u8], family: Family) -> Result<Packet, Error> {
        let network = network::<R, [u8]>(frame, family, NETWORK)?;
        match &mut self.fragments {
            Some(known) => transport::<R, [u8]>(frame, &network, &self.settings, known),
            None => transport::<R, [u8]>(frame, &network, &self.settings, &mut NoFragments),
        }
    }
}

impl<R: Rules, T: Inspected> Driver for Host<R, T> {
    fn begin(&mut self, settings: &Settings, fragments: bool) {
        self.settings = *settings;
        self.fragments = fragments.then(FragmentMap::default);
    }

    fn lookup(
        &mut self,
        frame: &[u8],
        family: Family,
        request: &Request,
        state: Option<&mut State>,
    ) -> Result<Looked, Error> {
        let packet = self.parse(frame, family)?;
        let verdict = self.tracker().lookup(&packet, request, state);
        match verdict.reason {
            Some(reason) => Err(reason),
            None => Ok(Looked {
                status: verdict.status,
                monitor: verdict.monitor,
                tuple: verdict.tuple(&packet, request),
            }),
        }
    }

    fn create(&mut self, tuple: &mut Tuple, creation: &Creation<'_>) -> Result<(), Error> {
        self.tracker().create(tuple, creation).map(|_| ())
    }

    fn single(&mut self, tuple: &Tuple, operation: Operation, now: Instant) -> Answer {
        let tracker = self.tracker();
        let found = match operation {
            Operation::KeepAlive => tracker.keep_alive(tuple, now),
            Operation::SetBackend(backend) => tracker.update_backend(tuple, backend),
            Operation::SetRevNatIndex(index) => tracker.update_rev_nat_index(tuple, index),
            Operation::SetDsr(dsr) => tracker.update_dsr(tuple, dsr),
            Operation::IsReply => tracker.is_reply(tuple),
            Operation::HasEgressEntry => tracker.has_egress_entry(tuple),
            Operation::HasEgressEntryWith(flags) => tracker.has_egress_entry_with(tuple, flags),
            Operation::NodePortEgress { or_dsr } => {
                let query = tracker.node_port_egress(tuple, or_dsr);
                return Answer {
                    found: query.found,
                    rev_nat_index: query.rev_nat_index,
                };
            }
        };
        Answer {
            found,
            rev_nat_index: None,
        }
    }

    fn fail(&mut self, n: u32, error: i32) {
        self.table.countdown.set(n);
        self.table.error.set(error);
    }

    fn remove(&mut self, tuple: &Tuple) {
        self.table.table.remove(tuple);
    }

    fn entries(&self) -> Vec<(Tuple, Entry)> {
        self.table.table.dump()
    }

    fn fragments(&mut self) -> Vec<(FragmentKey, FragmentPorts)> {
        let known = self.fragments.iter().flat_map(|known| &known.0);
        known.map(|(key, ports)| (*key, *ports)).collect()
    }
}
