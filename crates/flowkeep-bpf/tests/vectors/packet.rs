//! Frames as a test run takes them.

/// The longest packet that a test run takes is a page less what the kernel keeps free before and
/// behind it.
const LONGEST: usize = 3520;
/// How long a program makes it: nearly the four pages that it may (`SKB_MAX_ALLOC`), and twice as far as
/// IPv6's extension headers can lead.
const LONGEST_GROWN: usize = 16_000;

/// What carries a frame that is shorter than what a test run takes: an Ethernet header of a type for
/// local experiments (IEEE 802), and two bytes.
const CARRIER: [u8; 16] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5, 0, 0];

/// A packet for a test run.
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    /// Where the frame begins.
    pub(crate) start: usize,
    /// How long the program makes the packet, with zeros.
    pub(crate) whole: usize,
}

impl Packet {
    /// A packet with this frame.
    pub(crate) fn of(frame: &[u8]) -> Self {
        if !can_run(frame) {
            let bytes = [&CARRIER, frame].concat();
            let (start, whole) = (CARRIER.len(), bytes.len());
            return Self {
                bytes,
                start,
                whole,
            };
        }
        let bytes = frame.get(..LONGEST).unwrap_or(frame);
        let rest = &frame[bytes.len()..];
        assert!(
            rest.iter().all(|&byte| byte == 0),
            "only zeros can be added to what a test run takes"
        );
        Self {
            bytes: bytes.to_vec(),
            start: 0,
            whole: frame.len().min(LONGEST_GROWN),
        }
    }

    /// Whether the program makes the packet longer.
    pub(crate) fn grows(&self) -> bool {
        self.whole > self.bytes.len()
    }
}

/// Whether test runs take a frame: it has to hold the Ethernet header and a byte more, or the IP
/// header that this announces.
fn can_run(frame: &[u8]) -> bool {
    let shortest = match frame.get(12..14) {
        Some([0x08, 0x00]) => 14 + 20,
        Some([0x86, 0xdd]) => 14 + 40,
        _ => 14 + 1,
    };
    frame.len() >= shortest
}
