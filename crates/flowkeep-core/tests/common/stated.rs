//! Where a packet ends, read again by other code than the parser's.

use flowkeep_core::tuple::Family;

/// The end of a packet that begins at an offset of a frame, by its header alone; `None` where that
/// is left open, within the header, or not in the frame.
pub fn end(bytes: &[u8], at: usize, family: Family) -> Option<usize> {
    let number = |at: usize| {
        let number = bytes.get(at..at + 2)?;
        Some(usize::from(number[0]) << 8 | usize::from(number[1]))
    };
    let length = match family {
        Family::V4 => number(at + 2).filter(|length| *length >= 20)?,
        Family::V6 => 40 + number(at + 4).filter(|payload| *payload != 0)?,
    };
    Some(at + length).filter(|end| *end <= bytes.len())
}
