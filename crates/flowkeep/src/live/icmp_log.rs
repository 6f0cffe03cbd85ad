//! The ICMP errors about live connections, which the table does not store.

use std::collections::{HashMap, hash_map};

use flowkeep_core::tuple::Tuple;

use crate::connection::IcmpError;

/// The ICMP errors that were seen, by connection: its tuple, and when it began.
#[derive(Debug, Default)]
pub(super) struct IcmpLog {
    errors: HashMap<(Tuple, u64), Vec<IcmpError>>,
}

/// How many connections errors are kept for. With [`MAX_ERRORS`] it bounds the memory that a flood
/// of errors can take.
const MAX_CONNECTIONS: usize = 65_536;
/// How many errors about a connection are kept: the latest ones.
const MAX_ERRORS: usize = 16;

impl IcmpLog {
    /// Adds an error, and returns all about its connection, the latest last.
    pub(super) fn add(&mut self, tuple: &Tuple, created: u64, error: IcmpError) -> Vec<IcmpError> {
        let known = self.errors.len();
        match self.errors.entry((*tuple, created)) {
            hash_map::Entry::Vacant(_) if known >= MAX_CONNECTIONS => vec![error],
            errors => {
                let errors = errors.or_default();
                if errors.len() >= MAX_ERRORS {
                    errors.remove(0);
                }
                errors.push(error);
                errors.clone()
            }
        }
    }

    /// The errors about a connection.
    pub(super) fn about(&self, tuple: &Tuple, created: u64) -> Vec<IcmpError> {
        let errors = self.errors.get(&(*tuple, created));
        errors.cloned().unwrap_or_default()
    }

    /// Removes and returns the errors about a connection.
    pub(super) fn take(&mut self, tuple: &Tuple, created: u64) -> Vec<IcmpError> {
        self.errors.remove(&(*tuple, created)).unwrap_or_default()
    }

    /// Whether there are none.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use flowkeep_core::tuple::Flags;

    use super::*;
    use crate::connection::Timestamp;

    #[test]
    fn a_flood_of_icmp_errors_takes_little_memory() {
        let error = |number| IcmpError {
            time: Timestamp(number),
            sender: [192, 0, 2, 1].into(),
            icmp_type: 3,
            code: 1,
        };
        let mut log = IcmpLog::default();
        let any = Default::default();
        let tuple = Tuple::new(any, any, 40_000, 53, 17, Flags::OUT);
        for number in 1..=2 * MAX_CONNECTIONS as u64 {
            log.add(&tuple, number, error(number));
            log.add(&tuple, 1, error(number));
        }
        assert_eq!(log.errors.len(), MAX_CONNECTIONS);
        let about = log.about(&tuple, 1);
        assert_eq!(about.len(), MAX_ERRORS);
        assert_eq!(about.last(), Some(&error(2 * MAX_CONNECTIONS as u64)));
    }
}
