//! Packets that were merged, or are still to be cut, and tags in the metadata: what only the
//! kernel's description of a packet tells.

use aya::programs::{TestRun, TestRunOptions};
use flowkeep_bpf::{Device, Hook, Kernel, Options};
use flowkeep_core::entry::Counters;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::Seed;
use flowkeep_lab::can_load;

use crate::frames;

/// The kernel's description of a packet (`__sk_buff` of linux/bpf.h), which is all zeros but for
/// some fields.
struct Description([u8; 192]);

impl Description {
    const GSO_SEGMENTS: usize = 164;
    const GSO_SIZE: usize = 176;

    fn of(segments: u32, size: u32) -> Self {
        let mut bytes = [0; 192];
        bytes[Self::GSO_SEGMENTS..][..4].copy_from_slice(&segments.to_ne_bytes());
        bytes[Self::GSO_SIZE..][..4].copy_from_slice(&size.to_ne_bytes());
        Self(bytes)
    }
}

/// What a packet of a new connection is counted as.
fn counted(frame: &[u8], description: &Description) -> Option<Counters> {
    if !can_load() {
        return None;
    }
    let options = Options::new(Settings::default(), 1, Seed::from_u64(5));
    let mut kernel = Kernel::load(&options).unwrap_or_else(|error| panic!("{error}"));
    let program = kernel.program(Hook::Forward, Device::Ethernet);
    let program = program.unwrap_or_else(|error| panic!("{error}"));
    let (mut after, mut context) = (vec![0; frame.len()], [0; 192]);
    let run = program.test_run(TestRunOptions {
        data_in: Some(frame),
        data_out: Some(&mut after),
        ctx_in: Some(&description.0),
        ctx_out: Some(&mut context),
        ..TestRunOptions::default()
    });
    run.unwrap_or_else(|error| panic!("{error}"));
    let (_, _, entry) = kernel.table().iter().next().expect("it is tracked");
    Some(entry.tx)
}

#[test]
fn a_merged_packet_counts_as_its_segments() {
    let frame = frames::segment(2800);
    // (segments, bytes of payload in each) and what is counted: each segment has 40 bytes of
    // headers, and the one that there is has them already.
    let whole = 2800 + 40;
    for (segments, size, packets) in [(0, 0, 1), (2, 1400, 2), (3, 1000, 3), (0, 1000, 3)] {
        let Some(counted) = counted(&frame, &Description::of(segments, size)) else {
            return;
        };
        let bytes = whole + (packets - 1) * 40;
        assert_eq!(counted, Counters { packets, bytes }, "{segments} of {size}");
    }
}

#[test]
fn merged_datagrams_repeat_their_headers() {
    let frame = frames::question(1, 3000);
    let Some(counted) = counted(&frame, &Description::of(3, 1000)) else {
        return;
    };
    assert_eq!(counted.packets, 3);
    assert_eq!(counted.bytes, 3000 + 3 * 28);
}

#[test]
fn a_length_that_is_left_open_is_that_of_what_is_there() {
    let mut frame = frames::segment(2800);
    frame[16..18].fill(0);
    let Some(counted) = counted(&frame, &Description::of(2, 1400)) else {
        return;
    };
    assert_eq!(counted.packets, 2);
    assert_eq!(counted.bytes, 2800 + 2 * 40);
}
