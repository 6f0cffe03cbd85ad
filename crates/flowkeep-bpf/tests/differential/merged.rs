//! Packets that were merged, or are still to be cut, and tags in the metadata: what only the
//! kernel's description of a packet tells.

use aya::programs::{TestRun, TestRunOptions};
use flowkeep_bpf::{Device, Hook, Kernel, Options};
use flowkeep_core::entry::Counters;
use flowkeep_core::settings::Settings;
use flowkeep_core::table::Seed;
use flowkeep_lab::can_load;

use crate::frames;
use crate::tunnels::Kind;

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

/// The programs, if they can be loaded here.
fn kernel() -> Option<Kernel> {
    can_load().then(|| {
        let options = Options::new(Settings::default(), 64, Seed::from_u64(5));
        Kernel::load(&options).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// What is counted in all.
fn sum(kernel: &Kernel) -> Counters {
    let entries = kernel.table().iter().map(|(_, _, entry)| entry);
    entries.fold(Counters::default(), |sum, entry| Counters {
        packets: sum.packets + entry.tx.packets + entry.rx.packets,
        bytes: sum.bytes + entry.tx.bytes + entry.rx.bytes,
    })
}

/// What a packet is counted as.
fn counted(kernel: &mut Kernel, frame: &[u8], description: &Description) -> Counters {
    let before = sum(kernel);
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
    let after = sum(kernel);
    Counters {
        packets: after.packets - before.packets,
        bytes: after.bytes - before.bytes,
    }
}

#[test]
fn a_merged_packet_counts_as_its_segments() {
    let Some(mut kernel) = kernel() else {
        return;
    };
    let frame = frames::segment(2800);
    // (segments, bytes of payload in each) and what is counted: each segment has 40 bytes of
    // headers, and the one that there is has them already.
    let whole = 2800 + 40;
    for (segments, size, packets) in [(0, 0, 1), (2, 1400, 2), (3, 1000, 3), (0, 1000, 3)] {
        let counted = counted(&mut kernel, &frame, &Description::of(segments, size));
        let bytes = whole + (packets - 1) * 40;
        assert_eq!(counted, Counters { packets, bytes }, "{segments} of {size}");
    }
}

#[test]
fn merged_datagrams_repeat_their_headers() {
    let Some(mut kernel) = kernel() else {
        return;
    };
    let frame = frames::question(1, 3000);
    let counted = counted(&mut kernel, &frame, &Description::of(3, 1000));
    assert_eq!(counted.packets, 3);
    assert_eq!(counted.bytes, 3000 + 3 * 28);
}

#[test]
fn a_length_that_is_left_open_is_that_of_what_is_there() {
    let Some(mut kernel) = kernel() else {
        return;
    };
    let mut frame = frames::segment(2800);
    frame[16..18].fill(0);
    let counted = counted(&mut kernel, &frame, &Description::of(2, 1400));
    assert_eq!(counted.packets, 2);
    assert_eq!(counted.bytes, 2800 + 2 * 40);
}

/// The segments are made one by one, and measured by the core.
#[test]
fn segments_in_a_tunnel_have_all_headers() {
    const PAYLOAD: usize = 2_600;
    const SIZE: usize = 1_000;
    let Some(mut kernel) = kernel() else {
        return;
    };
    for kind in Kind::all() {
        let pieces = [SIZE, SIZE, PAYLOAD - 2 * SIZE].map(|payload| kind.frame(payload));
        let frame = kind.frame(PAYLOAD);
        let expected = Counters {
            packets: 3,
            bytes: pieces.iter().map(|piece| piece.len() as u64 - 14).sum(),
        };
        for segments in [3, 0] {
            let counted = counted(&mut kernel, &frame, &Description::of(segments, SIZE as u32));
            assert_eq!(counted, expected, "{kind:?}, {segments} segments");
        }
    }
}

#[test]
fn a_header_that_states_more_than_the_frame_has_is_not_believed() {
    let Some(mut kernel) = kernel() else {
        return;
    };
    // Of a new connection, and of one that is known.
    for _ in 0..2 {
        let mut frame = frames::segment(0);
        frame[16..18].fill(0xff);
        let counted = counted(&mut kernel, &frame, &Description::of(0, 0));
        let wanted = Counters {
            packets: 1,
            bytes: 40,
        };
        assert_eq!(counted, wanted);
    }
}
