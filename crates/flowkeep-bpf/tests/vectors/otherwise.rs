//! Steps that are not played by a test run of just their frame, and why.

use std::fmt;

/// Why a step is played otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Why {
    /// Its frame is too short for a test run.
    Short,
    /// Its frame is too long for a test run.
    Long,
    /// It has no packet.
    NoPacket,
    /// User space does it.
    UserSpace,
}

impl Why {
    const ALL: [Self; 4] = [Self::Short, Self::Long, Self::NoPacket, Self::UserSpace];

    const fn describe(self) -> &'static str {
        match self {
            Self::Short => {
                "look-ups of frames shorter than a test run takes (an Ethernet header and a byte, \
                 or the IP header that it announces): the program reads the frame behind 16 others"
            }
            Self::Long => {
                "look-ups of frames longer than a test run takes: the program adds the zeros at \
                 their end before it reads, up to 16,000 bytes, and counts those of the frame"
            }
            Self::NoPacket => {
                "creations and single-entry operations, which have no packet: the program runs \
                 with an empty one, and the creation counts the length of the look-up before"
            }
            Self::UserSpace => {
                "removals of expired entries: by user space in the mapped table, as the sweep \
                 does it"
            }
        }
    }
}

/// How many steps were played otherwise, in how many scenarios.
#[derive(Default)]
pub(crate) struct Otherwise {
    scenario: usize,
    /// How many; in how many scenarios, and the last of them.
    counted: [(u64, u64, usize); Why::ALL.len()],
    as_they_are: u64,
}

impl Otherwise {
    /// A scenario begins.
    pub(crate) fn begin(&mut self) {
        self.scenario += 1;
    }

    /// A step is played like this, or else by a test run of just its frame.
    pub(crate) fn count(&mut self, why: Option<Why>) {
        let Some(why) = why else {
            self.as_they_are += 1;
            return;
        };
        let (steps, scenarios, last) = &mut self.counted[why as usize];
        *steps += 1;
        *scenarios += u64::from(*last != self.scenario);
        *last = self.scenario;
    }
}

impl fmt::Display for Otherwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "each scenario twice: {} look-ups by a test run of just their frame; and otherwise:",
            self.as_they_are
        )?;
        for why in Why::ALL {
            let (steps, scenarios, _) = self.counted[why as usize];
            writeln!(f, "  {steps} in {scenarios} scenarios: {}", why.describe())?;
        }
        Ok(())
    }
}
