//! What takes part in the comparison.

use std::ops::Add;

use flowkeep_core::tracker::Status;

use super::input::Sent;

/// A table that holds the connections.
pub(super) trait Contender {
    /// Looks up packets, the first of which has this number, and touches what they find.
    fn look_up(&mut self, packets: &[Sent], number: u64) -> Tally;
}

/// What came of look-ups: it has to be the same for everyone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) established: u64,
    pub(super) replies: u64,
}

impl Tally {
    /// What a table that knows every connection comes to.
    pub(super) fn expected(packets: &[Sent]) -> Self {
        let replies = packets.iter().filter(|sent| sent.reply).count() as u64;
        Self {
            established: packets.len() as u64 - replies,
            replies,
        }
    }

    #[inline(always)]
    pub(super) fn count(&mut self, status: Status) {
        self.established += u64::from(status == Status::Established);
        self.replies += u64::from(status == Status::Reply);
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            established: self.established + other.established,
            replies: self.replies + other.replies,
        }
    }
}
