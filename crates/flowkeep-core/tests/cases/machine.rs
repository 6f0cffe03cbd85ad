//! The machine as a tracker of one flow: what is remembered between two packets are the words of
//! a record, and nothing else.

use std::collections::HashMap;

use flowkeep_core::packet::{self, LinkType, NoFragments};
use flowkeep_core::protocol::tcp::{Mode, Policy, Reason, Segment, Seq, Timeouts, Verdict};
use flowkeep_core::rules::Default as Rules;
use flowkeep_core::settings::Settings;

use crate::decode::{Decoded, decode};
use crate::flow::Flow;
use crate::states;
use crate::tracker::{self, Entry, Host, Tracker, timeout};

/// In milliseconds.
const TIMEOUTS: Timeouts = Timeouts {
    syn_sent: timeout::SYN as u32 * 1000,
    syn_recv: timeout::SYN_RECV as u32 * 1000,
    established: timeout::ESTABLISHED as u32 * 1000,
    fin_wait: timeout::FIN_WAIT as u32 * 1000,
    half_closed: timeout::HALF_CLOSED as u32 * 1000,
    last_ack: timeout::LAST_ACK as u32 * 1000,
    time_wait: timeout::TIME_WAIT as u32 * 1000,
    closed: timeout::CLOSE as u32 * 1000,
    unanswered: timeout::AT_MOST as u32 * 1000,
};

pub(crate) struct MachineTracker {
    policy: Policy,
    flow: Flow,
    counted: HashMap<&'static str, u64>,
}

impl MachineTracker {
    pub(crate) fn new() -> Self {
        Self {
            policy: Policy::default(),
            flow: Flow::new(TIMEOUTS),
            counted: HashMap::new(),
        }
    }

    fn invalid(&mut self, reason: &'static str) -> &'static str {
        *self.counted.entry(reason).or_default() += 1;
        "invalid"
    }
}

fn parsed(frame: &[u8]) -> Option<Segment> {
    let (link, settings) = (LinkType::Ethernet, Settings::default());
    let packet = packet::parse::<Rules, _>(frame, link, &settings, &mut NoFragments).ok()?;
    let layout = packet.layout;
    let end = layout.start + layout.length as usize;
    Segment::parse(frame, layout.transport, end).ok()
}

impl Tracker for MachineTracker {
    fn name(&self) -> &'static str {
        "machine"
    }

    fn reset(&mut self, mode: tracker::Mode) {
        self.policy = Policy {
            mode: match mode {
                tracker::Mode::Strict | tracker::Mode::LooseOff => Mode::Strict,
                tracker::Mode::Liberal => Mode::Liberal,
                tracker::Mode::OneWay => Mode::OneWay,
            },
            loose: mode != tracker::Mode::LooseOff,
            ..Policy::default()
        };
        self.flow = Flow::new(TIMEOUTS);
    }

    fn track(&mut self, frame: &[u8], now: u64) -> &'static str {
        let from = match decode(frame) {
            Decoded::Segment(segment) => segment.from,
            Decoded::Checksum => return self.invalid("checksum"),
            Decoded::QuotesUnknown => return self.invalid("icmp_unknown"),
            Decoded::Quotes { from, seq } => {
                let related = self.flow.quote_fits(from, Seq(seq));
                return if related {
                    "related"
                } else {
                    self.invalid("icmp_unknown")
                };
            }
            Decoded::Short => {
                assert!(
                    parsed(frame).is_none(),
                    "the parser reads what is cut short"
                );
                return self.invalid("short");
            }
        };
        let segment = parsed(frame).expect("a header that another parser reads");
        let now = u32::try_from(now).expect("cases last less than 49 days");
        let judgement = self.flow.track(&segment, from, &self.policy, now);
        if judgement.reason != Reason::None {
            *self.counted.entry(judgement.reason.name()).or_default() += 1;
        }
        match judgement.verdict {
            Verdict::New => "new",
            Verdict::Established => "established",
            Verdict::Reply => "reply",
            Verdict::Invalid => "invalid",
        }
    }

    fn counted(&self, reason: &str) -> u64 {
        self.counted.get(reason).copied().unwrap_or(0)
    }

    fn entry(&self) -> Option<Entry> {
        let (connection, originator, expires) = self.flow.entry()?;
        Some(Entry {
            state: connection.state.name(),
            expires: u64::from(expires),
            originator: match originator {
                states::Host::Client => Host::Client,
                states::Host::Server => Host::Server,
            },
            assured: connection.assured,
        })
    }

    fn entries(&self) -> usize {
        usize::from(self.flow.entry().is_some())
    }
}
