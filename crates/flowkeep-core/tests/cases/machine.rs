//! The machine as a tracker of one flow: what is remembered between two packets are the words of
//! a record, and nothing else.

use std::collections::HashMap;

use flowkeep_core::packet::{self, LinkType};
use flowkeep_core::protocol::tcp::{
    Connection, Fate, Mode, Policy, Reason, Segment, Seq, State, Timeouts, Verdict, Words,
};
use flowkeep_core::rules::Default as Rules;
use flowkeep_core::tuple::Family;

use crate::decode::{Decoded, decode};
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

/// A record, as far as the machine needs one.
struct Record {
    words: Words,
    state_bits: u8,
    generation: u8,
    originator: Host,
    expires: u32,
}

impl Record {
    fn seen_from(&self, host: Host) -> Connection {
        self.words
            .unpack(self.state_bits, self.generation, self.originator == host)
            .expect("nobody else owns the record")
    }
}

pub(crate) struct MachineTracker {
    policy: Policy,
    record: Option<Record>,
    generation: u8,
    counted: HashMap<&'static str, u64>,
}

impl MachineTracker {
    pub(crate) fn new() -> Self {
        Self {
            policy: Policy::default(),
            record: None,
            generation: 0,
            counted: HashMap::new(),
        }
    }

    fn invalid(&mut self, reason: &'static str) -> &'static str {
        *self.counted.entry(reason).or_default() += 1;
        "invalid"
    }

    fn segment(&mut self, segment: &Segment, from: Host, now: u32) -> Verdict {
        if self
            .record
            .as_ref()
            .is_some_and(|record| record.expires < now)
        {
            self.record = None;
        }
        let mut connection = Connection::EMPTY;
        let judgement = match &self.record {
            None => connection.begin(segment, &self.policy),
            Some(record) => {
                connection = record.seen_from(from);
                connection.judge(segment, &self.policy)
            }
        };
        if judgement.reason != Reason::None {
            *self.counted.entry(judgement.reason.name()).or_default() += 1;
        }
        let mut originator = self.record.as_ref().map(|record| record.originator);
        match judgement.fate {
            Fate::Remove => {
                self.record = None;
                return judgement.verdict;
            }
            Fate::Begin => {
                self.generation = self.generation.wrapping_add(1);
                originator = Some(if connection.by_originator {
                    from
                } else {
                    from.other()
                });
            }
            Fate::Keep | Fate::Update | Fate::Rewrite => {}
        }
        if let Some(originator) = originator {
            let before = self.record.as_ref().map_or(0, |record| record.expires);
            let expires = TIMEOUTS.expires(connection.state, judgement.timeout, before, now);
            let (words, state_bits) = connection.pack(self.generation);
            self.record = Some(Record {
                words,
                state_bits,
                generation: self.generation,
                originator,
                expires,
            });
        }
        judgement.verdict
    }
}

fn parsed(frame: &[u8]) -> Option<Segment> {
    let link = packet::link(frame, LinkType::Ethernet).ok()?;
    let network = match link.family {
        Family::V4 => packet::ipv4::<Rules, _>(frame, link.network),
        Family::V6 => packet::ipv6::<Rules, _>(frame, link.network),
    }
    .ok()?;
    let end = link.network + network.length as usize;
    Segment::parse(frame, network.transport, end).ok()
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
        self.record = None;
    }

    fn track(&mut self, frame: &[u8], now: u64) -> &'static str {
        let from = match decode(frame) {
            Decoded::Segment(segment) => ours(segment.from),
            Decoded::Checksum => return self.invalid("checksum"),
            Decoded::QuotesUnknown => return self.invalid("icmp_unknown"),
            Decoded::Quotes { from, seq } => {
                let related = self
                    .record
                    .as_ref()
                    .is_some_and(|record| record.seen_from(ours(from)).quote_fits(Seq(seq)));
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
        match self.segment(&segment, from, now) {
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
        let record = self.record.as_ref()?;
        let connection = record.seen_from(record.originator);
        Some(Entry {
            state: State::name(connection.state),
            expires: u64::from(record.expires),
            originator: record.originator,
            assured: connection.assured,
        })
    }

    fn entries(&self) -> usize {
        usize::from(self.record.is_some())
    }
}

const fn ours(host: states::Host) -> Host {
    match host {
        states::Host::Client => Host::Client,
        states::Host::Server => Host::Server,
    }
}
