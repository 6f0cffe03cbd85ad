//! What plays the steps of a scenario: a tracker, wherever it runs.

use flowkeep_core::Error;
use flowkeep_core::cilium::{Creation, State};
use flowkeep_core::entry::{Entry, EntryFlags};
use flowkeep_core::packet::{FragmentKey, FragmentPorts};
use flowkeep_core::settings::Settings;
use flowkeep_core::tracker::{Instant, Request, Status};
use flowkeep_core::tuple::{Family, Tuple};

/// A tracker under one set of rules, with its table.
///
/// In every [`Instant`] both numbers are the scenario's clock in seconds; `ticks` is not reduced
/// modulo 2^32.
pub(crate) trait Driver {
    /// Begins a scenario: the table is empty, and fragments are tracked or not.
    fn begin(&mut self, settings: &Settings, fragments: bool);

    /// Parses a frame from its Ethernet header on, as of this family whatever the header says, and
    /// looks it up. Fills `state`.
    ///
    /// # Errors
    /// Why it could not be parsed.
    fn lookup(
        &mut self,
        frame: &[u8],
        family: Family,
        request: &Request,
        state: Option<&mut State>,
    ) -> Result<Looked, Error>;

    /// Creates an entry under `tuple`, which is left as the creation leaves it.
    ///
    /// # Errors
    /// [`Error::NotCreated`].
    fn create(&mut self, tuple: &mut Tuple, creation: &Creation<'_>) -> Result<(), Error>;

    /// Does something with the entry under a tuple.
    fn single(&mut self, tuple: &Tuple, operation: Operation, now: Instant) -> Answer;

    /// Makes the `n`-th insert from now on fail with this number, once.
    fn fail(&mut self, n: u32, error: i32);

    /// Removes an entry.
    fn remove(&mut self, tuple: &Tuple);

    /// Everything in the table.
    fn entries(&self) -> Vec<(Tuple, Entry)>;

    /// The first fragments that are remembered.
    fn fragments(&mut self) -> Vec<(FragmentKey, FragmentPorts)>;
}

/// What came of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) status: Status,
    /// `None` leaves the caller's value as it is.
    pub(crate) monitor: Option<u32>,
    /// The tuple as the look-up left it.
    pub(crate) tuple: Tuple,
}

/// What is done with a single entry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    KeepAlive,
    SetBackend(u32),
    SetRevNatIndex(u16),
    SetDsr(bool),
    IsReply,
    HasEgressEntry,
    /// With any of these flags.
    HasEgressEntryWith(EntryFlags),
    NodePortEgress {
        or_dsr: bool,
    },
}

/// What an operation on a single entry answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) found: bool,
    /// Of a node-port query only.
    pub(crate) rev_nat_index: Option<u16>,
}
