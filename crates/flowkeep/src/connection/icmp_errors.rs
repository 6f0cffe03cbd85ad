//! The ICMP errors about the connections of a table, which its entries do not hold.

use std::collections::BTreeMap;

use flowkeep_core::tuple::Tuple;

use super::{FlowSummary, IcmpError};

/// ICMP errors by connection: when it began, and its tuple.
#[derive(Debug, Default)]
pub(crate) struct IcmpErrors(BTreeMap<(u64, Tuple), Vec<IcmpError>>);

impl IcmpErrors {
    /// Adds an error about a connection.
    pub(crate) fn add(&mut self, tuple: &Tuple, created: u64, error: IcmpError) {
        self.0.entry((created, *tuple)).or_default().push(error);
    }

    /// The errors about a connection, in the order in which they were added.
    pub(crate) fn about(&self, flow: &FlowSummary) -> &[IcmpError] {
        self.0
            .get(&(flow.created, flow.tuple))
            .map_or(&[], Vec::as_slice)
    }

    /// Every connection with errors: its tuple, when it began, and the errors.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Tuple, u64, &[IcmpError])> {
        let all = self.0.iter();
        all.map(|((created, tuple), errors)| (tuple, *created, errors.as_slice()))
    }
}
