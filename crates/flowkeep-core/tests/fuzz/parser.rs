//! Any bytes, behind any link type, under every set of rules.

use std::time::Duration;

use bolero::check;
use flowkeep_core::packet::{
    FragmentKey, FragmentPorts, Fragments, LinkType, NoFragments, Packet, link, parse,
};
use flowkeep_core::rules::{Cilium18, Cilium119, Default as Flowkeep, Rules};
use flowkeep_core::settings::Settings;
use flowkeep_core::tuple::Flags;

use super::stated;

const LINK_TYPES: [LinkType; 10] = [
    LinkType::Ethernet,
    LinkType::RawIp,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
    LinkType::BsdLoopback,
    LinkType::Ppp,
    LinkType::Fddi,
    LinkType::Ieee80211,
    LinkType::Radiotap,
    LinkType::Nflog,
];

/// Has the ports of every fragment.
struct Omniscient;

impl Fragments for Omniscient {
    fn record(&mut self, _: &FragmentKey, _: FragmentPorts) {}

    fn ports(&mut self, key: &FragmentKey) -> Option<FragmentPorts> {
        Some(FragmentPorts {
            source: key.id as u16,
            destination: 1,
            length: 24,
            protocol: if key.protocol == 0 { 6 } else { key.protocol },
        })
    }
}

/// All of a packet but what may be left open: the code of an ICMP header of one byte.
fn essence(packet: Packet) -> impl PartialEq + std::fmt::Debug {
    let Packet {
        tuple,
        tcp_flags,
        quote,
        icmp: [icmp_type, _],
        layout,
        later_fragment,
    } = packet;
    (tuple, tcp_flags, quote, icmp_type, layout, later_fragment)
}

fn parsed<R: Rules>(bytes: &[u8], link_type: LinkType, settings: &Settings) {
    let whole = parse::<R, [u8]>(bytes, link_type, settings, &mut NoFragments);
    let _ = parse::<R, [u8]>(bytes, link_type, settings, &mut Omniscient);
    let Ok(packet) = whole else { return };
    let known = Flags::RELATED.union(Flags::IPV6);
    assert_eq!(packet.tuple.flags().0 & !known.0, 0);
    assert_eq!(packet.tuple.zone(), 0);
    if let Some(quote) = packet.quote {
        assert!(R::RELATE_BY_QUOTE);
        assert!(packet.tuple.flags().contains(Flags::RELATED));
        assert_eq!(quote.family(), packet.tuple.family());
    }
    // Bytes behind the ones that were read change nothing.
    let longer = [bytes, &[0xff; 64]].concat();
    let longer = parse::<R, [u8]>(&longer, link_type, settings, &mut NoFragments);
    assert_eq!(longer.map(essence), Ok(essence(packet)));
}

/// What follows a packet in its frame changes nothing, whatever is made of it.
fn padded(bytes: &[u8], link_type: LinkType, settings: &Settings) {
    let Ok(found) = link(bytes, link_type) else {
        return;
    };
    let Some(end) = stated::end(bytes, found.network, found.family) else {
        return;
    };
    let read = |bytes: &[u8]| {
        let alone = parse::<Flowkeep, [u8]>(bytes, link_type, settings, &mut NoFragments);
        let known = parse::<Flowkeep, [u8]>(bytes, link_type, settings, &mut Omniscient);
        (alone, known)
    };
    let alone = read(&bytes[..end]);
    assert_eq!(read(bytes), alone);
    assert_eq!(read(&[&bytes[..end], &[0xff; 64]].concat()), alone);
}

#[test]
fn any_bytes_are_survived() {
    check!()
        .with_test_time(Duration::from_secs(1))
        .with_iterations(if cfg!(miri) { 50 } else { usize::MAX })
        .with_max_len(512)
        .for_each(|input: &[u8]| {
            let Some((&choice, bytes)) = input.split_first() else {
                return;
            };
            let link_type = LINK_TYPES[usize::from(choice) % LINK_TYPES.len()];
            let settings = Settings {
                sctp: choice & 0x40 == 0,
                other_protocols: choice & 0x80 == 0,
                ..Settings::default()
            };
            if let Ok(found) = link(bytes, link_type) {
                // Two bytes tell Linux cooked capture 2 apart; no other header ends later.
                assert!(found.network <= bytes.len() || link_type == LinkType::LinuxSll2);
            }
            parsed::<Flowkeep>(bytes, link_type, &settings);
            parsed::<Cilium119>(bytes, link_type, &settings);
            parsed::<Cilium18>(bytes, link_type, &settings);
            padded(bytes, link_type, &settings);
        });
}
