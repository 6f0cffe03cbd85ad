//! A data plane in user space: a frame is passed on only if it is part of a known connection, or
//! begins one that the rule admits. Runs over frames of its own, or over those of a capture:
//!
//! ```sh
//! cargo run --example data_plane [CAPTURE]
//! ```
use std::env;
use std::error::Error;
use std::net::IpAddr;

use etherparse::PacketBuilder;
use flowkeep::capture::{Frame, Reader};
use flowkeep::connection::Timestamp;
use flowkeep::memory::{Region, random_seed};
use flowkeep_core::packet::{FromWire, LinkType, NoFragments};
use flowkeep_core::rules;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::BucketTable;
use flowkeep_core::tracker::{Direction, Origin, Status, Tracker};

/// What is known of the connections through the data plane.
pub(crate) struct DataPlane {
    settings: Settings,
    table: BucketTable<Region<false>>,
}

impl DataPlane {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let memory = Region::anonymous(1024, 1_000_000_000, &random_seed())?;
        Ok(Self {
            settings: Settings::default(),
            table: BucketTable::new(memory),
        })
    }

    /// Judges a frame: what it is, and whether it is passed on.
    pub(crate) fn forward(&self, frame: &Frame<'_>) -> (Status, bool) {
        let tracker: Tracker<'_, rules::Default, _> = Tracker::new(&self.settings, &self.table);
        let context = frame.context(Direction::Forwarded);
        let bytes = FromWire(frame.data);
        let verdict = tracker.track_if(&bytes, &context, &mut NoFragments, admits);
        let passes = match verdict.status {
            Status::New => verdict.handle.is_some(),
            Status::Established | Status::Reply | Status::Related => true,
            Status::Invalid => false,
            // ARP and the like have no connections.
            Status::Untracked => verdict.reason == Some(flowkeep_core::Error::NotIp),
        };
        (verdict.status, passes)
    }
}

/// The rule: 192.0.2.0/24 may begin any connection, others only one to a web server.
fn admits(new: &Origin) -> bool {
    let is_inside = match new.originator().ip() {
        IpAddr::V4(ip) => ip.octets().starts_with(&[192, 0, 2]),
        IpAddr::V6(_) => false,
    };
    !new.is_reply() && (is_inside || new.responder().port() == 443)
}

/// A UDP datagram without a link header, as if received.
pub(crate) fn datagram(from: ([u8; 4], u16), to: ([u8; 4], u16)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packet = PacketBuilder::ipv4(from.0, to.0, 64).udp(from.1, to.1);
    packet.write(&mut bytes, b"data").expect("a short packet");
    bytes
}

fn main() -> Result<(), Box<dyn Error>> {
    let plane = DataPlane::new()?;
    // A data plane would transmit the frame, or not.
    let print = |(status, passes)| println!("{}: {status:?}", if passes { "pass" } else { "drop" });
    if let Some(path) = env::args().nth(1) {
        let mut reader = Reader::open(path)?;
        while let Some(frame) = reader.next_frame()? {
            print(plane.forward(&frame));
        }
        return Ok(());
    }
    let (inside, outside) = (([192, 0, 2, 1], 5000), ([198, 51, 100, 7], 53));
    for (from, to) in [(outside, inside), (inside, outside), (outside, inside)] {
        let data = &datagram(from, to)[..];
        print(plane.forward(&Frame {
            link: LinkType::RawIp,
            time: Timestamp(0),
            wire_length: data.len() as u32,
            data,
        }));
    }
    Ok(())
}
