//! The model as a tracker.

use std::collections::HashMap;

use crate::decode::{Decoded, decode};
use crate::states::{self, Model, Settings, Timeouts, Verdict, quote_fits};
use crate::tracker::{Entry, Host, Mode, Tracker, timeout};

pub(crate) struct ModelTracker {
    model: Model,
    counted: HashMap<&'static str, u64>,
}

impl ModelTracker {
    pub(crate) fn new() -> Self {
        Self {
            model: Model::new(settings(Mode::Strict)),
            counted: HashMap::new(),
        }
    }

    fn invalid(&mut self, reason: &'static str) -> &'static str {
        *self.counted.entry(reason).or_default() += 1;
        "invalid"
    }
}

fn settings(mode: Mode) -> Settings {
    Settings {
        mode: match mode {
            Mode::Strict | Mode::LooseOff => states::Mode::Strict,
            Mode::Liberal => states::Mode::Liberal,
            Mode::OneWay => states::Mode::OneWay,
        },
        loose: mode != Mode::LooseOff,
        syn_ack_picks_up: false,
        timeouts: Timeouts {
            syn_sent: timeout::SYN,
            syn_recv: timeout::SYN_RECV,
            established: timeout::ESTABLISHED,
            fin_wait: timeout::FIN_WAIT,
            half_closed: timeout::HALF_CLOSED,
            last_ack: timeout::LAST_ACK,
            time_wait: timeout::TIME_WAIT,
            closed: timeout::CLOSE,
            at_most: timeout::AT_MOST,
        },
    }
}

impl Tracker for ModelTracker {
    fn name(&self) -> &'static str {
        "model"
    }

    fn reset(&mut self, mode: Mode) {
        self.model = Model::new(settings(mode));
    }

    fn track(&mut self, frame: &[u8], now: u64) -> &'static str {
        let segment = match decode(frame) {
            Decoded::Segment(segment) => segment,
            Decoded::Short => return self.invalid("short"),
            Decoded::Checksum => return self.invalid("checksum"),
            Decoded::QuotesUnknown => return self.invalid("icmp_unknown"),
            Decoded::Quotes { from, seq } => {
                let related = self
                    .model
                    .entry
                    .is_some_and(|entry| entry.expires >= now && quote_fits(&entry, from, seq));
                return if related {
                    "related"
                } else {
                    self.invalid("icmp_unknown")
                };
            }
        };
        let answer = self.model.track(&segment, now);
        if let Some(reason) = answer.reason {
            *self.counted.entry(reason.name()).or_default() += 1;
        }
        match answer.verdict {
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
        let entry = self.model.entry?;
        Some(Entry {
            state: entry.state.name(),
            expires: entry.expires,
            originator: match entry.originator {
                states::Host::Client => Host::Client,
                states::Host::Server => Host::Server,
            },
            assured: entry.assured,
        })
    }

    fn entries(&self) -> usize {
        usize::from(self.model.entry.is_some())
    }
}
