//! The machine over one record: between two packets nothing is remembered but its words.

use flowkeep_core::protocol::tcp::{
    Connection, Fate, Judgement, Policy, Segment, Seq, Timeouts, Words,
};

use crate::states::Host;

struct Record {
    words: Words,
    state_bits: u8,
    generation: u8,
    originator: Host,
    expires: u32,
}

/// One flow. Times are milliseconds.
pub(crate) struct Flow {
    timeouts: Timeouts,
    record: Option<Record>,
    generation: u8,
}

impl Flow {
    pub(crate) const fn new(timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            record: None,
            generation: 0,
        }
    }

    /// Judges a packet.
    pub(crate) fn track(
        &mut self,
        segment: &Segment,
        from: Host,
        policy: &Policy,
        now: u32,
    ) -> Judgement {
        self.record = self.record.take().filter(|record| record.expires >= now);
        let mut connection = Connection::EMPTY;
        let (judgement, before) = match &self.record {
            None => (connection.begin(segment, policy), None),
            Some(record) => {
                connection = record.seen_from(from);
                let judgement = connection.judge(segment, policy);
                (judgement, Some((record.originator, record.expires)))
            }
        };
        let originator = if judgement.fate == Fate::Begin {
            self.generation = self.generation.wrapping_add(1);
            Some(if connection.by_originator {
                from
            } else {
                from.other()
            })
        } else {
            before.map(|(originator, _)| originator)
        };
        if judgement.fate == Fate::Remove {
            self.record = None;
            return judgement;
        }
        let Some(originator) = originator else {
            return judgement;
        };
        let before = before.map_or(0, |(_, expires)| expires);
        let expires = self
            .timeouts
            .expires(connection.state, judgement.timeout, before, now);
        let (words, state_bits) = connection.pack(self.generation);
        if let Some(record) = self
            .record
            .as_ref()
            .filter(|_| judgement.fate == Fate::Keep)
        {
            assert_eq!(
                (words, state_bits),
                (record.words, record.state_bits),
                "what keeps the connection changes no word"
            );
        }
        self.record = Some(Record {
            words,
            state_bits,
            generation: self.generation,
            originator,
            expires,
        });
        judgement
    }

    /// The record's words and state bits.
    #[allow(
        dead_code,
        reason = "each test crate that includes this uses a part of it"
    )]
    pub(crate) fn record(&self) -> Option<(Words, u8)> {
        self.record
            .as_ref()
            .map(|record| (record.words, record.state_bits))
    }

    #[allow(
        dead_code,
        reason = "each test crate that includes this uses a part of it"
    )]
    pub(crate) fn originator(&self) -> Option<Host> {
        self.record.as_ref().map(|record| record.originator)
    }

    /// The connection as the originator sees it, who that is, and when it expires.
    pub(crate) fn entry(&self) -> Option<(Connection, Host, u32)> {
        let record = self.record.as_ref()?;
        Some((
            record.seen_from(record.originator),
            record.originator,
            record.expires,
        ))
    }

    /// Whether an ICMP error relates that quotes a packet of `from` with this number.
    pub(crate) fn quote_fits(&self, from: Host, seq: Seq) -> bool {
        self.record
            .as_ref()
            .is_some_and(|record| record.seen_from(from).quote_fits(seq))
    }
}

impl Record {
    fn seen_from(&self, host: Host) -> Connection {
        self.words
            .unpack(self.state_bits, self.generation, self.originator == host)
            .expect("nobody else owns the record")
    }
}
