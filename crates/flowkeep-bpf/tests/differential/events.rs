//! What the programs tell.

use aya::programs::{TestRun, TestRunOptions};
use flowkeep_bpf::abi::MOST_CAPTURED;
use flowkeep_bpf::{Device, Event, Hook, Kernel, Kind, Options};
use flowkeep_core::error::Refusal;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::{EvictReason, SLOTS, Seed, Statistic};
use flowkeep_core::tracker::{Change, Status};
use flowkeep_lab::can_load;

use crate::frames;

/// Programs over a table of one set, at second 1000.
fn kernel(event_bytes: u32) -> Option<Kernel> {
    if !can_load() {
        return None;
    }
    let mut options = Options::new(Settings::default(), 1, Seed::from_u64(3));
    options.clock_is_set = true;
    options.event_bytes = event_bytes;
    let mut kernel = Kernel::load(&options).unwrap_or_else(|error| panic!("{error}"));
    at(&mut kernel, 1000);
    Some(kernel)
}

fn at(kernel: &mut Kernel, seconds: u64) {
    let bucket = kernel.set_clock(seconds * 1_000_000_000);
    bucket.unwrap_or_else(|error| panic!("{error}"));
}

fn show(kernel: &mut Kernel, hook: Hook, frame: &[u8]) {
    let program = kernel.program(hook, Device::Ethernet);
    let program = program.unwrap_or_else(|error| panic!("{error}"));
    let mut after = vec![0; frame.len()];
    let run = program.test_run(TestRunOptions {
        data_in: Some(frame),
        data_out: Some(&mut after),
        ..TestRunOptions::default()
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}

fn kinds(events: &[Event]) -> Vec<Kind> {
    events.iter().map(|event| event.kind).collect()
}

#[test]
fn a_connections_life_is_told() {
    let Some(mut kernel) = kernel(1 << 20) else {
        return;
    };
    let frames = frames::tcp_connection();
    let (hook, syn) = &frames[0];
    show(&mut kernel, *hook, syn);
    let mut events = kernel.events().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(events.next(), None, "nobody watched");

    let mut told = Vec::new();
    for (hook, frame) in &frames[1..] {
        show(&mut kernel, *hook, frame);
        told.push(events.by_ref().collect::<Vec<_>>());
    }
    use Change::{Closing, Reopened, Reply, Report};
    let wanted: [&[Kind]; 11] = [
        &[Kind::Changed(Reply)],
        &[Kind::Changed(Report)],
        &[],
        &[],
        &[Kind::Changed(Closing)],
        &[Kind::Changed(Closing)],
        &[],
        &[Kind::Changed(Closing)],
        &[
            Kind::Evicted(EvictReason::Overwritten),
            Kind::Changed(Reopened),
        ],
        &[Kind::Changed(Reply)],
        &[Kind::Changed(Closing)],
    ];
    for (told, wanted) in told.iter().zip(wanted) {
        assert_eq!(kinds(told), wanted, "{told:#?}");
    }

    let reply = &told[0][0];
    let entry = reply.entry.expect("it is stored");
    assert_eq!((entry.tx.packets, entry.rx.packets), (1, 1));
    assert_eq!(reply.time, 1000 * 1_000_000_000);
    let packet = &reply.packet;
    assert_eq!((packet.status, packet.tcp_flags), (Status::Reply, 0x12));
    assert_eq!(
        (packet.hook, packet.device),
        (Hook::Ingress, Device::Ethernet)
    );
    assert_eq!(packet.sender().to_string(), "10.0.0.2");
    assert_eq!((packet.length, packet.packets), (40, 1));
    assert_eq!(packet.bytes, frames[1].1, "shorter than what is asked for");
    assert_eq!(packet.whole as usize, frames[1].1.len());

    let ended = told[8][0].entry.expect("it was stored");
    assert_eq!((ended.tx.packets, ended.rx.packets), (6, 3));
    drop(events);
    show(&mut kernel, frames[0].0, &frames[0].1);
    let mut events = kernel.events().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(events.next(), None, "nobody watched");
}

#[test]
fn the_first_bytes_are_as_many_as_the_settings_ask_for() {
    let Some(mut kernel) = kernel(1 << 20) else {
        return;
    };
    let mut events = kernel.events().unwrap_or_else(|error| panic!("{error}"));
    for (number, (asked, wanted)) in [(0, 0), (60, 60), (100_000, MOST_CAPTURED)]
        .into_iter()
        .enumerate()
    {
        let settings = Settings {
            report_headers: asked,
            ..kernel.settings()
        };
        kernel.configure(&settings);
        let frame = frames::question(number as u16, 400);
        show(&mut kernel, Hook::Egress, &frame);
        let event = events.next().expect("a new connection");
        assert_eq!(event.kind, Kind::Changed(Change::New));
        assert_eq!(event.packet.bytes, frame[..wanted]);
        assert_eq!(event.packet.whole as usize, frame.len());
    }
}

#[test]
fn a_full_table_tells_whom_it_evicts_and_refuses() {
    let Some(mut kernel) = kernel(1 << 20) else {
        return;
    };
    let mut events = kernel.events().unwrap_or_else(|error| panic!("{error}"));
    for number in 0..SLOTS as u16 {
        show(&mut kernel, Hook::Egress, &frames::question(number, 8));
    }
    let told: Vec<_> = events.by_ref().collect();
    assert_eq!(kinds(&told), [Kind::Changed(Change::New); SLOTS]);

    show(&mut kernel, Hook::Egress, &frames::question(100, 8));
    let told: Vec<_> = events.by_ref().collect();
    let evicted = Kind::Evicted(EvictReason::Unassured);
    assert_eq!(kinds(&told), [evicted, Kind::Changed(Change::New)]);
    assert_ne!(told[0].tuple, told[1].tuple);
    assert_eq!(told[0].entry.map(|entry| entry.tx.packets), Some(1));

    // Now each is answered that is still there, so that none may go.
    let there: Vec<_> = kernel.table().iter().map(|(_, tuple, _)| tuple).collect();
    for number in (0..SLOTS as u16).chain([100]) {
        if there
            .iter()
            .any(|tuple| tuple.source_port() == 20_000 + number)
        {
            show(&mut kernel, Hook::Ingress, &frames::answer(number));
        }
    }
    let told: Vec<_> = events.by_ref().collect();
    assert_eq!(kinds(&told), [Kind::Changed(Change::Reply); SLOTS]);
    show(&mut kernel, Hook::Egress, &frames::question(200, 8));
    let told: Vec<_> = events.by_ref().collect();
    assert_eq!(kinds(&told), [Kind::Rejected(Refusal::Full)]);
    assert_eq!(told[0].entry, None);
    assert_eq!(told[0].tuple.source_port(), 20_200);
    assert_eq!(kernel.statistic(Statistic::Refused).ok(), Some(1));
}

#[test]
fn events_without_room_are_counted() {
    let Some(mut kernel) = kernel(4096) else {
        return;
    };
    let events = kernel.events().unwrap_or_else(|error| panic!("{error}"));
    for number in 0..40 {
        show(&mut kernel, Hook::Egress, &frames::question(number, 8));
    }
    let lost = events.lost().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(events.count() as u64 + lost, 40);
    assert!(lost > 0);
}
