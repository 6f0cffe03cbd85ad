//! Two lists of connections, theirs and ours.

use std::collections::HashMap;
use std::fmt;

use super::record::{Bytes, Counts, End, Record, Records};

/// How our connections compare with a record's.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Connections of the record.
    pub(super) theirs: usize,
    /// Those that we have too, with the same originator and all counts that the record has.
    pub(super) equal: usize,
    /// The others.
    pub(super) differences: Vec<Difference>,
}

/// A connection that is not the same in both.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) kind: Kind,
    pub(super) ours: Option<Record>,
    pub(super) theirs: Option<Record>,
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// The connection is not in the record.
    OnlyOurs,
    /// We do not have the connection.
    OnlyTheirs,
    /// We do not have the connection, which is one inside a tunnel.
    Tunnelled,
    /// Each calls another side the originator; the counts are the same.
    Originator,
    /// The packets of a side, and with them its bytes.
    Packets,
    /// The bytes of a side.
    Bytes,
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [
        Self::OnlyOurs,
        Self::OnlyTheirs,
        Self::Tunnelled,
        Self::Originator,
        Self::Packets,
        Self::Bytes,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OnlyOurs => "only ours",
            Self::OnlyTheirs => "only theirs",
            Self::Tunnelled => "in a tunnel",
            Self::Originator => "originator",
            Self::Packets => "packets",
            Self::Bytes => "bytes",
        }
    }
}

/// Compares the connections of a capture with those of a record about it. Connections go by
/// protocol and ends, whoever is the originator; of several between the same ends those that are
/// equal belong together, then those that are equal but for the originator, then the others in
/// their order.
pub(super) fn compare(ours: Vec<Record>, theirs: &Records) -> Comparison {
    // A record may leave the protocol out.
    let by_protocol = theirs.rows.iter().all(|row| row.protocol.is_some());
    let key = |record: &Record| {
        let (one, other) = (record.originator, record.responder);
        let protocol = record.protocol.filter(|_| by_protocol);
        (protocol, one.min(other), one.max(other))
    };
    let mut order: Vec<Key> = Vec::new();
    let mut by_key: HashMap<Key, (Vec<Record>, Vec<Record>)> = HashMap::new();
    let mut at = |key: Key, side: fn(&mut (Vec<_>, Vec<_>)) -> &mut Vec<Record>, record| {
        let sides = by_key.entry(key).or_insert_with(|| {
            order.push(key);
            Default::default()
        });
        side(sides).push(record);
    };
    for record in &theirs.rows {
        let record = record.clone().without_ports_of(theirs.portless);
        at(key(&record), |sides| &mut sides.1, record);
    }
    for record in ours {
        let record = record.without_ports_of(theirs.portless);
        at(key(&record), |sides| &mut sides.0, record);
    }
    let mut comparison = Comparison {
        theirs: theirs.rows.len(),
        ..Comparison::default()
    };
    for key in order {
        if let Some((ours, theirs_here)) = by_key.remove(&key) {
            comparison.same_ends(ours, theirs_here, theirs.bytes);
        }
    }
    comparison
}

type Key = (Option<u8>, End, End);

impl Comparison {
    /// Compares the connections between the same ends.
    fn same_ends(&mut self, mut ours: Vec<Record>, mut theirs: Vec<Record>, bytes: Bytes) {
        for wanted in [None, Some(Kind::Originator)] {
            theirs.retain(|theirs| {
                let found = ours
                    .iter()
                    .position(|ours| difference(ours, theirs, bytes) == wanted);
                let Some(at) = found else {
                    return true;
                };
                let ours = ours.remove(at);
                match wanted {
                    None => self.equal += 1,
                    Some(kind) => self.differences.push(Difference {
                        kind,
                        ours: Some(ours),
                        theirs: Some(theirs.clone()),
                    }),
                }
                false
            });
        }
        let mut ours = ours.into_iter();
        for theirs in theirs {
            let ours = ours.next();
            let kind = match &ours {
                Some(ours) => difference(ours, &theirs, bytes),
                None if theirs.tunnelled => Some(Kind::Tunnelled),
                None => Some(Kind::OnlyTheirs),
            };
            self.differences.extend(kind.map(|kind| Difference {
                kind,
                ours,
                theirs: Some(theirs),
            }));
        }
        self.differences.extend(ours.map(|ours| Difference {
            kind: Kind::OnlyOurs,
            ours: Some(ours),
            theirs: None,
        }));
    }
}

/// What differs between a connection of ours and one of theirs with the same ends.
fn difference(ours: &Record, theirs: &Record, bytes: Bytes) -> Option<Kind> {
    let counts = |ours: &Record| {
        let directions = [(ours.sent, theirs.sent), (ours.received, theirs.received)];
        let differs = |kind: fn(Counts, Counts, Bytes) -> bool| {
            directions
                .iter()
                .any(|&(ours, theirs)| !kind(ours, theirs, bytes))
        };
        if differs(same_packets) {
            Some(Kind::Packets)
        } else if differs(same_bytes) {
            Some(Kind::Bytes)
        } else {
            None
        }
    };
    if ours.originator == theirs.originator {
        return counts(ours);
    }
    // Who is whose responder is told only where nothing else is wrong.
    counts(&ours.reversed()).or(Some(Kind::Originator))
}

fn same_packets(ours: Counts, theirs: Counts, _: Bytes) -> bool {
    theirs.packets.is_none() || ours.packets == theirs.packets
}

/// Whether bytes are the same. A frame's are 14 more than its packet's for the Ethernet header,
/// and as many as bring it to 60 bytes (IEEE 802.3, 3.2.8: 64 with the checksum), of which nothing
/// is known here but how many there may be.
fn same_bytes(ours: Counts, theirs: Counts, bytes: Bytes) -> bool {
    const HEADER: u64 = 14;
    const SHORTEST_FRAME: u64 = 60;
    const SHORTEST_PACKET: u64 = 20;
    let (Some(packets), Some(ours), Some(theirs)) = (ours.packets, ours.bytes, theirs.bytes) else {
        return true;
    };
    match bytes {
        Bytes::Packets => ours == theirs,
        Bytes::Frames => {
            let bare = ours + packets * HEADER;
            let padding = packets * (SHORTEST_FRAME - HEADER - SHORTEST_PACKET);
            (bare..=bare + padding).contains(&theirs)
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.kind.name())?;
        if let Some(theirs) = &self.theirs {
            write!(f, " {theirs}")?;
        }
        match (&self.ours, &self.theirs) {
            (Some(ours), Some(_)) => write!(f, "; ours {ours}"),
            (Some(ours), None) => write!(f, " {ours}"),
            (None, _) => Ok(()),
        }
    }
}
