//! The front: frames in, verdicts out, and what the table has then.

#[path = "../common/memory.rs"]
#[allow(dead_code, unreachable_pub, reason = "test crates share it")]
mod memory;

use std::sync::atomic::AtomicU64;

use etherparse::{Icmpv4Type, PacketBuilder, PacketBuilderStep, TcpHeader, icmpv4};
use flowkeep_core::Error;
use flowkeep_core::entry::{Counters, Entry};
use flowkeep_core::packet::{
    Bytes, FragmentKey, FragmentPorts, Fragments, Frame, FromWire, LinkType, NoFragments, tcp,
};
use flowkeep_core::rules;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{BucketTable, EntryHandle, Handle, HostBounds};
use flowkeep_core::tracker::{
    Change, Context, Direction, Instant, Origin, Status, Tracker, Verdict,
};
use flowkeep_core::tuple::Tuple;
use memory::{Owned, plain_table};

const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [198, 51, 100, 7];
const ROUTER: [u8; 4] = [203, 0, 113, 1];

/// A tracker as an embedder has it, seconds passing by hand.
struct Embedder {
    settings: Settings,
    table: BucketTable<Owned<AtomicU64>>,
    seconds: u32,
}

impl Embedder {
    fn new() -> Self {
        Self {
            settings: Settings::default(),
            table: plain_table::<HostBounds>(4, 7),
            seconds: 1000,
        }
    }

    fn context(&self, length: usize) -> Context {
        let now = Instant {
            seconds: self.seconds,
            ticks: u64::from(self.seconds) * 1000,
        };
        Context::new(LinkType::Ethernet, Direction::Forwarded, length as u32, now)
    }

    fn tracker(&self) -> Tracker<'_, rules::Default, BucketTable<Owned<AtomicU64>>> {
        Tracker::new(&self.settings, &self.table)
    }

    fn track(&self, frame: &[u8]) -> Verdict<Handle<'_, AtomicU64>> {
        self.track_with(frame, &mut NoFragments)
    }

    fn track_with(
        &self,
        frame: &[u8],
        fragments: &mut impl Fragments,
    ) -> Verdict<Handle<'_, AtomicU64>> {
        let context = self.context(frame.len());
        self.tracker().track(&FromWire(frame), &context, fragments)
    }

    fn entries(&self) -> Vec<(Tuple, Entry)> {
        let entries = self.table.iter();
        entries.map(|(_, tuple, entry)| (tuple, entry)).collect()
    }
}

fn ip(source: [u8; 4], destination: [u8; 4]) -> PacketBuilderStep<etherparse::IpHeaders> {
    PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(source, destination, 64)
}

fn udp(source: ([u8; 4], u16), destination: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    ip(source.0, destination.0)
        .udp(source.1, destination.1)
        .write(&mut frame, payload)
        .expect("written to memory");
    frame
}

fn tcp(source: ([u8; 4], u16), destination: ([u8; 4], u16), flags: u8) -> Vec<u8> {
    let mut header = TcpHeader::new(source.1, destination.1, 1, 1024);
    header.syn = flags & tcp::SYN != 0;
    header.ack = flags & tcp::ACK != 0;
    header.rst = flags & tcp::RST != 0;
    let mut frame = Vec::new();
    ip(source.0, destination.0)
        .tcp_header(header)
        .write(&mut frame, &[])
        .expect("written to memory");
    frame
}

#[test]
fn a_connection_from_its_first_packet_to_its_reply() {
    let embedder = Embedder::new();
    let verdict = embedder.track(&udp((CLIENT, 5000), (SERVER, 53), b"question"));
    assert_eq!(verdict.status, Status::New);
    assert_eq!(verdict.change, Some(Change::New));
    let stored = verdict.handle.and_then(|handle| handle.tuple());
    let stored = stored.expect("an entry");
    assert_eq!(stored.originator().to_string(), "192.0.2.1:5000");
    assert_eq!(stored.responder().to_string(), "198.51.100.7:53");
    let verdict = embedder.track(&udp((SERVER, 53), (CLIENT, 5000), b"answer"));
    assert_eq!(verdict.status, Status::Reply);
    assert_eq!(verdict.change, Some(Change::Reply));
    let verdict = embedder.track(&udp((CLIENT, 5000), (SERVER, 53), b""));
    assert_eq!(verdict.status, Status::Established);
    let [(tuple, entry)] = embedder.entries()[..] else {
        panic!("one connection");
    };
    assert_eq!(tuple, stored);
    let counters = |packets, bytes| Counters { packets, bytes };
    // The Ethernet header does not count.
    assert_eq!(entry.tx, counters(2, 36 + 28));
    assert_eq!(entry.rx, counters(1, 34));
}

#[test]
fn the_receiver_of_a_syn_ack_is_the_originator() {
    let embedder = Embedder::new();
    let verdict = embedder.track(&tcp((SERVER, 443), (CLIENT, 5000), tcp::SYN | tcp::ACK));
    assert_eq!(verdict.status, Status::New);
    let tuple = verdict.handle.and_then(|handle| handle.tuple());
    let tuple = tuple.expect("an entry");
    assert_eq!(tuple.originator().to_string(), "192.0.2.1:5000");
    assert_eq!(tuple.responder().to_string(), "198.51.100.7:443");
    let ack = embedder.track(&tcp((CLIENT, 5000), (SERVER, 443), tcp::ACK));
    assert_eq!(ack.status, Status::Established);
    let data = embedder.track(&tcp((SERVER, 443), (CLIENT, 5000), tcp::ACK));
    assert_eq!(data.status, Status::Reply);
    assert_eq!(embedder.entries().len(), 1);
}

#[test]
fn an_icmp_error_is_related_to_what_it_quotes() {
    let embedder = Embedder::new();
    let question = udp((CLIENT, 5000), (SERVER, 53), b"question");
    let error = |quoted: &[u8]| {
        let unreachable = icmpv4::DestUnreachableHeader::Host;
        let mut frame = Vec::new();
        ip(ROUTER, CLIENT)
            .icmpv4(Icmpv4Type::DestinationUnreachable(unreachable))
            .write(&mut frame, quoted)
            .expect("written to memory");
        frame
    };
    let quoted = &question[14..14 + 28];
    let verdict = embedder.track(&error(quoted));
    assert_eq!(
        (verdict.status, verdict.reason),
        (Status::Untracked, Some(Error::QuoteUnknown)),
        "about nothing known"
    );
    embedder.track(&question);
    let verdict = embedder.track(&error(quoted));
    assert_eq!(verdict.status, Status::Related);
    assert_eq!(verdict.change, Some(Change::Related));
    let verdict = embedder.track(&error(&quoted[..22]));
    assert_eq!(
        (verdict.status, verdict.reason),
        (Status::Invalid, Some(Error::QuoteTruncated))
    );
    assert_eq!(embedder.entries().len(), 1, "errors have no entry");
}

#[test]
fn a_frame_that_cannot_be_tracked_has_a_reason() {
    let embedder = Embedder::new();
    let whole = tcp((CLIENT, 5000), (SERVER, 443), tcp::SYN);
    let mut other_version = whole.clone();
    other_version[14] = 0x65;
    let mut not_ip = whole.clone();
    not_ip[12..14].copy_from_slice(&[0x08, 0x06]);
    let mut later_fragment = whole.clone();
    later_fragment[21] = 3;
    for (frame, status, reason) in [
        (&whole[..13], Status::Invalid, Error::LinkTruncated),
        (&not_ip, Status::Untracked, Error::NotIp),
        (&whole[..30], Status::Invalid, Error::NetworkTruncated),
        (&other_version, Status::Invalid, Error::NetworkMalformed),
        (&whole[..40], Status::Invalid, Error::TransportTruncated),
        (
            &later_fragment,
            Status::Untracked,
            Error::FragmentUnsupported,
        ),
    ] {
        let verdict = embedder.track(frame);
        assert_eq!(verdict.status, status, "{reason}");
        assert_eq!(verdict.reason, Some(reason));
        assert!(verdict.handle.is_none() && verdict.change.is_none());
    }
    assert!(embedder.entries().is_empty());
}

/// One first fragment.
#[derive(Default)]
struct OneFragment(Option<(FragmentKey, FragmentPorts)>);

impl Fragments for OneFragment {
    fn record(&mut self, key: &FragmentKey, ports: FragmentPorts) {
        self.0 = Some((*key, ports));
    }

    fn ports(&mut self, key: &FragmentKey) -> Option<FragmentPorts> {
        self.0
            .filter(|(known, _)| known == key)
            .map(|(_, ports)| ports)
    }
}

#[test]
fn a_later_fragment_is_of_the_connection_of_the_first() {
    let embedder = Embedder::new();
    let mut first = udp((CLIENT, 5000), (SERVER, 53), &[0; 24]);
    first[20] = 0x20;
    let mut later = first.clone();
    later[20..22].copy_from_slice(&[0, 4]);
    let fragments = &mut OneFragment::default();
    let verdict = embedder.track_with(&later, fragments);
    assert_eq!(verdict.reason, Some(Error::FragmentUnknown));
    assert_eq!(
        embedder.track_with(&first, fragments).status,
        Status::New,
        "it has the ports"
    );
    assert_eq!(
        embedder.track_with(&later, fragments).status,
        Status::Established
    );
    let entries = embedder.entries();
    assert_eq!((entries.len(), entries[0].1.tx.packets), (1, 2));
}

#[test]
fn a_merged_packet_counts_as_those_that_it_was_merged_of() {
    let embedder = Embedder::new();
    let mut frame = Vec::new();
    ip(CLIENT, SERVER)
        .tcp(5000, 443, 1, 1024)
        .write(&mut frame, &[0; 2500])
        .expect("written to memory");
    let mut context = embedder.context(frame.len());
    context.frame = Frame {
        length: frame.len() as u32,
        segments: 3,
        segment_size: 1000,
    };
    embedder
        .tracker()
        .track(&frame[..], &context, &mut NoFragments);
    let (_, entry) = embedder.entries()[0];
    assert_eq!((entry.tx.packets, entry.tx.bytes), (3, 2500 + 3 * 40));
}

#[test]
fn what_is_cut_by_a_capture_counts_in_full() {
    let embedder = Embedder::new();
    let frame = udp((CLIENT, 5000), (SERVER, 53), &[0; 1000]);
    let context = embedder.context(frame.len());
    let captured = &frame[..64];
    let tracker = embedder.tracker();
    let verdict = tracker.track(captured, &context, &mut NoFragments);
    assert_eq!(verdict.status, Status::New);
    assert_eq!(embedder.entries()[0].1.tx.bytes, 1028);
}

#[test]
fn only_admitted_connections_are_stored() {
    let embedder = Embedder::new();
    let track = |frame: &[u8]| {
        let context = embedder.context(frame.len());
        let to_web = |new: &Origin| new.responder().port() == 443 && !new.is_reply();
        let bytes = &FromWire(frame);
        let tracker = embedder.tracker();
        let verdict = tracker.track_if(bytes, &context, &mut NoFragments, to_web);
        (verdict.status, verdict.handle.is_some())
    };
    let telnet = tcp((CLIENT, 5000), (SERVER, 23), tcp::SYN);
    assert_eq!(track(&telnet), (Status::New, false));
    assert_eq!(track(&telnet), (Status::New, false), "again, as before");
    assert!(embedder.entries().is_empty());
    let web = tcp((CLIENT, 5000), (SERVER, 443), tcp::SYN);
    assert_eq!(track(&web), (Status::New, true));
    let answer = tcp((SERVER, 443), (CLIENT, 5000), tcp::SYN | tcp::ACK);
    assert_eq!(track(&answer), (Status::Reply, true));
    let unasked = tcp((SERVER, 443), (ROUTER, 5000), tcp::SYN | tcp::ACK);
    assert_eq!(track(&unasked), (Status::New, false));
    assert_eq!(embedder.entries().len(), 1);
}

#[test]
fn one_frame_has_one_verdict_wherever_it_ends() {
    let whole = tcp((CLIENT, 5000), (SERVER, 443), tcp::SYN);
    for end in 0..=whole.len() {
        let embedder = Embedder::new();
        let context = embedder.context(whole.len());
        let bytes: &[u8] = &whole[..end];
        let tracker = embedder.tracker();
        let verdict = tracker.track(bytes, &context, &mut NoFragments);
        assert_eq!(verdict.reason.is_none(), bytes.byte(14 + 20 + 13).is_some());
        let is_stored = !embedder.entries().is_empty();
        assert_eq!(is_stored, verdict.status == Status::New, "{end}");
    }
}
